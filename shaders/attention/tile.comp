#version 450
// Attention where a workgroup owns a tile of query rows (Dao 2022) and stages keys and values in shared memory.
//
// Tiling: BR rows, BC keys a step. Invocation t belongs to row group t / TC, which owns RM rows, and is number t % TC of
// the TC invocations that share them. Of the scores of its rows it owns the keys t % TC + TC n; of their outputs one
// vector of four channels in every chunk of TC vectors. K and V pass through shared memory a chunk of 4 TC channels at a
// time, so that shared memory depends little on the head dimension; rows are padded by a vector against bank conflicts.
// Scores become probabilities in shared memory, as the invocations that need them all share the row; a negative
// probability marks a key that the row may not see, whose value counts as 0 whatever it holds.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "attention.glsl"
#include "attention_io.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

const uint CN = BC / TC;
const uint D_CHUNKS = (D4 + TC - 1u) / TC;
const uint DV_CHUNKS = (DV4 + TC - 1u) / TC;
const uint Q_STRIDE = D4 + 1u;
const uint KV_STRIDE = TC + 1u;
const uint P_STRIDE = BC / 4u + 1u;

shared vec4 q_tile[BR * Q_STRIDE];
shared vec4 kv_tile[BC * KV_STRIDE];
shared vec4 p_tile[BR * P_STRIDE];
shared float row_parts[BR * TC];

vec4 out_rows[RM * DV_CHUNKS];
float s[RM * CN]; // scores of the step
float row_max[RM], row_sum[RM];
Row row_info[RM];

uint tr, tc; // row group, and place within it

void load_queries(Grid g, uint first_row) {
    for (uint i = gl_LocalInvocationIndex; i < BR * D4; i += gl_WorkGroupSize.x) {
        uint d = i % D4;
        uvec2 query = row_query(g, min(first_row + i / D4, row_count(g) - 1u));
        uint at = query_at(g, query);
        q_tile[i / D4 * Q_STRIDE + d] = q_row4(at, p.q.d, d, D, has(VKA_FLAG_VEC4_QK));
    }
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        row_info[r] = row_of(g, min(first_row + tr * RM + r, row_count(g) - 1u));
        row_max[r] = LOWEST;
        row_sum[r] = 0.0;
        [[unroll]] for (uint x = 0u; x < DV_CHUNKS; ++x) out_rows[r * DV_CHUNKS + x] = vec4(0.0);
    }
}

// Keys j0 .. of a step, channels of a chunk; 0 beyond the last key and the last channel.
void stage_keys(Grid g, uint head, int j0, int end, uint chunk) {
    for (uint i = gl_LocalInvocationIndex; i < BC * TC; i += gl_WorkGroupSize.x) {
        uint c = i / TC, d = chunk * TC + i % TC;
        vec4 x = vec4(0.0);
        if (j0 + int(c) < end && d < D4)
            x = key_vector4(key_source(g, head, j0 + int(c)), d);
        kv_tile[c * KV_STRIDE + i % TC] = x;
    }
}

void stage_values(Grid g, uint head, int j0, int end, uint chunk) {
    for (uint i = gl_LocalInvocationIndex; i < BC * TC; i += gl_WorkGroupSize.x) {
        uint c = i / TC, d = chunk * TC + i % TC;
        vec4 x = vec4(0.0);
        if (j0 + int(c) < end && d < DV4)
            x = value_vector4(value_source(g, head, j0 + int(c)), d);
        kv_tile[c * KV_STRIDE + i % TC] = x;
    }
}

void multiply_keys(uint chunk) {
    uint count = min(TC, D4 - chunk * TC);
    for (uint i = 0u; i < count; ++i) {
        vec4 a[RM];
        [[unroll]] for (uint r = 0u; r < RM; ++r) a[r] = q_tile[(tr * RM + r) * Q_STRIDE + chunk * TC + i];
        [[unroll]] for (uint n = 0u; n < CN; ++n) {
            vec4 b = kv_tile[(tc + n * TC) * KV_STRIDE + i];
            [[unroll]] for (uint r = 0u; r < RM; ++r) s[r * CN + n] = dot_add(a[r], b, s[r * CN + n]);
        }
    }
}

// Scores to probabilities in shared memory; state and outputs move to the new maximum.
void soften(Grid g, int j0, int end, bool full) {
    bool visible[RM * CN];
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        float highest = LOWEST;
        [[unroll]] for (uint n = 0u; n < CN; ++n) {
            int j = j0 + int(tc + n * TC);
            visible[r * CN + n] = full || (j < end && in_band(g, row_info[r].query, j));
            s[r * CN + n] = score_of(s[r * CN + n]);
            if (biased() && visible[r * CN + n])
                visible[r * CN + n] = bias_score(g, row_info[r], j, s[r * CN + n]);
            highest = visible[r * CN + n] ? max(highest, s[r * CN + n]) : highest;
        }
        row_parts[(tr * RM + r) * TC + tc] = highest;
    }
    barrier();
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        uint row = tr * RM + r;
        float maximum = row_max[r];
        for (uint i = 0u; i < TC; ++i)
            maximum = max(maximum, row_parts[row * TC + i]);
        float rescale = exp2(row_max[r] - maximum);
        row_max[r] = maximum;
        row_sum[r] *= rescale;
        [[unroll]] for (uint n = 0u; n < CN; ++n) {
            uint c = tc + n * TC;
            float weight = visible[r * CN + n] ? exp2(s[r * CN + n] - maximum) : 0.0;
            row_sum[r] += weight;
            weight = kept(g, row_info[r], j0 + int(c), weight);
            p_tile[row * P_STRIDE + c / 4u][c % 4u] = visible[r * CN + n] ? weight : -1.0;
        }
        [[unroll]] for (uint x = 0u; x < DV_CHUNKS; ++x) out_rows[r * DV_CHUNKS + x] *= rescale;
    }
}

void multiply_values(uint chunk, bool full) {
    for (uint c4 = 0u; c4 < BC / 4u; ++c4) {
        vec4 weights[RM];
        [[unroll]] for (uint r = 0u; r < RM; ++r) weights[r] = p_tile[(tr * RM + r) * P_STRIDE + c4];
        [[unroll]] for (uint e = 0u; e < 4u; ++e) {
            vec4 value = kv_tile[(c4 * 4u + e) * KV_STRIDE + tc];
            [[unroll]] for (uint r = 0u; r < RM; ++r) {
                float weight = weights[r][e];
                vec4 seen = full || weight >= 0.0 || isnan(weight) ? value : vec4(0.0);
                out_rows[r * DV_CHUNKS + chunk] = fma(vec4(weight), seen, out_rows[r * DV_CHUNKS + chunk]);
            }
        }
    }
}

void store_row(Grid g, uint r, uvec2 query, float sum) {
    State final_state = State(row_max[r], sum);
    float scale = final_scale(final_state, query.x);
    [[unroll]] for (uint x = 0u; x < DV_CHUNKS; ++x) {
        uint d = x * TC + tc;
        if (d < DV4)
            store_vector(g, query, d, out_rows[r * DV_CHUNKS + x] * scale);
    }
    if (tc == 0u)
        store_state(g, query, final_state);
}

void store_rows(Grid g, uint first_row) {
    barrier();
    [[unroll]] for (uint r = 0u; r < RM; ++r) row_parts[(tr * RM + r) * TC + tc] = row_sum[r];
    barrier();
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        float sum = 0.0;
        for (uint i = 0u; i < TC; ++i)
            sum += row_parts[(tr * RM + r) * TC + i];
        uint row = first_row + tr * RM + r;
        if (is_row(g, row))
            store_row(g, r, row_query(g, row), sum);
    }
}

void value_chunk(Grid g, uint chunk, uint head, int j0, int end, bool full) {
    barrier();
    stage_values(g, head, j0, end, chunk);
    barrier();
    if (full)
        multiply_values(chunk, true);
    else
        multiply_values(chunk, false);
}

// Chunks are constants here and not of a loop to be unrolled: compilers unroll one with barriers and loops inside too late
// to keep the outputs in registers (NVK), or not at all, and then choose among all of them at every step (ANV: ten times
// the code, and half a minute to compile it). There are at most 16: 64 vectors in chunks of 4.
#define VALUE_CHUNK(x)                                                                                                 \
    if (DV_CHUNKS > (x))                                                                                               \
    value_chunk(g, x, v_head, j0, run.end, full)
#define VALUE_CHUNKS(x)                                                                                                \
    VALUE_CHUNK(x);                                                                                                    \
    VALUE_CHUNK(x + 1u);                                                                                               \
    VALUE_CHUNK(x + 2u);                                                                                               \
    VALUE_CHUNK(x + 3u)

void main() {
    tr = gl_LocalInvocationIndex / TC;
    tc = gl_LocalInvocationIndex % TC;
    Grid g = grid_position();
    if (is_idle(g))
        return;
    uint first_row = g.tile * BR;
    load_queries(g, first_row);
    uint k_head = key_head_at(g), v_head = value_head_at(g);
    run = walk_keys(g, first_row);
    for (int j0 = run.begin; j0 < run.end; advance(run, j0)) {
        bool full = is_full(j0);
        [[unroll]] for (uint i = 0u; i < RM * CN; ++i) s[i] = 0.0;
        for (uint chunk = 0u; chunk < D_CHUNKS; ++chunk) {
            barrier();
            stage_keys(g, k_head, j0, run.end, chunk);
            barrier();
            multiply_keys(chunk);
        }
        soften(g, j0, run.end, full);
        VALUE_CHUNKS(0u);
        VALUE_CHUNKS(4u);
        VALUE_CHUNKS(8u);
        VALUE_CHUNKS(12u);
    }
    store_rows(g, first_row);
}
