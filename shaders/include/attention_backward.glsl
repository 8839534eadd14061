// What the kernels of the backward pass share: the pair of a query and a key, and what it adds to gradients.
//
// With P = exp(S - lse), D = P (dO . V - delta), where delta = dO . O - d_lse of the query, the gradients are dV = P^T dO,
// dQ = scale D K and dK = scale D^T Q; D is that of biases, too (Dao 2022, appendix B). A pair that the query does not see
// adds nothing, whatever q, k, v and dO hold.
// SPDX-License-Identifier: MIT

VKA_INPUT(VKA_BIND_Q, q)
VKA_INPUT(VKA_BIND_K, k)
VKA_INPUT(VKA_BIND_V, v)
VKA_INPUT(VKA_BIND_D_OUT, d_out)
VKA_INPUT_F32(VKA_BIND_LSE, lse)
layout(set = 0, binding = VKA_BIND_WORKSPACE, std430) buffer ws_floats {
    float ws_f[];
};
#if VKA_WITH_OPTIONS
layout(set = 0, binding = VKA_BIND_WORKSPACE, std430) readonly buffer ws_words {
    uint ws_w[];
};
#endif
VKA_READERS(q, VKA_BIND_Q, Q_TYPE)
VKA_ANY_READERS(k, VKA_BIND_K, K_TYPE)
VKA_READERS(v, VKA_BIND_V, V_TYPE)
VKA_READERS(d_out, VKA_BIND_D_OUT, OUT_TYPE)
#if VKA_WITH_OPTIONS
VKA_INPUT_F32(VKA_BIND_STATS, k_scale) // there are none
#endif
#include "attention_keys.glsl"

uint value_row(Grid g, int key) {
    return push.base[VKA_BIND_V] + head_at(g, p.v) + uint(key) * p.v.n;
}

uint d_out_row(Grid g, uint query) {
    return push.base[VKA_BIND_D_OUT] + g.batch * b.d_out.b + g.head * b.d_out.h + (query + g.q_begin) * b.d_out.n;
}

// A query's place among the rows' sums in the workspace.
uint sum_at(Grid g, uint query) {
    return g.batch * b.delta.b + g.head * b.delta.h + (query + g.q_begin) * b.delta.n;
}

// Where a vector of a query's part of d_q lies there: that by keys, or that by keys of relative positions.
uint part_at(Grid g, uint query, uint d, bool by_position) {
    uint first = by_position ? b.out_batches * b.out_heads * b.out_rows : 0u;
    return b.parts + ((first + sum_at(g, query)) * D4 + d) * 4u;
}

// A query's log-sum-exp, in units of scores, and its delta. `alive`: it sees something.
struct QueryState {
    float lse, delta;
    bool alive;
#ifdef VKA_WITH_PRODUCTS
    float inverse; // of its length: see backward_norms.comp
#endif
};

QueryState query_state(Grid g, uint query) {
    float lse = lse_at(push.base[VKA_BIND_LSE] + g.batch * p.lse.b + g.head * p.lse.h + (query + g.q_begin) * p.lse.n);
    QueryState state;
    state.lse = lse / p.lse_scale;
    state.delta = ws_f[sum_at(g, query)];
    state.alive = lse != negative_infinity();
#ifdef VKA_WITH_PRODUCTS
    state.inverse = COSINE ? ws_f[b.query_norms + sum_at(g, query)] : 1.0;
#endif
    return state;
}

// ---- products --------------------------------------------------------------------------------------------------------

#ifdef VKA_WITH_PRODUCTS
// 1 / length of a key, as of a query. Of one beyond the last: of some other one.
float key_inverse(Grid g, int key) {
    return ws_f[b.key_norm.d + g.batch * b.key_norm.b + kv_head(g) * b.key_norm.h +
                min(uint(key) + g.kv_begin, p.kv_rows - 1u) * b.key_norm.n];
}

float relative_part4(uint q_at, uint head, uint key_at, uint d, float sum) {
    return dot_add(q_row4(q_at, p.q.d, d, D, has(VKA_FLAG_VEC4_QK)) + position_bias4(head, d), relative_key4(key_at, d),
                   sum);
}

// (q + v) . r of a pair. The first vector is read outside of the loop, where nothing depends on how wide a row is: Mesa's
// software driver from 26.1 on crashes where a buffer is read under a condition of a loop first.
float relative_part(Grid g, Row r, int key) {
    uint q_at = query_at(g, uvec2(r.head, r.query)), at = relative_key_at(g, r, key);
    float sum = relative_part4(q_at, r.head, at, 0u, 0.0);
    [[dont_unroll]] for (uint d = 1u; d < D4; ++d) sum = relative_part4(q_at, r.head, at, d, sum);
    return sum;
}
#endif

// What a key is multiplied by.
vec4 query_vector4(uint head, uint at, uint d) {
    vec4 x = q_row4(at, p.q.d, d, D, has(VKA_FLAG_VEC4_QK));
#ifdef VKA_WITH_PRODUCTS
    if (RELATIVE_KEYS)
        x += content_bias4(head, d);
#endif
    return x;
}

// What a pair adds: to dV as a factor of dO, to the gradient of its biases, and to that of q . k. Of cosines also to that of
// the head's factor.
struct Pair {
    float weight, score, product;
    bool seen;
#ifdef VKA_WITH_PRODUCTS
    float factor;
#endif
};

Pair pair_of(Grid g, Row r, QueryState state, int key, float qk, float d_weight, bool full) {
#ifdef VKA_WITH_PRODUCTS
    float q_inverse = abs(state.inverse), k_inverse = COSINE ? abs(key_inverse(g, key)) : 1.0;
    float cosine = qk * q_inverse * k_inverse, head_factor = COSINE ? cosine_scale(r.head) : 1.0;
    if (RELATIVE_KEYS)
        qk += relative_part(g, r, key);
    float score = score_of(COSINE ? cosine * head_factor : qk), capped_score = score;
#else
    float score = score_of(qk), capped_score = score;
#endif
    bool seen = full || (key < g.kv_len && in_band(g, r.query, key));
    if (biased())
        seen = bias_score(g, r, key, score) && seen;
    float weight = exp_of(score - state.lse), kept = apply_dropout(g, r, key, 1.0);
    if (has_option(VKA_FLAG_DROPOUT))
        kept *= p.keep_scale;
    float gradient = weight * (kept * d_weight - state.delta), product = gradient;
    if (has_option(VKA_FLAG_SOFTCAP)) {
        float ratio = capped_score * p.cap_inverse;
        product *= 1.0 - ratio * ratio;
    }
    seen = seen && state.alive;
    Pair pair;
    pair.weight = seen ? weight * kept : 0.0;
    pair.score = seen ? gradient : 0.0;
    pair.seen = seen;
#ifdef VKA_WITH_PRODUCTS
    pair.factor = seen ? product * cosine * b.grad_scale : 0.0;
    if (COSINE)
        product *= head_factor * q_inverse * k_inverse;
#endif
    pair.product = seen ? product : 0.0;
    return pair;
}

// ---- queries that see keys -------------------------------------------------------------------------------------------

// Queries begin .. end-1 see some of the keys first .. last, full_begin .. full_end-1 all of them, but for masks.
struct Queries {
    int begin, end, full_begin, full_end;
};

Queries queries_of(Grid g, int first, int last) {
    Queries w = Queries(0, int(g.q_len), 0, int(g.q_len));
    if (first >= g.kv_len)
        w.end = 0;
    if (has(VKA_FLAG_BAND)) {
        w.begin = max(first - g.band_hi, 0);
        w.full_begin = max(last - g.band_hi, w.begin);
        w.full_end = min(first - g.band_lo + 1, w.end);
        w.end = min(last - g.band_lo + 1, w.end);
    }
    if (last >= g.kv_len)
        w.full_end = w.full_begin;
    return w;
}

#if VKA_WITH_OPTIONS
// Of a block map, whose tiles backward_map.comp sorted by columns: where the tiles of a key's column begin and end.
uvec2 column_list(Grid g, uint key) {
    uint column = (p.map_heads == 1u ? 0u : g.head) * b.map_columns + (key >> MAP_KEYS_LOG2);
    return uvec2(column > 0u ? ws_w[b.column_ends + column - 1u] : 0u, ws_w[b.column_ends + column]);
}

// Makes one of them the run of a step.
void begin_column_tile(uint tile) {
    uint at = b.column_tiles + 2u * tile;
    run.first_row = int(ws_w[at]);
    run.bits = uvec2(ws_w[at + 1u]);
    run.partial = run.bits.x != MAP_FULL;
}
#endif
