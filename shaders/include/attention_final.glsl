// Where a row's final results lie: its outputs, and what it tells about its softmax. Expects out, lse and stats.
// SPDX-License-Identifier: MIT

uint out_at(Grid g, uvec2 query) {
    return push.base[VKA_BIND_OUT] + g.batch * p.out_.b + query.x * p.out_.h + (query.y + g.q_begin) * p.out_.n;
}

void store_final(Grid g, uvec2 query, State s) {
    uint row = query.y + g.q_begin;
    if (has(VKA_FLAG_LSE))
        lse_put(push.base[VKA_BIND_LSE] + g.batch * p.lse.b + query.x * p.lse.h + row * p.lse.n, lse_of(s));
#if VKA_RICH
    if (has(VKA_FLAG_STATS)) {
        uint at = push.base[VKA_BIND_STATS] + g.batch * p.stats.b + query.x * p.stats.h + row * p.stats.n;
        stats_put(at, s.sum > 0.0 || isnan(s.sum) ? s.maximum * LN2 : negative_infinity());
        stats_put(at + p.stats.d, s.sum);
    }
#endif
}
