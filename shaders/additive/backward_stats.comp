#version 450
// Gradients of additive attention, first step: what the others need of each query, in the workspace: its log-sum-exp,
// delta = d_out . out - d_lse, and how many keys lengths and causality let it see. An invocation owns a query.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/additive_attention_backward.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_DV) const uint VALUES = 64u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_additive_attention_backward_params p;
};

#define OUT_TYPE TYPE_OF(VKA_ROLE_ADDITIVE_D_V)
#define D_OUT_TYPE TYPE_OF(VKA_ROLE_ADDITIVE_D_OUT)

VKA_INPUT(VKA_BIND_ADDITIVE_D_OF_OUT, out)
VKA_READERS(out, VKA_BIND_ADDITIVE_D_OF_OUT, OUT_TYPE)
VKA_INPUT(VKA_BIND_ADDITIVE_D_OUT, d_out)
VKA_READERS(d_out, VKA_BIND_ADDITIVE_D_OUT, D_OUT_TYPE)
VKA_INPUT_F32(VKA_BIND_ADDITIVE_D_OF_LSE, lse)
VKA_INPUT_F32(VKA_BIND_ADDITIVE_D_LSE, d_lse)
VKA_INPUT_I32(VKA_BIND_ADDITIVE_D_LENGTHS, length)
VKA_OUTPUT(VKA_BIND_ADDITIVE_D_STATS, stats)

uint at(uint slot, vka_strides s, uvec3 row) {
    return push.base[slot] + row.x * s.b + row.y * s.h + row.z * s.n;
}

float delta_of(uvec3 row) {
    uint out_row = at(VKA_BIND_ADDITIVE_D_OF_OUT, p.out_, row), d_out_row = at(VKA_BIND_ADDITIVE_D_OUT, p.d_out, row);
    float sum = 0.0;
    for (uint d = 0u; 4u * d < VALUES; ++d) {
        vec4 x = out_row4(out_row, p.out_.d, d, VALUES, has(VKA_FLAG_ADDITIVE_D_VEC4_V));
        vec4 y = d_out_row4(d_out_row, p.d_out.d, d, VALUES, has(VKA_FLAG_ADDITIVE_D_VEC4_V));
        sum = fma(x.w, y.w, fma(x.z, y.z, fma(x.y, y.y, fma(x.x, y.x, sum))));
    }
    return has(VKA_FLAG_ADDITIVE_D_LSE) ? sum - d_lse_at(at(VKA_BIND_ADDITIVE_D_LSE, p.d_lse, row)) : sum;
}

uint keys_of(uvec3 row) {
    int keys = int(p.kv_len);
    if (has(VKA_FLAG_LENGTHS))
        keys = clamp(length_at(row.x * p.length_b), 0, keys);
    int diagonal = has(VKA_FLAG_ADDITIVE_D_OWN) ? keys - int(p.q_len) : p.diagonal;
    return uint(has(VKA_FLAG_ADDITIVE_D_CAUSAL) ? clamp(int(row.z) + diagonal + 1, 0, keys) : keys);
}

void main() {
    uint number = (gl_WorkGroupID.x + push.x0) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    uvec3 row = uvec3(number / p.q_len / p.heads, number / p.q_len % p.heads, number % p.q_len);
    if (row.x >= p.batch)
        return;
    uint to = push.base[VKA_BIND_ADDITIVE_D_STATS] + number * VKA_ADDITIVE_STATS;
    stats_w[to + VKA_ADDITIVE_STATS_LSE] = floatBitsToUint(lse_at(at(VKA_BIND_ADDITIVE_D_OF_LSE, p.lse, row)));
    stats_w[to + VKA_ADDITIVE_STATS_DELTA] = floatBitsToUint(delta_of(row));
    stats_w[to + VKA_ADDITIVE_STATS_KEYS] = keys_of(row);
}
