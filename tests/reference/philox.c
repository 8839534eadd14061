/* Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011: Parallel random numbers: as easy as 1, 2, 3).
 * SPDX-License-Identifier: MIT */
#include "reference.h"

void ref_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t even = UINT64_C(0xd2511f53) * c0, odd = UINT64_C(0xcd9e8d57) * c2;
        c0 = (uint32_t)(odd >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)odd;
        c2 = (uint32_t)(even >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)even;
        k0 += 0x9e3779b9;
        k1 += 0xbb67ae85;
    }
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
}
