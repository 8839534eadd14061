/* The sum of two tensors.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

static vka_combine_desc describe(const bench_problem *p) {
    return (vka_combine_desc){.a = p->tensors[BENCH_X].view,
                              .b = p->tensors[BENCH_RESIDUAL].view,
                              .out = p->tensors[BENCH_OUT].view,
                              .kind = VKA_COMBINE_ADD};
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const float *a = p->tensors[BENCH_X].host + row * p->c->cols,
                *b = p->tensors[BENCH_RESIDUAL].host + row * p->c->cols;
    for (uint32_t i = 0; i < p->c->cols; i++) {
        out->ref[0][i] = (double)a[i] + (double)b[i];
        out->naive[0][i] = ref_round(p->c->dtype, a[i] + b[i]);
    }
}

BENCH_OPERATION(combine, BENCH_ELEMENTS, .title = "sum", .word = "add ",
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_RESIDUAL) | BENCH_BIT(BENCH_OUT), .reference = reference);
