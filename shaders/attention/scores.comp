#version 450
// The scores of an attention at one stage of their journey, for whoever wants to look at them: the one kernel that writes
// something for every pair of query and key.
//
// An invocation owns one query and four keys. Stages are vka_score_stage, in VKA_SPEC_COLS.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#define VKA_WITH_OPTIONS 1
#include "elements.glsl"
#include "attention.glsl"
#include "blocks.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_COLS) const uint STAGE = 0u;

const uint SCALED = 0u, CAPPED = 1u, PROBABILITIES = 3u;

VKA_INPUT(VKA_BIND_Q, q)
VKA_INPUT(VKA_BIND_K, k)
VKA_OUTPUT(VKA_BIND_OUT, scores)
VKA_INPUT_F32(VKA_BIND_LSE, lse)
VKA_INPUT_F32(VKA_BIND_STATS, stats)
VKA_READERS(q, VKA_BIND_Q, Q_TYPE)
VKA_ANY_READERS(k, VKA_BIND_K, K_TYPE)
VKA_WRITERS(scores, OUT_TYPE)
VKA_INPUT_F32(VKA_BIND_K_SCALE, k_scale)
#include "attention_keys.glsl"

// What a row's probabilities are relative to, in natural units: its statistics if there are any, as a log-sum-exp that is
// large has lost the sum.
State row_state(Grid g, uvec2 query) {
    uint row = query.y + g.q_begin;
    if (has(VKA_FLAG_STATS)) {
        uint at = push.base[VKA_BIND_STATS] + g.batch * p.stats.b + query.x * p.stats.h + row * p.stats.n;
        return State(stats_at(at), stats_at(at + p.stats.d));
    }
    float lse = lse_at(push.base[VKA_BIND_LSE] + g.batch * p.lse.b + query.x * p.lse.h + row * p.lse.n);
    return State(lse, is_nan(lse) ? lse : lse != negative_infinity() ? 1.0 : 0.0);
}

float probability(float score, State s) {
    return is_nan(s.sum) ? s.sum : s.sum > 0.0 ? exp2((score * p.lse_scale - s.maximum) * LOG2E) / s.sum : 0.0;
}

// Keys that a sequence does not have, which are masked, belong to some part, too.
bool is_bound(Grid g, int key) {
    return (PAGE != 0u ? bound_page(pages_of(g), key) : min(g.kv_begin + uint(key), p.kv_rows - 1u) - push.dim1) < push.dim2;
}

float stage_of(Grid g, Row r, int key, float qk, State state) {
    if (STAGE == SCALED)
        return qk * p.score_scale * p.lse_scale;
    float score = score_of(qk);
    if (STAGE == CAPPED)
        return score * p.lse_scale;
    bool seen = (PERMUTED || key < g.kv_len) && in_band(g, r.query, key);
    if (seen && biased())
        seen = bias_score(g, r, key, score);
    if (STAGE == PROBABILITIES)
        return seen ? probability(score, state) : 0.0;
    return seen ? score * p.lse_scale : negative_infinity();
}

#ifdef VKA_WITH_PRODUCTS
// What stands in place of q . k.
float product(Grid g, Row r, uint q_at, Source from, int key) {
    float content = 0.0, relative = 0.0, q_squares = 0.0, k_squares = 0.0;
    uint relative_at = relative_key_at(g, r, key);
    for (uint d = 0u; d < D4; ++d) {
        vec4 q = q_row4(q_at, p.q.d, d, D, has(VKA_FLAG_VEC4_QK)), k = key_vector4(from, d);
        if (RELATIVE_KEYS) {
            content = dot_add(q + content_bias4(r.head, d), k, content);
            relative = dot_add(q + position_bias4(r.head, d), relative_key4(relative_at, d), relative);
        } else {
            content = dot_add(q, k, content);
            q_squares = dot_add(q, q, q_squares);
            k_squares = dot_add(k, k, k_squares);
        }
    }
    float factor = COSINE ? inverse_norm(q_squares) * cosine_scale(r.head) : 1.0;
    return COSINE ? content * inverse_norm(k_squares) * factor : content + relative;
}
#endif

void main() {
    uint item = (gl_WorkGroupID.x + push.x0) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    Grid g = sequence_of(gl_WorkGroupID.y + push.y0, gl_WorkGroupID.z + push.z0); // heads of queries
    uint slots = PERMUTED ? p.slots : p.kv_len, quads = (slots + 3u) / 4u;
    uint row = item / quads + push.row0;
    if (!is_row(g, row) || item / quads >= p.part_rows)
        return;
    uvec2 query = row_query(g, row);
    // Masks come later than the first stages, and a length is a mask: there all keys count that have a slot of their own.
    bool all_keys = STAGE <= CAPPED && PAGE == 0u && !has(VKA_FLAG_KV_OFFSETS);
    int first_key = int(item % quads) * 4, keys = PERMUTED || all_keys ? int(slots) : g.kv_len;
    Row r = row_of(g, row);
    uint q_at = query_at(g, query), k_head = key_head_at(g);
    State state = State(0.0, 0.0);
    if (STAGE == PROBABILITIES)
        state = row_state(g, query);
    if (MAPPED)
        run = run_of(g, r, first_key);
    for (int key = first_key; key < min(first_key + 4, int(slots)); ++key) {
        uint token = PERMUTED ? token_at(g, uint(key)) : uint(key);
        if (token >= p.kv_len || (PARTED && !is_bound(g, key)))
            continue;
        float qk = 0.0;
        if (key < keys) {
            Source from = key_source(g, k_head, key);
#ifdef VKA_WITH_PRODUCTS
            qk = product(g, r, q_at, from, key);
#else
            for (uint d = 0u; d < D4; ++d)
                qk = dot_add(q_row4(q_at, p.q.d, d, D, has(VKA_FLAG_VEC4_QK)), key_vector4(from, d), qk);
#endif
        }
        uint at = push.base[VKA_BIND_OUT] + g.batch * p.scores.b + query.x * p.scores.h + query.y * p.scores.n;
        scores_put(at + token * p.scores.d, stage_of(g, r, key, qk, state));
    }
}
