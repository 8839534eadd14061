#version 450
// A linear layer of few rows where an invocation owns outputs, for software drivers: no shared memory, no barriers.
//
// Tiling: a workgroup is one subgroup, which owns BC outputs of BR rows of x, its invocations BC / SG each, side by side. At a
// step of at least a block of quantised weights each invocation reads those of its own outputs, and the subgroup loads x
// together, to broadcast each vector when it is due: there broadcasts are nearly free, and loads are not.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "elements.glsl"
#include "linear.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_SUBGROUP) const uint SG = 8u;
layout(constant_id = VKA_SPEC_BR) const uint BR = 1u;
layout(constant_id = VKA_SPEC_BC) const uint BC = 32u;

const uint CN = BC / SG;
// Vectors of four columns: of a step, and those of them that an invocation loads.
const uint STEP = SG > 8u ? SG : 8u;
const uint PARTS = STEP / SG;

float sums[BR * CN];
uint x_rows[BR], weight_rows[CN];
vec4 x_parts[BR * PARTS];

// Columns 4 d .. of a row of x; 0 beyond the last one.
vec4 x_part(uint r, uint d, uint end) {
    return 4u * d < end ? x_row4(x_rows[r], p.x.d, d, p.k, has(VKA_LINEAR_X_VEC4)) : vec4(0.0);
}

// Adds the products of eight columns, the vectors from `place` on of a step.
void multiply(uint place, Eight w[CN]) {
    [[unroll]] for (uint r = 0u; r < BR; ++r) {
        vec4 a = subgroupShuffle(x_parts[r * PARTS + place / SG], place % SG);
        vec4 b = subgroupShuffle(x_parts[r * PARTS + (place + 1u) / SG], (place + 1u) % SG);
        [[unroll]] for (uint n = 0u; n < CN; ++n)
            sums[r * CN + n] = dot_add(b, w[n].b, dot_add(a, w[n].a, sums[r * CN + n]));
    }
}

// Of eight vectors, from `place` of the step that begins at vector d on.
void multiply_block(uint d, uint place, uint end) {
    if (QUANTISED) {
        Block blocks[CN];
        [[unroll]] for (uint n = 0u; n < CN; ++n) blocks[n] = weight_block(weight_rows[n] + 4u * (d + place));
        [[unroll]] for (uint e = 0u; e < 4u; ++e) {
            Eight w[CN];
            [[unroll]] for (uint n = 0u; n < CN; ++n) w[n] = eight_of_block(blocks[n], e);
            multiply(place + 2u * e, w);
        }
        return;
    }
    [[unroll]] for (uint e = 0u; e < 4u; ++e) {
        uint c = (d + place) / 2u + e;
        if (8u * c < end) {
            Eight w[CN];
            [[unroll]] for (uint n = 0u; n < CN; ++n) w[n] = weight_eight(weight_rows[n], c);
            multiply(place + 2u * e, w);
        }
    }
}

void main() {
    Batch b = find_batch();
    uint lane = gl_SubgroupInvocationID, n0 = gl_WorkGroupID.x * BC + lane * CN, row0 = gl_WorkGroupID.y * BR;
    [[unroll]] for (uint i = 0u; i < BR * CN; ++i) sums[i] = 0.0;
    [[unroll]] for (uint r = 0u; r < BR; ++r) x_rows[r] = b.x + min(row0 + r, push.rows - 1u) * p.x.n;
    [[unroll]] for (uint n = 0u; n < CN; ++n) weight_rows[n] = b.weight + min(n0 + n, push.dim1 - 1u) * p.weight.n;
    for (uint d = b.begin / 4u; 4u * d < b.end; d += STEP) {
        [[unroll]] for (uint i = 0u; i < BR * PARTS; ++i)
            x_parts[i] = x_part(i / PARTS, d + i % PARTS * SG + lane, b.end);
        [[unroll]] for (uint place = 0u; place < STEP; place += 8u)
            if (4u * (d + place) < b.end)
                multiply_block(d, place, b.end);
    }
    // Not unrolled: scattered stores are the longest code of all.
    [[dont_unroll]] for (uint i = 0u; i < BR * (CN / 4u); ++i) {
        uint r = i / (CN / 4u), v = i % (CN / 4u), at = r * CN + 4u * v;
        put_sums(b, row0 + r, n0 / 4u + v, vec4(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]));
    }
}
