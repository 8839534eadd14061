#version 450
// A linear layer where an invocation owns rows of x, for software drivers: no shared memory, no barriers.
//
// Tiling: a workgroup is one subgroup. Its invocation t owns the rows t, t + SG, .. and BC outputs of them. At a step of eight
// columns it loads those of its rows, and the subgroup loads those of all outputs' weights together, to broadcast each vector
// when it is due: there broadcasts are nearly free, and loads are not. Few columns and many outputs a step, as each load of x
// serves all outputs, and one of weights all rows.
//
// A driver that loads only once what all invocations load from one address (VKA_LINEAR_UNIFORM) needs no broadcasts.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "elements.glsl"
#include "linear.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_SUBGROUP) const uint SG = 8u;
layout(constant_id = VKA_SPEC_BC) const uint BC = 16u;
layout(constant_id = VKA_SPEC_RM) const uint RM = 2u;

// Vectors of weights that an invocation loads at a step: two of each output's.
const uint PARTS = (2u * BC + SG - 1u) / SG;

float sums[RM * BC];
vec4 weight_parts[PARTS];
uint x_rows[RM], weight_rows[BC];

uint weight_row(Batch b, uint n) {
    return b.weight + min(n, push.dim1 - 1u) * p.weight.n;
}

// Vector i of a step's weights: columns 8 c .. or the four after them; 0 beyond the last one.
vec4 weight_part(Batch b, uint n0, uint i, uint c) {
    uint row = weight_row(b, n0 + i / 2u), d = 2u * c + i % 2u;
    return 4u * d < b.end ? weights_any4(row, p.weight.d, d, p.k, has(VKA_LINEAR_WEIGHT_VEC4)) : vec4(0.0);
}

Eight weights_of(uint n, uint c) {
    if (has(VKA_LINEAR_UNIFORM))
        return weight_eight(weight_rows[n], c);
    return Eight(subgroupShuffle(weight_parts[2u * n / SG], 2u * n % SG),
                 subgroupShuffle(weight_parts[(2u * n + 1u) / SG], (2u * n + 1u) % SG));
}

void multiply(uint c) {
    Eight x[RM];
    [[unroll]] for (uint r = 0u; r < RM; ++r) x[r] = x_eight(x_rows[r], c);
    [[unroll]] for (uint n = 0u; n < BC; ++n) {
        Eight w = weights_of(n, c);
        [[unroll]] for (uint r = 0u; r < RM; ++r)
            sums[r * BC + n] = dot_add(x[r].b, w.b, dot_add(x[r].a, w.a, sums[r * BC + n]));
    }
}

void main() {
    Batch b = find_batch();
    uint lane = gl_SubgroupInvocationID, row0 = gl_WorkGroupID.y * SG * RM + lane, n0 = gl_WorkGroupID.x * BC;
    [[unroll]] for (uint i = 0u; i < RM * BC; ++i) sums[i] = 0.0;
    [[unroll]] for (uint r = 0u; r < RM; ++r) x_rows[r] = b.x + min(row0 + r * SG, push.rows - 1u) * p.x.n;
    if (has(VKA_LINEAR_UNIFORM))
        [[unroll]] for (uint n = 0u; n < BC; ++n) weight_rows[n] = weight_row(b, n0 + n);
    [[dont_unroll]] for (uint c = b.begin / 8u; 8u * c < b.end; ++c) {
        if (!has(VKA_LINEAR_UNIFORM))
            [[unroll]] for (uint i = 0u; i < PARTS; ++i) weight_parts[i] = weight_part(b, n0, i * SG + lane, c);
        multiply(c);
    }
    // Not unrolled: scattered stores are the longest code of all.
    [[dont_unroll]] for (uint i = 0u; i < RM * (BC / 4u); ++i) {
        uint r = i / (BC / 4u), d = i % (BC / 4u), at = r * BC + 4u * d;
        put_sums(b, row0 + r * SG, n0 / 4u + d, vec4(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]));
    }
}
