/* The fifty largest of each row.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include <vkattn/sampling.h>

#include "reference.h"

#include <stdlib.h>

static uint32_t count_of(const bench_case *c) {
    return c->cols < 50 ? c->cols : 50;
}

static vka_top_k_desc describe(const bench_problem *p) {
    return (vka_top_k_desc){.x = p->tensors[BENCH_X].view, .values = p->tensors[BENCH_OUT].view};
}

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    return vka_tensor_2d(NULL, c->dtype, c->rows, slot == BENCH_OUT ? count_of(c) : c->cols);
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    const float *x = p->tensors[BENCH_X].host + row * c->cols;
    uint32_t *order = malloc(c->cols * sizeof *order);
    bool sorted = order && ref_order(x, c->cols, order);
    for (uint32_t i = 0; i < count_of(c); i++) {
        out->naive[0][i] = sorted ? x[order[i]] : 0;
        out->ref[0][i] = (double)out->naive[0][i];
    }
    free(order);
}

BENCH_OPERATION(top_k, .shape = BENCH_SHAPE_ROWS, .label = bench_rows_label, .tensor = tensor,
                .effort = bench_rows_effort, .title = "top k", .word = "top k ", .group = "Sampling",
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_OUT), .reference = reference);
