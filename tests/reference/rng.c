/* xoshiro256** (Blackman and Vigna 2018), seeded by splitmix64.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

ref_rng ref_rng_seed(uint64_t seed) {
    ref_rng r;
    for (int i = 0; i < 4; i++) {
        seed += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        r.state[i] = z ^ (z >> 31);
    }
    return r;
}

static uint64_t rotate(uint64_t x, int k) {
    return (x << k) | (x >> (64 - k));
}

uint64_t ref_rng_u64(ref_rng *r) {
    uint64_t *s = r->state, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint32_t ref_rng_below(ref_rng *r, uint32_t n) {
    return (uint32_t)(((ref_rng_u64(r) >> 32) * n) >> 32);
}

float ref_rng_uniform(ref_rng *r, float lo, float hi) {
    return lo + (hi - lo) * (float)(ref_rng_u64(r) >> 40) * 0x1p-24f;
}

/* Box and Muller 1958; 1 - u is never 0. */
float ref_rng_normal(ref_rng *r) {
    float u = ref_rng_uniform(r, 0, 1), v = ref_rng_uniform(r, 0, 1);
    return sqrtf(-2 * logf(1 - u)) * cosf(6.28318531f * v);
}
