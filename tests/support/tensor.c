/* SPDX-License-Identifier: MIT */
#include "tensor.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define GUARD  64 /* bytes before and after; a multiple of every element size */
#define POISON 0xff

const vka_dtype dtypes[DTYPES] = {VKA_F32, VKA_F16, VKA_BF16};

const char *dtype_name(vka_dtype dtype) {
    static const char *const names[] = {"none", "f32", "f16", "bf16", "u8", "i8", "i32", "q8_0", "q4_0"};
    return names[dtype];
}

static void *must(void *memory) {
    cr_assert_not_null(memory, "the test itself is out of memory");
    return memory;
}

/* Blocks lie along the last dimension, whole and side by side. */
static layout layout_of_blocks(layout l, uint32_t rank, uint32_t block) {
    bool last = l.order && l.order[rank - 1] == (char)('0' + rank - 1);
    return (layout){last ? l.order : NULL, l.pad * block, l.shift};
}

tensor tensor_create(context *c, vka_dtype dtype, uint32_t rank, const uint32_t *shape, layout l) {
    tensor t = {.view = {.dtype = dtype, .rank = rank}, .count = 1};
    uint32_t element = vka_dtype_size(dtype), block = vka_dtype_block(dtype);
    uint64_t stride = 1;
    if (block > 1) {
        cr_assert_eq(shape[rank - 1] % block, 0, "the test's own shape has half a block");
        l = layout_of_blocks(l, rank, block);
    }
    for (uint32_t level = rank; level-- > 0;) {
        uint32_t dim = l.order ? (uint32_t)(l.order[level] - '0') : level;
        t.view.shape[dim] = shape[dim];
        t.view.stride[dim] = stride;
        t.count *= shape[dim];
        stride = stride * (shape[dim] ? shape[dim] : 1) + l.pad;
    }
    t.view.offset = GUARD + (uint64_t)l.shift * (block > 1 ? 2 : element);
    t.size = (size_t)(t.view.offset + stride / block * element + GUARD);
    t.values = must(calloc(t.count + 1, sizeof *t.values));
    t.image = must(malloc(t.size));
    EXPECT_OK(vka_buffer_create(c->device, &(vka_buffer_desc){.size = t.size}, &t.view.buffer));
    tensor_poison(&t);
    return t;
}

void tensor_destroy(tensor *t) {
    vka_buffer_destroy(&t->view.buffer);
    free(t->values);
    free(t->image);
    *t = (tensor){0};
}

void tensor_fill_normal(tensor *t, ref_rng *rng, float mean, float deviation) {
    for (size_t i = 0; i < t->count; i++) {
        t->values[i] = mean + deviation * ref_rng_normal(rng);
    }
    tensor_round(t);
}

void tensor_round(tensor *t) {
    uint32_t block = vka_dtype_block(t->view.dtype);
    uint8_t bytes[64];
    for (size_t i = 0; i < t->count; i += block) {
        ref_store(t->view.dtype, bytes, t->values + i, block);
        ref_load(t->view.dtype, t->values + i, bytes, block);
    }
}

/* Byte position of the element, or the block, with this dense index. */
static size_t position(const tensor *t, size_t index) {
    uint64_t elements = 0;
    for (uint32_t dim = t->view.rank; dim-- > 0;) {
        elements += index % t->view.shape[dim] * t->view.stride[dim];
        index /= t->view.shape[dim];
    }
    return (size_t)(t->view.offset + elements / vka_dtype_block(t->view.dtype) * vka_dtype_size(t->view.dtype));
}

void tensor_upload(tensor *t) {
    uint32_t block = vka_dtype_block(t->view.dtype);
    for (size_t i = 0; i < t->count; i += block) {
        ref_store(t->view.dtype, t->image + position(t, i), t->values + i, block);
    }
    EXPECT_OK(vka_buffer_write(t->view.buffer, 0, t->image, t->size));
}

void tensor_poison(tensor *t) {
    memset(t->image, POISON, t->size);
    EXPECT_OK(vka_buffer_write(t->view.buffer, 0, t->image, t->size));
}

bool tensor_download(tensor *t) {
    uint8_t *now = must(malloc(t->size));
    uint32_t element = vka_dtype_size(t->view.dtype), block = vka_dtype_block(t->view.dtype);
    EXPECT_OK(vka_buffer_read(t->view.buffer, 0, now, t->size));
    for (size_t i = 0; i < t->count; i += block) {
        size_t at = position(t, i);
        ref_load(t->view.dtype, t->values + i, now + at, block);
        memcpy(t->image + at, now + at, element);
    }
    /* Elements now agree: what still differs is a guard. */
    bool intact = !memcmp(t->image, now, t->size);
    free(now);
    return intact;
}

void tensor_collect(tensor *t, bool output, const char *name, const char *what) {
    uint8_t *before = must(malloc(t->size));
    memcpy(before, t->image, t->size);
    cr_assert(tensor_download(t), "writes outside of %s; %s", name, what);
    cr_assert(output || !memcmp(before, t->image, t->size), "changes %s; %s", name, what);
    free(before);
}

uint8_t *tensor_bytes(const tensor *t, size_t index) {
    return t->image + position(t, index);
}

bool tensor_untouched(const tensor *t, size_t index) {
    const uint8_t *at = tensor_bytes(t, index);
    bool untouched = true;
    for (uint32_t n = 0; n < vka_dtype_size(t->view.dtype); n++) {
        untouched = untouched && at[n] == POISON;
    }
    return untouched;
}
