#version 450
// A linear layer where an invocation owns rows of x, for software drivers: no shared memory, no barriers.
//
// Tiling: a workgroup is one subgroup. Its invocation t owns the rows t, t + SG, .. and BC outputs of them. At a step the
// subgroup loads 4 SG columns of each row of weights together, a vector of four an invocation, and broadcasts each vector when
// it is due: there broadcasts are nearly free, and loads are not.
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

float sums[RM * BC];
vec4 weight_parts[BC];
uint x_rows[RM], weight_rows[BC];

// Columns 4 d .. of a row of weights; 0 beyond the last one.
vec4 weight_part(uint n, uint d, uint end) {
    return 4u * d < end ? weights_weights4(weight_rows[n], p.weight.d, d, p.k, has(VKA_LINEAR_WEIGHT_VEC4)) : vec4(0.0);
}

void multiply(uint c, uint place, uint end) {
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        Eight x = Eight(vec4(0.0), vec4(0.0));
        if (8u * c < end)
            x = x_eight(x_rows[r], c);
        [[unroll]] for (uint n = 0u; n < BC; ++n) {
            float sum = dot_add(x.a, subgroupShuffle(weight_parts[n], place), sums[r * BC + n]);
            sums[r * BC + n] = dot_add(x.b, subgroupShuffle(weight_parts[n], place + 1u), sum);
        }
    }
}

void main() {
    Batch b = find_batch();
    uint lane = gl_SubgroupInvocationID, row0 = gl_WorkGroupID.y * SG * RM + lane, n0 = gl_WorkGroupID.x * BC;
    [[unroll]] for (uint i = 0u; i < RM * BC; ++i) sums[i] = 0.0;
    [[unroll]] for (uint r = 0u; r < RM; ++r) x_rows[r] = b.x + min(row0 + r * SG, push.rows - 1u) * p.x.n;
    [[unroll]] for (uint n = 0u; n < BC; ++n) weight_rows[n] = b.weight + min(n0 + n, push.dim1 - 1u) * p.weight.n;
    for (uint k = b.begin; k < b.end; k += 4u * SG) {
        [[unroll]] for (uint n = 0u; n < BC; ++n) weight_parts[n] = weight_part(n, k / 4u + lane, b.end);
        [[unroll]] for (uint c = 0u; c < SG / 2u; ++c) multiply(k / 8u + c, 2u * c, b.end);
    }
    // Not unrolled: scattered stores are the longest code of all.
    [[dont_unroll]] for (uint i = 0u; i < RM * (BC / 4u); ++i) {
        uint r = i / (BC / 4u), d = i % (BC / 4u), at = r * BC + 4u * d;
        put_sums(b, row0 + r * SG, n0 / 4u + d, vec4(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]));
    }
}
