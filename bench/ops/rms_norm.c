/* RMS norm.
 * SPDX-License-Identifier: MIT */
#include "op.h"

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

BENCH_OPERATION(rms_norm, BENCH_NORM, .title = "RMS norm", .word = "rms ", .group = "RMS norm",
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_WEIGHT) | BENCH_BIT(BENCH_RESIDUAL) |
                         BENCH_BIT(BENCH_OUT) | BENCH_BIT(BENCH_SUM),
                .reference = bench_rms_norm_reference);
