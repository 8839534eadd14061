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

// A query's log-sum-exp, in units of scores, and its delta. `alive`: it sees something.
struct QueryState {
    float lse, delta;
    bool alive;
};

QueryState query_state(Grid g, uint query) {
    uint row = query + g.q_begin;
    float lse = lse_at(push.base[VKA_BIND_LSE] + g.batch * p.lse.b + g.head * p.lse.h + row * p.lse.n);
    float delta = ws_f[g.batch * b.delta.b + g.head * b.delta.h + row * b.delta.n];
    return QueryState(lse / p.lse_scale, delta, lse != negative_infinity());
}

// What a pair adds: to dV as a factor of dO, to the gradient of its biases, and to that of q . k.
struct Pair {
    float weight, score, product;
    bool seen;
};

Pair pair_of(Grid g, Row r, QueryState state, int key, float qk, float d_weight, bool full) {
    float score = score_of(qk), capped_score = score;
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
    return Pair(seen ? weight * kept : 0.0, seen ? gradient : 0.0, seen ? product : 0.0, seen);
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
// Of a block map: its row that a query lies in, and the run that some keys are of there. false: nothing is seen.
bool find_run(Grid g, int map_row, int first_key) {
    run.first_row = map_row;
    uvec2 list = map_list(g, map_row);
    uint column = uint(first_key) >> MAP_KEYS_LOG2, tile = map_seek(list, column);
    run.bits = uvec2(tile < list.y && map_column(tile) == column ? map_tile_bits(tile) : MAP_DEAD);
    run.partial = run.bits.x != MAP_FULL;
    return run.bits.x != MAP_DEAD;
}
#endif
