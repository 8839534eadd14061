/* Views of tensors that are nowhere: dense in any order, or drawn.
 * SPDX-License-Identifier: MIT */
#include "plan_view.h"

#include <string.h>

vka__view ordered(vka_dtype dtype, const uint32_t shape[4], const char *order) {
    vka__view v = {.present = true, .dtype = dtype, .size = vka_dtype_size(dtype), .block = vka_dtype_block(dtype)};
    uint64_t stride = 1;
    memcpy(v.shape, shape, sizeof v.shape);
    for (int level = 3; level >= 0; level--) {
        int dim = order[level] - '0';
        v.stride[dim] = v.shape[dim] < 2 ? 0 : stride;
        stride *= v.shape[dim];
    }
    return v;
}

vka__view dense(vka_dtype dtype, uint32_t b, uint32_t h, uint32_t n, uint32_t d) {
    return ordered(dtype, (const uint32_t[4]){b, h, n, d}, "0123");
}

vka__view random_view(ref_rng *rng, vka_dtype dtype, uint32_t b, uint32_t h, uint32_t n, uint32_t d) {
    static const char *const orders[] = {"0123", "0213", "2013", "0132"};
    uint32_t block = vka_dtype_block(dtype), size = vka_dtype_size(dtype);
    const char *order = orders[ref_rng_below(rng, block > 1 ? 3 : 4)];
    vka__view v = {.present = true, .dtype = dtype, .size = size, .block = block, .shape = {b, h, n, d}};
    uint64_t stride = 1;
    v.offset = (uint64_t)(block > 1 ? 2 : size) * ref_rng_below(rng, 300);
    for (int level = 3; level >= 0; level--) {
        int dim = order[level] - '0';
        v.stride[dim] = v.shape[dim] < 2 ? 0 : stride;
        stride = stride * (v.shape[dim] ? v.shape[dim] : 1) + (ref_rng_below(rng, 4) ? 0 : block);
    }
    return v;
}

uint32_t one_of(ref_rng *rng, const uint32_t *list, size_t count) {
    return list[ref_rng_below(rng, (uint32_t)count)];
}
