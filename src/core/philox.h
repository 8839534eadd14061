/* Random numbers that everybody can compute again: Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011: Parallel random
 * numbers: as easy as 1, 2, 3). shaders/include/options.glsl has the same.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_PHILOX_H
#define VKA_PHILOX_H

#include <stdint.h>

/* Four words of a counter; the key is the seed, its low word first. */
void vka__philox(const uint32_t counter[4], uint64_t seed, uint32_t words[4]);

#endif
