/* Gradients of RMS norm: statistics, d_x and those of weights. Rows of d_x are compared.
 * SPDX-License-Identifier: MIT */
#include "op.h"

static vka_rms_norm_backward_desc describe(const bench_problem *p) {
    return (vka_rms_norm_backward_desc){
        .x = p->tensors[BENCH_X].view,
        .d_out = p->tensors[BENCH_RESIDUAL].view,
        .weight = p->tensors[BENCH_WEIGHT].view,
        .d_x = p->tensors[BENCH_OUT].view,
        .d_weight = bench_d_parameter(p, 0, p->c->cols),
        .path = bench_norm_path(p->c),
    };
}

BENCH_OPERATION(rms_norm_backward, BENCH_NORM_BACKWARD, .title = "gradient of RMS norm", .word = "rms backward ",
                .group = "RMS norm", .reference = bench_rms_norm_backward_reference);
