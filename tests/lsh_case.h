/* One sort by hashes, with inputs, reference and outputs.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_LSH_CASE_H
#define VKATTN_TEST_LSH_CASE_H

#include <vkattn/lsh.h>

#include "support/context.h"
#include "support/tensor.h"

typedef enum lsh_lengths {
    LENGTHS_NONE,
    LENGTHS_HOST,
    LENGTHS_TENSOR,
    LENGTHS_WILD, /* a tensor, and some of its lengths do not exist */
} lsh_lengths;

typedef enum lsh_content {
    CONTENT_NORMAL,
    CONTENT_WHOLE,     /* small whole numbers: sums are exact, and many are equal */
    CONTENT_NONFINITE, /* some tokens have NaN, infinities, or are 0; of several rotations the first one is NaN */
    CONTENT_ENORMOUS,  /* sums overflow: any bucket will do                       */
} lsh_content;

/* Zero: f32, one round of 8 buckets for one token of 64 channels, dense, with every output; keys as x. */
typedef struct lsh_case {
    vka_dtype dtype, keys_type;
    uint32_t batch, heads, tokens, dim, rounds;
    uint32_t bucket_count[2];
    bool shared_rotations; /* by all heads */
    bool no_keys;
    lsh_lengths lengths;
    lsh_content content;
    float epsilon;
    layout layout;
} lsh_case;

typedef struct lsh_problem {
    context *c;
    lsh_case l;
    uint64_t seed;
    tensor x, rotations, permutation, buckets, keys, lengths;
    int32_t *listed, *tokens; /* [batch]: lengths as listed, and as applied */
} lsh_problem;

lsh_problem lsh_make(context *c, lsh_case l, uint64_t seed);
void lsh_destroy(lsh_problem *p);
vka_lsh_sort_desc lsh_desc(const lsh_problem *p);
/* Sets all bytes of the outputs to what no result is. */
void lsh_poison(lsh_problem *p);
/* Runs it with poisoned outputs and workspace, and asserts that every bucket is right, that permutations are the stable
 * sort of the buckets, the accuracy rule for keys, and that nothing else was written. */
void lsh_run(lsh_problem *p);
/* Asserts what lsh_run does of the outputs of a run of the caller's own. */
void lsh_compare(lsh_problem *p);
/* make, run, destroy. */
void lsh_check(context *c, lsh_case l);

/* After a download: element `index` of a tensor of integers. */
int32_t lsh_integer(const tensor *t, size_t index);

#endif
