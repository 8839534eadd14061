/* SPDX-License-Identifier: MIT */
#include "pool.h"

#include "common/program.h"

#include <stdlib.h>
#include <string.h>

static void add(pool *p, vka_buffer *buffer) {
    if (p->count == p->capacity) {
        vka_buffer **buffers = allocate(p->capacity = 2 * p->capacity + 16, sizeof(vka_buffer *));
        if (p->count) {
            memcpy(buffers, p->buffers, p->count * sizeof(vka_buffer *));
        }
        free(p->buffers);
        p->buffers = buffers;
    }
    p->buffers[p->count++] = buffer;
}

vka_tensor pool_take(pool *p, vka_memory memory, vka_dtype dtype, uint32_t rank, const uint32_t *shape) {
    uint64_t bytes = vka_dtype_size(dtype);
    vka_tensor t = {.dtype = dtype, .rank = rank};
    for (uint32_t i = 0; i < rank; i++) {
        t.shape[i] = shape[i];
        bytes *= shape[i];
    }
    add(p, t.buffer = create_buffer(p->device, bytes, memory));
    return t;
}

void pool_destroy(pool *p) {
    for (uint32_t i = 0; i < p->count; i++) {
        vka_buffer_destroy(&p->buffers[i]);
    }
    free(p->buffers);
    *p = (pool){0};
}
