/* The tensors of a case: random inputs on host and device, outputs on the device.
 * SPDX-License-Identifier: MIT */
#include "ops/op.h"

#include "reference.h"

#include <stdlib.h>
#include <string.h>

/* Uniform in +-2: scores get a standard deviation of 1.3 at any head dimension, so that softmax has something to choose
 * from. Ends of the range are far from overflow in f16. */
static const bench_bounds usual = {-2, 2};

static size_t elements(const vka_tensor *t) {
    size_t n = t->rank ? 1 : 0;
    for (uint32_t i = 0; i < t->rank; i++) {
        n *= t->shape[i];
    }
    return n;
}

size_t bench_problem_bytes(const bench_problem *p, bench_slot slot) {
    const bench_tensor *t = &p->tensors[slot];
    return t->count ? t->count / vka_dtype_block(t->view.dtype) * vka_dtype_size(t->view.dtype) : 0;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

/* Large tensors repeat their first elements: a billion random numbers would take minutes. The period is a prime, so no
 * two of the first four million rows, whatever their width, begin at the same element of it. */
#define PERIOD ((size_t)4194301)

/* Copies the first `unit` bytes over the rest. */
static void repeat(void *bytes, size_t unit, size_t size) {
    for (size_t at = unit; at < size; at += unit) {
        memcpy((char *)bytes + at, bytes, size - at < unit ? size - at : unit);
    }
}

/* Random values, rounded to storage, on host and device; integers are below `most`. */
static vka_status fill(bench_tensor *t, size_t bytes, uint32_t most, bench_bounds bounds, ref_rng *rng) {
    vka_dtype dtype = t->view.dtype;
    void *storage = malloc(bytes);
    t->host = malloc(t->count * sizeof *t->host);
    vka_status status = storage && t->host ? VKA_OK : VKA_OUT_OF_MEMORY;
    if (status == VKA_OK) {
        size_t block = vka_dtype_block(dtype), unit = t->count < PERIOD * block ? t->count : PERIOD * block;
        for (size_t i = 0; i < unit; i++) {
            t->host[i] =
                dtype == VKA_I32 ? (float)ref_rng_below(rng, most) : ref_rng_uniform(rng, bounds.least, bounds.most);
        }
        ref_store(dtype, storage, t->host, unit);
        ref_load(dtype, t->host, storage, unit);
        repeat(t->host, unit * sizeof *t->host, t->count * sizeof *t->host);
        repeat(storage, unit / block * vka_dtype_size(dtype), bytes);
        status = vka_buffer_write(t->buffer, 0, storage, bytes);
    }
    free(storage);
    return status;
}

static vka_status create_tensor(bench_problem *p, bench_slot slot, ref_rng *rng) {
    bench_tensor *t = &p->tensors[slot];
    t->view = bench_case_tensor(p->c, slot);
    t->count = elements(&t->view);
    if (!t->count) {
        return VKA_OK;
    }
    vka_buffer_desc desc = {.size = bench_problem_bytes(p, slot)};
    vka_status status = vka_buffer_create(p->device, &desc, &t->buffer);
    t->view.buffer = t->buffer;
    bench_bounds bounds = p->op->bounds ? p->op->bounds(p->c, slot) : usual;
    uint32_t most = p->op->integers ? p->op->integers(p->c) : p->c->cols;
    return status == VKA_OK && slot < BENCH_OUT ? fill(t, desc.size, most, bounds, rng) : status;
}

vka_status bench_problem_create(bench_problem *p, vka_device *device, const bench_case *c, uint64_t seed) {
    *p = (bench_problem){.c = c, .op = bench_operation_of(c->op), .device = device};
    ref_rng rng = ref_rng_seed(seed);
    vka_status status = VKA_OK;
    for (bench_slot slot = 0; slot < BENCH_SLOTS && status == VKA_OK; slot++) {
        status = create_tensor(p, slot, &rng);
    }
    if (status == VKA_OK) {
        status = bench_problem_poison(p);
    }
    if (status != VKA_OK) {
        bench_problem_destroy(p);
    }
    return status;
}

void bench_problem_destroy(bench_problem *p) {
    for (bench_slot slot = 0; slot < BENCH_SLOTS; slot++) {
        vka_buffer_destroy(&p->tensors[slot].buffer);
        free(p->tensors[slot].host);
    }
    memset(p->tensors, 0, sizeof p->tensors);
}

vka_status bench_problem_poison(bench_problem *p) {
    vka_status status = VKA_OK;
    for (bench_slot slot = BENCH_OUT; slot < BENCH_SLOTS && status == VKA_OK; slot++) {
        size_t size = bench_problem_bytes(p, slot);
        if (!size) {
            continue;
        }
        void *poison = malloc(size);
        if (poison) {
            memset(poison, 0xff, size); /* NaN in every type */
        }
        status = poison ? vka_buffer_write(p->tensors[slot].buffer, 0, poison, size) : VKA_OUT_OF_MEMORY;
        free(poison);
    }
    return status;
}

void *bench_problem_read(const bench_problem *p, bench_slot slot) {
    size_t size = bench_problem_bytes(p, slot);
    void *bytes = size ? malloc(size) : NULL;
    if (bytes && vka_buffer_read(p->tensors[slot].buffer, 0, bytes, size) != VKA_OK) {
        free(bytes);
        return NULL;
    }
    return bytes;
}
