/* Views of tensors that are nowhere, as plans see them.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_PLAN_VIEW_H
#define VKATTN_TEST_PLAN_VIEW_H

#include "core/view.h"
#include "reference.h"

/* From the first byte on and without gaps; `order` names the dimensions from the outermost in memory on: "0123". */
vka__view ordered(vka_dtype dtype, const uint32_t shape[4], const char *order);
vka__view dense(vka_dtype dtype, uint32_t b, uint32_t h, uint32_t n, uint32_t d);

/* Anywhere in its buffer, in any order and with gaps. Blocks lie along the last dimension, at any even place. */
vka__view random_view(ref_rng *rng, vka_dtype dtype, uint32_t b, uint32_t h, uint32_t n, uint32_t d);

/* One of the numbers that follow. */
#define ONE_OF(rng, ...)                                                                                               \
    one_of(rng, (const uint32_t[]){__VA_ARGS__}, sizeof(const uint32_t[]){__VA_ARGS__} / sizeof(uint32_t))
uint32_t one_of(ref_rng *rng, const uint32_t *list, size_t count);

#endif
