/* SPDX-License-Identifier: MIT */
#include "core/philox.h"

#include <string.h>

void vka__philox(const uint32_t counter[4], uint64_t seed, uint32_t words[4]) {
    uint32_t c[4], key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    memcpy(c, counter, sizeof c);
    for (int round = 0; round < 10; ++round) {
        uint64_t first = UINT64_C(0xd2511f53) * c[0], second = UINT64_C(0xcd9e8d57) * c[2];
        const uint32_t next[4] = {(uint32_t)(second >> 32) ^ c[1] ^ key[0], (uint32_t)second,
                                  (uint32_t)(first >> 32) ^ c[3] ^ key[1], (uint32_t)first};
        memcpy(c, next, sizeof c);
        key[0] += 0x9e3779b9;
        key[1] += 0xbb67ae85;
    }
    memcpy(words, c, sizeof c);
}
