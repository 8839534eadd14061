/* Built block maps, held against the reference pair by pair.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_PATTERN_CHECK_H
#define VKATTN_TEST_PATTERN_CHECK_H

#include <vkattn/pattern.h>

#include "pattern_case.h"
#include "support/context.h"

/* A built map, its blob, and what was asked for. */
typedef struct built {
    vka_pattern *pattern;
    void *blob;
    size_t size;
    vka_pattern_map map;
    char text[2048]; /* the description */
} built;

/* Has to succeed. Threads may build at once. */
built built_make(const context *c, const vka_pattern_desc *desc, vka_pattern_build how);
void built_free(built *b);

/* The same map to the bit, and in all that is said about it. */
void built_expect_same(const built *a, const built *b, const char *what);

/* The map is well formed, counted right, sees the pairs of the reference, and is the same when it is loaded again. */
void built_check(const context *c, const built *b, const vka_pattern_desc *d);

/* The host's map is right, the device's is the same. */
void pattern_check(const context *c, const vka_pattern_desc *d);

/* The same of a pattern of one term, which is drawn. */
void pattern_check_kind(const context *c, ref_rng *rng, vka_pattern_kind kind, uint32_t queries, uint32_t keys,
                        uint32_t heads);

#endif
