// Where a row's final results lie: its outputs, and what it tells about its softmax. Expects out, lse and stats.
// SPDX-License-Identifier: MIT

uint out_at(Grid g, uvec2 query) {
    return push.base[VKA_BIND_OUT] + g.batch * p.out_.b + query.x * p.out_.h + (query.y + g.q_begin) * p.out_.n;
}

// 0 for -0: which of them a sum of zeros is may depend on the signs of values that the row does not see.
vec4 plain_zeros(vec4 x) {
    uvec4 bits = floatBitsToUint(x);
    return uintBitsToFloat(mix(bits, uvec4(0u), equal(bits, uvec4(0x80000000u))));
}

float plain_zero(float x) {
    return plain_zeros(vec4(x)).x;
}

void store_final(Grid g, uvec2 query, State s) {
    uint row = query.y + g.q_begin;
    if (has(VKA_FLAG_LSE))
        lse_put(push.base[VKA_BIND_LSE] + g.batch * p.lse.b + query.x * p.lse.h + row * p.lse.n, lse_of(s));
#if VKA_WITH_OPTIONS
    if (has(VKA_FLAG_STATS)) {
        uint at = push.base[VKA_BIND_STATS] + g.batch * p.stats.b + query.x * p.stats.h + row * p.stats.n;
        stats_put(at, s.sum > 0.0 || is_nan(s.sum) ? s.maximum * p.lse_scale : negative_infinity());
        stats_put(at + p.stats.d, s.sum);
    }
#endif
}
