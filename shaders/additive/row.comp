#version 450
// Additive attention (Bahdanau 2014) where an invocation owns a query, with an online softmax (Milakov and Gimelshein 2018).
//
// All invocations of a workgroup walk over the same keys, KEYS a step, and load the same ones; a row's maximum, sum and output
// stay in registers. No shared memory, no barriers: made for software drivers. A query's channels are read again for each
// step, which is nothing next to what their tanh cost.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "activation.glsl"
#include "additive.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_BC) const uint KEYS = 4u;

vec4 out_row[VALUES4];
float maximum = LOWEST;
float sum = 0.0;
bool spoilt = false;
float s[KEYS]; // scores of a step, then weights; of hidden keys the weight is -1

void score_step(Head head, uint row, int j, int last) {
    uint worst[KEYS];
    [[unroll]] for (uint c = 0u; c < KEYS; ++c) {
        s[c] = 0.0;
        worst[c] = 0u;
    }
    uint q_at = head.q + row * p.q.n;
    for (uint d = 0u; d < DIM4; ++d) {
        vec4 q = q_row4(q_at, p.q.d, d, DIM, has(VKA_FLAG_ADDITIVE_VEC4_QK));
        vec4 weight = vector_row4(head.vector, p.vector_d, d, DIM, has(VKA_FLAG_ADDITIVE_VEC4_VECTOR));
        [[unroll]] for (uint c = 0u; c < KEYS; ++c) {
            uint k_at = head.k + uint(min(j + int(c), last)) * p.k.n;
            add_channels(weight, q + k_row4(k_at, p.k.d, d, DIM, has(VKA_FLAG_ADDITIVE_VEC4_QK)), s[c], worst[c]);
        }
    }
    [[unroll]] for (uint c = 0u; c < KEYS; ++c) {
        s[c] = j + int(c) <= last ? score_of(head, row, j + int(c), s[c], worst[c]) : negative_infinity();
    }
}

// Scores to weights; returns what the row's old results are worth.
float softmax_step() {
    float highest = maximum;
    [[unroll]] for (uint c = 0u; c < KEYS; ++c) {
        highest = max(highest, s[c]);
        spoilt = spoilt || spoils(s[c]);
    }
    float rescale = exp_of(maximum - highest), step_sum = 0.0;
    maximum = highest;
    [[unroll]] for (uint c = 0u; c < KEYS; ++c) {
        bool hidden = is_hidden(s[c]);
        float weight = exp_of(s[c] - maximum);
        step_sum += hidden ? 0.0 : weight;
        s[c] = hidden ? -1.0 : weight;
    }
    sum = sum * rescale + step_sum;
    return rescale;
}

// A key at a time, as compilers of software drivers take long over long values.
void value_step(Head head, int j, int last, float rescale) {
    VKA_UNROLL(d, VALUES4) out_row[d] *= rescale;
    uint count = min(uint(last - j) + 1u, KEYS);
    [[dont_unroll]] for (uint c = 0u; c < count; ++c) {
        uint at = head.v + (uint(j) + c) * p.v.n;
        float weight = s[c];
        bool hidden = weight < 0.0;
        VKA_UNROLL(d, VALUES4) {
            vec4 value = v_row4(at, p.v.d, d, VALUES, has(VKA_FLAG_ADDITIVE_VEC4_V));
            out_row[d] = hidden ? out_row[d] : fma(vec4(weight), value, out_row[d]);
        }
    }
}

// The final row, on purpose in an array that is indexed at run time: stores are the longest code a software driver generates,
// and in a loop there is one of them instead of one a vector.
vec4 final_row[VALUES4];

void main() {
    Head head = head_of_group();
    uint first = (gl_WorkGroupID.x + push.x0) * GROUP_SIZE, own = first + gl_LocalInvocationIndex;
    uint row = min(own, push.rows - 1u);
    int last = keys_of_rows(head, min(first + GROUP_SIZE, push.rows) - 1u) - 1;
    VKA_UNROLL(d, VALUES4) out_row[d] = vec4(0.0);
    for (int j = 0; j <= last; j += int(KEYS)) {
        score_step(head, row, j, last);
        float rescale = softmax_step();
        value_step(head, j, last, rescale);
    }
    if (own >= push.rows)
        return;
    float scale = normaliser(sum);
    VKA_UNROLL(d, VALUES4) final_row[d] = out_row[d] * scale;
    [[dont_unroll]] for (uint d = 0u; d < VALUES4; ++d)
        store_vector(head, row, d, final_row[d], spoilt);
    store_lse(head, row, maximum, sum, spoilt);
}
