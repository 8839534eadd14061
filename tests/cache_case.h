/* One append to a cache, with inputs, reference and outputs.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_CACHE_CASE_H
#define VKATTN_TEST_CACHE_CASE_H

#include <vkattn/cache.h>

#include "rope_case.h"
#include "support/context.h"
#include "support/tensor.h"

#define CACHE_SEQUENCES 4 /* at most */

/* How lists of the case get to the library. */
typedef enum cache_lists {
    LISTS_NONE, /* no lengths */
    LISTS_HOST,
    LISTS_TENSOR,
} cache_lists;

/* Zero: f32 into f32, one sequence, head and token, 8 channels, room for 16 tokens, dense. */
typedef struct cache_case {
    vka_dtype dtype;          /* of k and v      */
    vka_dtype k_type, v_type; /* of the caches   */
    uint32_t batch, heads, tokens, head_dim, value_dim, capacity;
    bool no_keys, no_values;
    uint32_t page;      /* rows of a page; 0: not paged; then the capacity is rounded up to whole pages        */
    bool foreign_pages; /* some that do not exist                                                              */
    cache_lists lists;
    int32_t lengths[CACHE_SEQUENCES];
    bool packed; /* tokens are those of all sequences */
    int32_t offsets[CACHE_SEQUENCES + 1];
    uint32_t max_len;
    bool new_lengths;
    bool rotate;
    uint32_t dims;
    bool interleaved;
    int32_t offset;
    rope_tables tables;
    float scale;    /* of the values; 0 = 1                                                                     */
    bool nonfinite; /* NaN, infinity, zeros and tiny numbers among the values                                   */
    layout layout, cache_layout;
} cache_case;

/* Keys or values. */
typedef struct cache_side {
    tensor x, cache, scale;
} cache_side;

typedef struct cache_problem {
    context *c;
    cache_case a;
    uint64_t seed;
    uint32_t columns; /* of the page table */
    cache_side side[2];
    tensor page_table, lengths, offsets, new_lengths, cos, sin;
    int32_t *pages;   /* [batch, columns]                          */
    cache_case *host; /* whose lists descriptions with host values point to */
} cache_problem;

cache_problem cache_make(context *c, cache_case a, uint64_t seed);
void cache_destroy(cache_problem *p);
vka_cache_append_desc cache_desc(const cache_problem *p);
/* Runs it on caches full of poison and asserts what every row holds, and that nothing else was written. */
void cache_run(cache_problem *p);
/* Asserts the same after a run of the caller's own. */
void cache_compare(cache_problem *p);
/* make, run, destroy. */
void cache_check(context *c, cache_case a);

#endif
