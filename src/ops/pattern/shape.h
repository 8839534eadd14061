/* Block maps: how they lie in memory.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_PLAN_PATTERN_H
#define VKA_PLAN_PATTERN_H

#include <vkattn/pattern.h>

#include "core/core.h"

/* A map in memory: words of 32 bits, one part after the other.
 *   rows   [heads * tile_rows + 1]            at 0
 *   tiles  [live tiles] of two words          at tiles_at
 *   bits   [partial tiles, query_tile, key_tile / 32]  at bits_at
 *   permutation [tile_rows * query_tile]           at permutation_at; 0: there is none
 */
typedef struct vka__pattern_shape {
    vka_pattern_info info;
    uint32_t tiles_at, bits_at, permutation_at;
    uint64_t words;
} vka__pattern_shape;

#endif
