/* A small chain of dependent operations, as a transformer block has them: normalise, attend, add and normalise.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_TRANSFORMER_H
#define VKATTN_TEST_TRANSFORMER_H

#include <vkattn/attention.h>
#include <vkattn/norm.h>

#include "support/context.h"
#include "support/tensor.h"

/* x [N, H * D] -> n = norm(x) -> a = attention(n, n, n), causal, H heads -> y = norm(a + x), s = a + x. */
typedef struct transformer {
    context *c;
    uint32_t n, heads, dim;
    tensor x, normed, attended, sum, y;
    double *ref; /* of the step that is being compared */
    float *naive;
} transformer;

transformer transformer_make(context *c, vka_dtype dtype, uint32_t n, uint32_t heads, uint32_t dim, uint64_t seed);
void transformer_destroy(transformer *t);

/* The three descriptions. `splits` as in vka_attention_desc. */
vka_layer_norm_desc transformer_first(const transformer *t);
vka_attention_desc transformer_attention(const transformer *t, uint32_t splits);
vka_layer_norm_desc transformer_last(const transformer *t);

/* Prepares, records. */
vka_status transformer_prepare(const transformer *t, uint32_t splits);
vka_status transformer_record(const transformer *t, vka_recorder *recorder, uint32_t splits);
/* Poisons what the chain writes. */
void transformer_poison(transformer *t);
/* Downloads every step and asks the accuracy rule. */
bool transformer_ok(transformer *t);

#endif
