/* How sorts by counting cut their tokens into blocks.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_LSH_BLOCKS_H
#define VKA_LSH_BLOCKS_H

#include "core/core.h"
#include "params/lsh.h"

/* A block is at least as long as the widest workgroups are, so that these have work. */
#define VKA__BLOCK_TOKENS 256
/* More blocks than this only make the walk down their counts longer. */
#define VKA__MAX_BLOCKS 1024
/* A table of counts has at most so many for each token. */
#define VKA__COUNTS_PER_TOKEN 2

/* Of a row of so many tokens. */
static inline void vka__lsh_choose_blocks(vka_lsh_params *params, uint32_t tokens, uint32_t buckets) {
    uint32_t least = vka__max_u32(vka__div_up(tokens, VKA__MAX_BLOCKS), vka__div_up(buckets, VKA__COUNTS_PER_TOKEN));
    params->buckets = buckets;
    params->block = vka__round_up(least, VKA__BLOCK_TOKENS);
    params->blocks = vka__div_up(tokens, params->block);
}

#endif
