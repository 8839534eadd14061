// What the kernels of additive attention's gradients share: tensors, and what a pair of a query and a key has.
//
// After elements.glsl and activation.glsl. VKA_WITH_MASK: there may be a mask.
// SPDX-License-Identifier: MIT
#include "params/additive_attention_backward.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;
layout(constant_id = VKA_SPEC_D) const uint DIM = 64u; // channels of a score
layout(constant_id = VKA_SPEC_DV) const uint VALUES = 64u;
const uint DIM4 = (DIM + 3u) / 4u;
const uint VALUES4 = (VALUES + 3u) / 4u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_additive_attention_backward_params p;
};

#define Q_TYPE TYPE_OF(VKA_ROLE_ADDITIVE_D_OF_Q)
#define K_TYPE TYPE_OF(VKA_ROLE_ADDITIVE_D_OF_K)
#define V_TYPE TYPE_OF(VKA_ROLE_ADDITIVE_D_OF_V)
#define VECTOR_TYPE TYPE_OF(VKA_ROLE_ADDITIVE_D_OF_VECTOR)
#define D_OUT_TYPE TYPE_OF(VKA_ROLE_ADDITIVE_D_OUT)
#define RESULT_TYPE TYPE_OF(VKA_ROLE_ADDITIVE_D_RESULT)

VKA_INPUT(VKA_BIND_ADDITIVE_D_OF_Q, q)
VKA_READERS(q, VKA_BIND_ADDITIVE_D_OF_Q, Q_TYPE)
VKA_INPUT(VKA_BIND_ADDITIVE_D_OF_K, k)
VKA_READERS(k, VKA_BIND_ADDITIVE_D_OF_K, K_TYPE)
VKA_INPUT(VKA_BIND_ADDITIVE_D_OF_V, v)
VKA_READERS(v, VKA_BIND_ADDITIVE_D_OF_V, V_TYPE)
VKA_INPUT(VKA_BIND_ADDITIVE_D_OF_VECTOR, vector)
VKA_READERS(vector, VKA_BIND_ADDITIVE_D_OF_VECTOR, VECTOR_TYPE)
VKA_INPUT(VKA_BIND_ADDITIVE_D_OUT, d_out)
VKA_READERS(d_out, VKA_BIND_ADDITIVE_D_OUT, D_OUT_TYPE)
VKA_INPUT(VKA_BIND_ADDITIVE_D_STATS, stats)
VKA_INOUT(VKA_BIND_ADDITIVE_D_RESULT, result)
VKA_WRITERS(result, RESULT_TYPE)
#if VKA_WITH_MASK
#    define MASK_TYPE TYPE_OF(VKA_ROLE_ADDITIVE_D_OF_MASK)
VKA_INPUT(VKA_BIND_ADDITIVE_D_OF_MASK, mask)
VKA_READERS(mask, VKA_BIND_ADDITIVE_D_OF_MASK, MASK_TYPE)
#endif

#include "additive_scores.glsl"

uint place(uint slot, vka_strides s, uint b, uint h, uint row) {
    return push.base[slot] + b * s.b + h * s.h + row * s.n;
}

vec4 q_quad(uint row, uint quad) {
    return q_row4(row, p.q.d, quad, DIM, has(VKA_FLAG_ADDITIVE_D_VEC4_QK));
}
vec4 k_quad(uint row, uint quad) {
    return k_row4(row, p.k.d, quad, DIM, has(VKA_FLAG_ADDITIVE_D_VEC4_QK));
}
vec4 vector_quad(uint row, uint quad) {
    return vector_row4(row, p.vector_d, quad, DIM, false);
}
vec4 v_quad(uint row, uint quad) {
    return v_row4(row, p.v.d, quad, VALUES, has(VKA_FLAG_ADDITIVE_D_VEC4_V));
}
vec4 d_out_quad(uint row, uint quad) {
    return d_out_row4(row, p.d_out.d, quad, VALUES, has(VKA_FLAG_ADDITIVE_D_VEC4_V));
}

// Where a query's statistics are.
uint stats_of(uint b, uint h, uint i) {
    return push.base[VKA_BIND_ADDITIVE_D_STATS] + ((b * p.heads + h) * p.q_len + i) * VKA_ADDITIVE_STATS;
}

uint mask_element(uint b, uint h, uint i, uint j) {
#if VKA_WITH_MASK
    return place(VKA_BIND_ADDITIVE_D_OF_MASK, p.mask, b, h, i) + j * p.mask.d;
#else
    return 0u;
#endif
}

// Of a sum in four parts, which loses fewer digits than one of floats.
float total(vec4 x) {
    return (x.x + x.y) + (x.z + x.w);
}

// A pair's probability.
float probability_of(float score, uint stats_row) {
    return exp_of(score - uintBitsToFloat(stats_w[stats_row + VKA_ADDITIVE_STATS_LSE]) * QUARTER);
}

// The gradient of its score; `product`: d_out . v.
float slope_of(float probability, float product, uint stats_row) {
    return probability * (product - uintBitsToFloat(stats_w[stats_row + VKA_ADDITIVE_STATS_DELTA]));
}
