/* Which rank has which tokens, and what of each other's keys its queries see. Arithmetic alone.
 * SPDX-License-Identifier: MIT
 *
 * Tokens are cut into chunks. Of causal attention a late query sees more keys than an early one, so in a zigzag rank r
 * of R has the chunks r and 2 R - 1 - r: what one of them sees too little the other one sees too much, and all ranks
 * have as much to do in each step (Brandon 2023, "Striped Attention", has the problem; this order is that of Llama 3,
 * 2024). Contiguous, a rank has one chunk, and causal attention leaves early ranks idle. */
#ifndef RING_SHARDS_H
#define RING_SHARDS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum shards_order { SHARDS_ZIGZAG, SHARDS_CONTIGUOUS } shards_order;

typedef struct shards {
    uint32_t tokens, ranks; /* at least two tokens for each rank */
    shards_order order;
} shards;

/* Rows of a rank: its tokens in their order. `ranks` of these rows make up all tokens, each once. */
uint32_t shards_rows(const shards *s, uint32_t rank);
uint32_t shards_most_rows(const shards *s);
uint32_t shards_token(const shards *s, uint32_t rank, uint32_t row);

/* The rank whose keys a rank has after so many steps: its own, then those of the ranks before it. */
uint32_t shards_block(const shards *s, uint32_t rank, uint32_t step);

/* The rows of a rank's queries that see keys of a block, and the rows of these keys: all of them, or with `diagonal`
 * row i those up to i. No queries: there are none. */
typedef struct shards_part {
    uint32_t first_query, queries, first_key, keys;
    bool diagonal;
} shards_part;
shards_part shards_seen(const shards *s, bool causal, uint32_t rank, uint32_t block);

/* Pairs of a query and a key that it sees. */
uint64_t shards_pairs(const shards_part *p);

#endif
