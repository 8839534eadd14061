#version 450
// Gradients of an additive mask: those of scores, summed where it broadcasts. An invocation owns an element of the mask; what
// no query or key has is 0.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "activation.glsl"
#define VKA_WITH_MASK 1
#include "additive_backward.glsl"

VKA_READERS(result, VKA_BIND_ADDITIVE_D_RESULT, RESULT_TYPE)

float slope_of_pair(uint b, uint h, uint i, uint j) {
    uint kv = h / p.group, worst = 0u, stats_row = stats_of(b, h, i);
    if (j >= stats_w[stats_row + VKA_ADDITIVE_STATS_KEYS])
        return 0.0;
    uint q_row = place(VKA_BIND_ADDITIVE_D_OF_Q, p.q, b, h, i), k_row = place(VKA_BIND_ADDITIVE_D_OF_K, p.k, b, kv, j);
    uint vector = push.base[VKA_BIND_ADDITIVE_D_OF_VECTOR] + h * p.vector_h;
    vec4 sum = vec4(0.0), product = vec4(0.0);
    [[dont_unroll]] for (uint quad = 0u; quad < DIM4; ++quad)
        sum = fma(vector_quad(vector, quad), tanh4(q_quad(q_row, quad) + k_quad(k_row, quad), worst), sum);
    float score = finish_score(total(sum), worst, true, mask_element(b, h, i, j));
    if (is_hidden(score))
        return 0.0;
    uint v_row = place(VKA_BIND_ADDITIVE_D_OF_V, p.v, b, kv, j);
    uint d_out_row = place(VKA_BIND_ADDITIVE_D_OUT, p.d_out, b, h, i);
    [[dont_unroll]] for (uint quad = 0u; quad < VALUES4; ++quad)
        product = fma(d_out_quad(d_out_row, quad), v_quad(v_row, quad), product);
    return slope_of(probability_of(score, stats_row), total(product), stats_row);
}

// From the element's own one up to where its size is 1; there to the end.
uint end_of(uint at, uint size, uint count) {
    return size == 1u ? count : min(at + 1u, count);
}

void main() {
    vka_strides size = p.d_mask_size;
    uint number = (gl_WorkGroupID.x + push.x0) * GROUP_SIZE + gl_LocalInvocationIndex;
    uvec4 at = uvec4(number / size.d / size.n / size.h, number / size.d / size.n % size.h, number / size.d % size.n,
                     number % size.d);
    if (at.x >= size.b)
        return;
    float sum = 0.0;
    for (uint b = at.x; b < end_of(at.x, size.b, p.batch); ++b)
        for (uint h = at.y; h < end_of(at.y, size.h, p.heads); ++h)
            for (uint i = at.z; i < end_of(at.z, size.n, p.q_len); ++i) {
                float row = 0.0;
                for (uint j = at.w; j < end_of(at.w, size.d, p.kv_len); ++j)
                    row += slope_of_pair(b, h, i, j);
                sum += row;
            }
    uint to = place(VKA_BIND_ADDITIVE_D_RESULT, p.d_mask, at.x, at.y, at.z) + at.w * p.d_mask.d;
    result_put(to, sum + (has(VKA_FLAG_ADDITIVE_D_ACCUMULATE) ? result_at(to) : 0.0));
}
