/* Tensors that live as long as a model, each in a buffer of its own.
 * SPDX-License-Identifier: MIT */
#ifndef TRAINING_POOL_H
#define TRAINING_POOL_H

#include <vkattn/vkattn.h>

typedef struct pool {
    vka_device *device;
    vka_buffer **buffers;
    uint32_t count, capacity;
} pool;

/* Zeros at first, mapped unless it is VKA_MEMORY_DEVICE. For f32 and i32. */
vka_tensor pool_take(pool *p, vka_memory memory, vka_dtype dtype, uint32_t rank, const uint32_t *shape);
void pool_destroy(pool *p);

#endif
