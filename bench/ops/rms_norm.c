/* RMS norm.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

static vka_rms_norm_desc describe(const bench_problem *p) {
    return (vka_rms_norm_desc){
        .x = p->tensors[BENCH_X].view,
        .out = p->tensors[BENCH_OUT].view,
        .weight = p->tensors[BENCH_WEIGHT].view,
        .residual = p->tensors[BENCH_RESIDUAL].view,
        .sum = p->tensors[BENCH_SUM].view,
        .path = bench_norm_path(p->c),
    };
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    ref_norm n = {
        .rows = c->rows,
        .cols = c->cols,
        .x = p->tensors[BENCH_X].host,
        .weight = p->tensors[BENCH_WEIGHT].host,
        .residual = p->tensors[BENCH_RESIDUAL].host,
        .round_sum = c->residual,
        .rms = true,
        .epsilon = 1e-5,
    };
    double mean, inv_rms;
    float naive_mean, naive_inv_rms;
    ref_norm_row(&n, c->dtype, (uint32_t)row, out->ref[0], out->ref[1], &mean, &inv_rms);
    ref_norm_naive_row(&n, c->dtype, (uint32_t)row, out->naive[0], out->naive[1], &naive_mean, &naive_inv_rms);
}

BENCH_OPERATION(rms_norm, BENCH_NORM, .title = "RMS norm", .word = "rms ", .group = "RMS norm",
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_WEIGHT) | BENCH_BIT(BENCH_RESIDUAL) |
                         BENCH_BIT(BENCH_OUT) | BENCH_BIT(BENCH_SUM),
                .reference = reference);
