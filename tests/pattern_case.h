/* Patterns: written down, or with everything drawn at random.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_PATTERN_CASE_H
#define VKATTN_TEST_PATTERN_CASE_H

#include <vkattn/pattern.h>

#include "reference.h"

/* The terms of a description that is written down. */
#define TERMS(...)                                                                                                     \
    .terms = (const vka_pattern_term[]){__VA_ARGS__},                                                                  \
    .term_count = sizeof((const vka_pattern_term[]){__VA_ARGS__}) / sizeof(vka_pattern_term)

/* What a drawn description points to: on the heap, so that both may be moved. Zero owns nothing. */
typedef struct pattern_storage {
    vka_pattern_term *terms;
    void *lists[VKA_MAX_PATTERN_TERMS]; /* of tokens, documents, blocks or bits */
} pattern_storage;

/* A legal description: up to nine terms of any kinds, united and intersected, of all heads or some. heads = 0: one map
 * for all. Grids are of queries that are as many as keys, and vary most where these have many divisors. */
void pattern_draw(ref_rng *g, uint32_t queries, uint32_t keys, uint32_t heads, pattern_storage *s, vka_pattern_desc *d);

/* The same with one term, of this kind, for all heads. */
void pattern_draw_kind(ref_rng *g, vka_pattern_kind kind, uint32_t queries, uint32_t keys, uint32_t heads,
                       pattern_storage *s, vka_pattern_desc *d);
#define LAST_PATTERN_KIND VKA_PATTERN_CHUNKS

/* Takes a term out; to make a case that fails smaller. An alternative whose first term goes begins with the next one.
 */
void pattern_drop(pattern_storage *s, vka_pattern_desc *d, uint32_t term);

void pattern_free(pattern_storage *s);

/* In words. */
const char *pattern_describe(const vka_pattern_desc *d, char *text, size_t size);

#endif
