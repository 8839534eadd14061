/* The attention that ranks share, and its inputs, which any rank can make of any token.
 * SPDX-License-Identifier: MIT */
#ifndef RING_PROBLEM_H
#define RING_PROBLEM_H

#include "ring/shards.h"

#include <vkattn/vkattn.h>

typedef struct problem {
    shards shards;
    uint32_t heads, kv_heads, dim;
    vka_dtype dtype; /* of q, k, v and d_out: f32 or f16. Results are f32 */
    bool causal, backward;
    uint32_t seed;
} problem;

typedef enum input { INPUT_Q, INPUT_K, INPUT_V, INPUT_D_OUT } input;

/* Numbers of a token: heads * dim. */
uint32_t problem_width(const problem *p, input which);

/* A token's numbers, with a mean of 0 and a variance of 1, as the type holds them. */
void problem_token(const problem *p, input which, uint32_t token, float *values);

/* Those of a rank's tokens, row by row, in the problem's type. */
void problem_rows(const problem *p, input which, uint32_t rank, void *rows);

/* Mixes the bits of a number so that each depends on all. */
uint64_t mixed_bits(uint64_t x);

#endif
