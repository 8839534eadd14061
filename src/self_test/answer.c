/* SPDX-License-Identifier: MIT */
#include "self_test/answer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Outputs lie apart, so that writes beside them are seen. */
#define GAP 64

void vka__answer_is(vka__answer *a, const void *desc, size_t size, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(a->name, sizeof a->name, format, args);
    va_end(args);
    memcpy(a->desc, desc, size);
    a->desc_size = size;
}

int32_t vka__answer_integer(uint32_t index, uint32_t salt, int32_t most) {
    uint32_t h = (index + 1) * 0x9e3779b1u ^ salt * 0x85ebca6bu;
    h = (h ^ h >> 15) * 0x2c1b3c6du;
    h = (h ^ h >> 12) * 0x297a2d39u;
    return (int32_t)((h ^ h >> 15) % (2 * (uint32_t)most + 1)) - most;
}

/* All problems fit: tests run each of them. */
double *vka__answer_numbers(vka__answer *a, uint32_t count) {
    double *numbers = a->numbers + a->used;
    a->used += count;
    return numbers;
}

double *vka__answer_integers(vka__answer *a, uint32_t count, uint32_t salt, int32_t most) {
    double *x = vka__answer_numbers(a, count);
    for (uint32_t i = 0; i < count; ++i)
        x[i] = vka__answer_integer(i, salt, most);
    return x;
}

double vka__answer_bound(vka_dtype dtype) {
    return dtype == VKA_F32 ? 1e-4 : dtype == VKA_BF16 ? 1.0 / 32 : 1.0 / 128;
}

const char *vka__answer_type(vka_dtype dtype) {
    static const char *const names[] = {[VKA_F32] = "f32", [VKA_F16] = "f16",   [VKA_BF16] = "bf16", [VKA_U8] = "u8",
                                        [VKA_I8] = "i8",   [VKA_Q8_0] = "q8_0", [VKA_Q4_0] = "q4_0"};
    return names[dtype];
}

/* ---- tensors ---------------------------------------------------------------------------------------------------- */

static vka_tensor dense(vka_dtype dtype, uint32_t rank, const uint32_t *shape, uint32_t *count) {
    vka_tensor t = {.dtype = dtype, .rank = rank};
    *count = 1;
    for (uint32_t i = 0; i < rank; ++i) {
        t.shape[i] = shape[i];
        *count *= shape[i];
    }
    return t;
}

/* A block of 32 integers, with a scale of 1. */
static void encode_block(vka_dtype dtype, const double *x, unsigned char *to) {
    const uint16_t one = 0x3c00;
    memcpy(to, &one, sizeof one);
    for (uint32_t i = 0; i < 32 && dtype == VKA_Q8_0; ++i)
        to[2 + i] = (unsigned char)(int)x[i];
    for (uint32_t i = 0; i < 16 && dtype == VKA_Q4_0; ++i)
        to[2 + i] = (unsigned char)((int)x[i] + 8 + 16 * ((int)x[i + 16] + 8));
}

static void encode(vka_dtype dtype, const double *values, uint32_t count, char *to) {
    for (uint32_t i = 0; i < count; ++i) {
        float f = (float)values[i];
        int32_t whole = dtype == VKA_I32 || dtype == VKA_U8 ? (int32_t)values[i] : 0;
        uint16_t half;
        if (dtype == VKA_F32)
            memcpy(to + 4 * (size_t)i, &f, sizeof f);
        else if (dtype == VKA_I32)
            memcpy(to + 4 * (size_t)i, &whole, sizeof whole);
        else if (dtype == VKA_U8)
            to[i] = (char)whole;
        else if (vka_dtype_block(dtype) > 1) {
            if (i % 32 == 0)
                encode_block(dtype, values + i, (unsigned char *)to + i / 32 * (size_t)vka_dtype_size(dtype));
        } else {
            (dtype == VKA_F16 ? vka_f32_to_f16 : vka_f32_to_bf16)(&f, &half, 1);
            memcpy(to + 2 * (size_t)i, &half, sizeof half);
        }
    }
}

static uint32_t bytes_of(vka_dtype dtype, uint32_t count) {
    return count / vka_dtype_block(dtype) * vka_dtype_size(dtype);
}

vka_tensor vka__answer_input(vka__answer *a, vka_dtype dtype, uint32_t rank, const uint32_t *shape,
                             const double *values) {
    uint32_t count;
    vka_tensor t = dense(dtype, rank, shape, &count);
    t.buffer = a->in;
    t.offset = a->in_used;
    a->in_used += (uint32_t)vka__align_up(bytes_of(dtype, count), GAP);
    encode(dtype, values, count, (char *)vka_buffer_map(a->in) + t.offset);
    return t;
}

vka_tensor vka__answer_result(vka__answer *a, vka_dtype dtype, uint32_t rank, const uint32_t *shape, const double *want,
                              double bound) {
    vka__answer_output *o = &a->output[a->output_count++];
    o->tensor = dense(dtype, rank, shape, &o->count);
    o->tensor.buffer = a->out;
    o->tensor.offset = a->out_used;
    o->want = want;
    o->bound = bound;
    a->out_used += (uint32_t)vka__align_up(bytes_of(dtype, o->count), GAP) + GAP;
    return o->tensor;
}

/* ---- results ---------------------------------------------------------------------------------------------------- */

void vka__answer_poison(const vka__answer *a) {
    memset(vka_buffer_map(a->out), 0xff, a->out_used);
}

static double element(const char *from, vka_dtype dtype, uint32_t index) {
    float f;
    int32_t whole;
    uint16_t half;
    if (dtype == VKA_I32) {
        memcpy(&whole, from + 4 * (size_t)index, sizeof whole);
        return whole;
    }
    if (dtype == VKA_F32) {
        memcpy(&f, from + 4 * (size_t)index, sizeof f);
        return f;
    }
    memcpy(&half, from + 2 * (size_t)index, sizeof half);
    (dtype == VKA_F16 ? vka_f16_to_f32 : vka_bf16_to_f32)(&half, &f, 1);
    return f;
}

static bool is_close(double got, double want, double bound) {
    if (isnan(want) || isinf(want))
        return isnan(want) ? isnan(got) : got == want;
    return fabs(got - want) <= bound * fmax(1, fabs(want));
}

static bool is_output_right(const vka__answer_output *o, const char *memory, char *text, size_t size) {
    for (uint32_t i = 0; i < o->count; ++i) {
        double got = element(memory + o->tensor.offset, o->tensor.dtype, i);
        if (!is_close(got, o->want[i], o->bound)) {
            snprintf(text, size, "element %u is %g and not %g", i, got, o->want[i]);
            return false;
        }
    }
    return true;
}

bool vka__answer_is_right(const vka__answer *a, char *text, size_t size) {
    const unsigned char *memory = vka_buffer_map(a->out);
    uint64_t end = 0;
    for (uint32_t i = 0; i < a->output_count; ++i) {
        const vka__answer_output *o = &a->output[i];
        uint64_t next = i + 1 < a->output_count ? o[1].tensor.offset : a->out_used;
        if (!is_output_right(o, (const char *)memory, text, size))
            return false;
        for (end = o->tensor.offset + bytes_of(o->tensor.dtype, o->count); end < next; ++end)
            if (memory[end] != 0xff) {
                snprintf(text, size, "it wrote behind its result, into byte %llu",
                         (unsigned long long)(end - o->tensor.offset));
                return false;
            }
    }
    return true;
}
