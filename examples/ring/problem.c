/* SPDX-License-Identifier: MIT */
#include "ring/problem.h"

#include "common/program.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The end of splitmix64. */
uint64_t mixed_bits(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint32_t problem_width(const problem *p, input which) {
    return (which == INPUT_K || which == INPUT_V ? p->kv_heads : p->heads) * p->dim;
}

static void store(const problem *p, const float *values, void *to, uint32_t count) {
    if (p->dtype == VKA_F16) {
        vka_f32_to_f16(values, to, count);
    } else {
        memcpy(to, values, count * sizeof *values);
    }
}

static void make(const problem *p, input which, uint32_t token, float *values) {
    uint64_t first = mixed_bits(((uint64_t)p->seed << 34 | (uint64_t)which << 32 | token));
    for (uint32_t i = 0; i < problem_width(p, which); i++) {
        double share = (double)(mixed_bits(first + i) >> 11) * 0x1p-53;
        values[i] = (float)((2 * share - 1) * sqrt(3));
    }
}

void problem_token(const problem *p, input which, uint32_t token, float *values) {
    uint32_t width = problem_width(p, which);
    make(p, which, token, values);
    if (p->dtype == VKA_F16) {
        uint16_t *halves = allocate(width, sizeof *halves);
        vka_f32_to_f16(values, halves, width);
        vka_f16_to_f32(halves, values, width);
        free(halves);
    }
}

void problem_rows(const problem *p, input which, uint32_t rank, void *rows) {
    uint32_t width = problem_width(p, which);
    float *values = allocate(width, sizeof *values);
    for (uint32_t row = 0; row < shards_rows(&p->shards, rank); row++) {
        make(p, which, shards_token(&p->shards, rank, row), values);
        store(p, values, (char *)rows + (size_t)row * width * vka_dtype_size(p->dtype), width);
    }
    free(values);
}
