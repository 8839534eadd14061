// A pair of attention's backward from memory, for kernels that own neither queries nor keys. After attention_backward.glsl.
// SPDX-License-Identifier: MIT
#include "backward_lists.glsl"

// Of a key or a query that does not exist: one that is not seen.
Pair memory_pair(Grid g, uint query, int key) {
    Pair none;
    none.weight = none.score = none.product = 0.0;
    none.seen = false;
    if (query >= g.q_len || key < 0 || key >= g.kv_len)
        return none;
    Row r = row_of(g, query);
    if (MAPPED)
        run = run_of(g, r, key);
    uint times = has(VKA_FLAG_KEY_LISTS) ? times_listed(g, query, key) : 1u;
    if (times == 0u || !sees(g, r, key))
        return none;
    uint q_at = query_at(g, uvec2(g.head, query)), d_at = d_out_row(g, query), v_at = value_row(g, key);
    Source k_at = key_source(g, key_head_at(g), key);
    float qk = 0.0, d_weight = 0.0;
    for (uint d = 0u; d < D4; ++d)
        qk = dot_add(query_vector4(g.head, q_at, d), key_vector4(k_at, d), qk);
    for (uint d = 0u; d < DV4; ++d)
        d_weight = dot_add(d_out_row4(d_at, b.d_out.d, d, DV, has(VKA_FLAG_VEC4_OUT)),
                           v_row4(v_at, p.v.d, d, DV, has(VKA_FLAG_VEC4_V)), d_weight);
    Pair pair = pair_of(g, r, query_state(g, query), key, qk, d_weight, false);
    pair.score *= float(times);
    pair.product *= float(times);
    return pair;
}
