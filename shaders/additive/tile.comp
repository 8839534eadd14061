#version 450
// Additive attention (Bahdanau 2014) where a workgroup owns a tile of queries, with an online softmax (Milakov and Gimelshein
// 2018) over steps of keys (Dao 2022).
//
// Scores: BR queries by BC keys a step. Invocations lie side by side over the keys; each has one key and RM queries. CHUNK
// vectors of channels of all of them are staged in shared memory at a time. Values: COLUMNS invocations lie side by side over
// the vectors of a value; ROW_GROUPS of them divide the queries, and with few queries KEY_GROUPS the keys, whose sums are
// added up at the end. What is done between the two is little next to tanh, and done by every invocation for itself.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "activation.glsl"
#include "additive.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_BR) const uint BR = 16u;
layout(constant_id = VKA_SPEC_BC) const uint BC = 32u;
layout(constant_id = VKA_SPEC_RM) const uint RM = 4u;
layout(constant_id = VKA_SPEC_K) const uint CHUNK = 8u;
layout(constant_id = VKA_SPEC_TC) const uint COLUMNS = 16u;

const uint SCORE_ROWS = GROUP_SIZE / BC; // queries whose scores are computed at the same time
const uint ROW_GROUPS = GROUP_SIZE / COLUMNS < BR ? GROUP_SIZE / COLUMNS : BR;
const uint KEY_GROUPS = GROUP_SIZE / COLUMNS / ROW_GROUPS;
const uint ROWS = BR / ROW_GROUPS;                       // of an invocation's output,
const uint VECTORS = (VALUES4 + COLUMNS - 1u) / COLUMNS; // and vectors of each

// What the plan counts as well: see choose_tile of additive_attention.c.
shared vec4 q_tile[CHUNK * BR];
shared vec4 k_tile[CHUNK * BC];
shared vec4 vector_tile[CHUNK];
shared float scores[BR * BC];
shared float weights[BR * BC]; // of hidden keys -1
shared float rescale[BR];      // what a row's old results are worth
shared float row_maximum[BR];  // at the end; NaN: the row is spoilt
shared vec4 part_out[KEY_GROUPS > 1u ? GROUP_SIZE : 1u];
shared float part_sum[KEY_GROUPS > 1u ? GROUP_SIZE : 1u];

// For the queries whose scores the invocation computes.
float maximum[RM];
bool spoilt[RM];

// For those whose output it has.
vec4 out_rows[ROWS * VECTORS];
float sum[ROWS];

uint score_key() {
    return gl_LocalInvocationIndex % BC;
}
uint score_row(uint n) {
    return gl_LocalInvocationIndex / BC + n * SCORE_ROWS;
}
uint column() {
    return gl_LocalInvocationIndex % COLUMNS;
}
uint out_row(uint n) {
    return gl_LocalInvocationIndex / COLUMNS % ROW_GROUPS + n * ROW_GROUPS;
}
uint key_group() {
    return gl_LocalInvocationIndex / COLUMNS / ROW_GROUPS;
}

// ---- scores -----------------------------------------------------------------------------------------------------------

void stage(Head head, uint first, int j, int keys, uint chunk) {
    for (uint i = gl_LocalInvocationIndex; i < CHUNK * BC; i += GROUP_SIZE) {
        uint d = chunk + i % CHUNK, c = i / CHUNK, at = head.k + uint(min(j + int(c), keys - 1)) * p.k.n;
        k_tile[i % CHUNK * BC + c] = d < DIM4 ? k_row4(at, p.k.d, d, DIM, has(VKA_FLAG_ADDITIVE_VEC4_QK)) : vec4(0.0);
    }
    for (uint i = gl_LocalInvocationIndex; i < CHUNK * BR; i += GROUP_SIZE) {
        uint d = chunk + i % CHUNK, r = i / CHUNK, at = head.q + min(first + r, push.rows - 1u) * p.q.n;
        q_tile[i % CHUNK * BR + r] = d < DIM4 ? q_row4(at, p.q.d, d, DIM, has(VKA_FLAG_ADDITIVE_VEC4_QK)) : vec4(0.0);
    }
    for (uint i = gl_LocalInvocationIndex; i < CHUNK; i += GROUP_SIZE) {
        uint d = chunk + i;
        vector_tile[i] = d < DIM4 ? vector_row4(head.vector, p.vector_d, d, DIM, has(VKA_FLAG_ADDITIVE_VEC4_VECTOR)) : vec4(0.0);
    }
}

void score_step(Head head, uint first, int j, int keys) {
    float s[RM];
    uint worst[RM];
    [[unroll]] for (uint n = 0u; n < RM; ++n) {
        s[n] = 0.0;
        worst[n] = 0u;
    }
    for (uint chunk = 0u; chunk < DIM4; chunk += CHUNK) {
        stage(head, first, j, keys, chunk);
        barrier();
        uint vectors = min(CHUNK, DIM4 - chunk);
        [[dont_unroll]] for (uint d = 0u; d < vectors; ++d) {
            vec4 k = k_tile[d * BC + score_key()], weight = vector_tile[d];
            [[unroll]] for (uint n = 0u; n < RM; ++n) add_channels(weight, q_tile[d * BR + score_row(n)] + k, s[n], worst[n]);
        }
        barrier();
    }
    int key = j + int(score_key());
    [[unroll]] for (uint n = 0u; n < RM; ++n) {
        uint row = min(first + score_row(n), push.rows - 1u);
        scores[score_row(n) * BC + score_key()] = key < keys ? score_of(head, row, key, s[n], worst[n]) : negative_infinity();
    }
    barrier();
}

// Scores to weights. All invocations of a row find the same maximum.
void softmax_step() {
    [[unroll]] for (uint n = 0u; n < RM; ++n) {
        uint row = score_row(n);
        float highest = maximum[n];
        for (uint c = 0u; c < BC; ++c) {
            float score = scores[row * BC + c];
            highest = max(highest, score);
            spoilt[n] = spoilt[n] || spoils(score);
        }
        float own = scores[row * BC + score_key()];
        weights[row * BC + score_key()] = is_hidden(own) ? -1.0 : exp_of(own - highest);
        if (score_key() == 0u)
            rescale[row] = exp_of(maximum[n] - highest);
        maximum[n] = highest;
    }
    barrier();
}

// ---- values -----------------------------------------------------------------------------------------------------------

void value_step(Head head, int j, int keys) {
    [[unroll]] for (uint n = 0u; n < ROWS; ++n) {
        sum[n] *= rescale[out_row(n)];
        [[unroll]] for (uint i = 0u; i < VECTORS; ++i) out_rows[n * VECTORS + i] *= rescale[out_row(n)];
    }
    uint count = uint(min(int(BC), keys - j));
    for (uint c = key_group(); c < count; c += KEY_GROUPS) {
        vec4 value[VECTORS];
        uint at = head.v + (uint(j) + c) * p.v.n;
        [[unroll]] for (uint i = 0u; i < VECTORS; ++i) {
            uint d = column() + i * COLUMNS;
            value[i] = d < VALUES4 ? v_row4(at, p.v.d, d, VALUES, has(VKA_FLAG_ADDITIVE_VEC4_V)) : vec4(0.0);
        }
        [[unroll]] for (uint n = 0u; n < ROWS; ++n) {
            float weight = weights[out_row(n) * BC + c];
            if (weight >= 0.0) {
                sum[n] += weight;
                [[unroll]] for (uint i = 0u; i < VECTORS; ++i)
                    out_rows[n * VECTORS + i] = fma(vec4(weight), value[i], out_rows[n * VECTORS + i]);
            }
        }
    }
}

// Adds up what groups of keys have; the first group then has all. An invocation has one row and one vector.
void join_key_groups() {
    if (KEY_GROUPS == 1u)
        return;
    part_out[gl_LocalInvocationIndex] = out_rows[0];
    part_sum[gl_LocalInvocationIndex] = sum[0];
    barrier();
    for (uint i = 1u; i < KEY_GROUPS && key_group() == 0u; ++i) {
        out_rows[0] += part_out[gl_LocalInvocationIndex + i * COLUMNS * ROW_GROUPS];
        sum[0] += part_sum[gl_LocalInvocationIndex + i * COLUMNS * ROW_GROUPS];
    }
}

void store_rows(Head head, uint first) {
    [[unroll]] for (uint n = 0u; n < ROWS; ++n) {
        uint row = first + out_row(n);
        if (row >= push.rows || key_group() > 0u)
            continue;
        float highest = row_maximum[out_row(n)], scale = normaliser(sum[n]);
        [[unroll]] for (uint i = 0u; i < VECTORS; ++i) {
            uint d = column() + i * COLUMNS;
            if (d < VALUES4)
                store_vector(head, row, d, out_rows[n * VECTORS + i] * scale, is_nonfinite(highest));
        }
        if (column() == 0u)
            store_lse(head, row, highest, sum[n], is_nonfinite(highest));
    }
}

void main() {
    Head head = head_of_group();
    uint first = (gl_WorkGroupID.x + push.x0) * BR;
    int keys = keys_of_rows(head, min(first + BR, push.rows) - 1u);
    [[unroll]] for (uint n = 0u; n < RM; ++n) {
        maximum[n] = LOWEST;
        spoilt[n] = false;
    }
    [[unroll]] for (uint n = 0u; n < ROWS; ++n) {
        sum[n] = 0.0;
        [[unroll]] for (uint i = 0u; i < VECTORS; ++i) out_rows[n * VECTORS + i] = vec4(0.0);
    }
    for (int j = 0; j < keys; j += int(BC)) {
        score_step(head, first, j, keys);
        softmax_step();
        value_step(head, j, keys);
    }
    [[unroll]] for (uint n = 0u; n < RM; ++n) {
        if (score_key() == 0u)
            row_maximum[score_row(n)] = spoilt[n] ? not_a_number() : maximum[n];
    }
    barrier();
    join_key_groups();
    store_rows(head, first);
}
