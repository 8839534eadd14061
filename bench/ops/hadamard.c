/* Hadamard transforms in the largest blocks.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include <vkattn/hadamard.h>

#include "reference.h"

static vka_hadamard_desc describe(const bench_problem *p) {
    return (vka_hadamard_desc){.x = p->tensors[BENCH_X].view, .out = p->tensors[BENCH_OUT].view};
}

static const char *check(const bench_case *c) {
    return c->cols % 2 ? "--cols must be even" : NULL;
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    uint32_t cols = p->c->cols, largest = cols & (~cols + 1), block = largest < 1024 ? largest : 1024;
    const float *x = p->tensors[BENCH_X].host + row * cols;
    ref_hadamard_row(cols, block, x, out->ref[0]);
    ref_hadamard_naive_row(cols, block, p->c->dtype, x, out->naive[0]);
}

BENCH_OPERATION(hadamard, BENCH_ELEMENTS, .title = "Hadamard transform", .word = "hadamard ", .check = check,
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_OUT), .reference = reference);
