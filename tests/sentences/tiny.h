/* A small model with random weights, in files, as the example reads them.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_SENTENCES_TINY_H
#define VKATTN_TEST_SENTENCES_TINY_H

#include "examples/sentences/weights.h"

/* A layer whose results are wider than what comes in, and one that keeps the width. */
enum { TINY_TENSORS = 1 + 14 + 12 + 2 };

/* As vka_safetensors_write takes them, to be spoilt before that. */
typedef struct tiny_model {
    char names[TINY_TENSORS][64];
    vka_safetensor tensors[TINY_TENSORS];
    uint32_t count;
    const char *heads; /* NULL: no metadata */
} tiny_model;

extern const char tiny_vocabulary[];

void tiny_create(tiny_model *m, uint64_t seed);
void tiny_destroy(tiny_model *m);
vka_safetensor *tiny_find(tiny_model *m, const char *name);
/* Asserts that it worked. */
void tiny_write(const tiny_model *m, const char *path);

/* Asserts that a sentence is cut into these pieces. */
void expect_ids(const vocabulary *v, const char *text, const int32_t *want, size_t count);
#define EXPECT_IDS(v, text, ...)                                                                                       \
    expect_ids(v, text, (const int32_t[]){__VA_ARGS__}, sizeof(int32_t[]){__VA_ARGS__} / sizeof(int32_t))

#endif
