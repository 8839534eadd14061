/* SPDX-License-Identifier: MIT */
#include "random.h"

#include <math.h>

uint64_t random_next(random_state *r) {
    uint64_t x = r->at += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

random_state random_seed(uint64_t seed, const char *text) {
    random_state r = {seed};
    for (; *text; text++) {
        r.at = random_next(&r) ^ (unsigned char)*text;
    }
    r.at = random_next(&r);
    return r;
}

uint32_t random_below(random_state *r, uint32_t n) {
    return (uint32_t)((random_next(r) >> 32) * n >> 32);
}

/* Box and Muller 1958. */
float random_normal(random_state *r) {
    double u = (double)((random_next(r) >> 11) + 1) * 0x1p-53, v = (double)(random_next(r) >> 11) * 0x1p-53;
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}
