/* Gradients of layer norm: statistics, d_x and those of weights and biases. Rows of d_x are compared.
 * SPDX-License-Identifier: MIT */
#include "op.h"

static vka_layer_norm_backward_desc describe(const bench_problem *p) {
    return (vka_layer_norm_backward_desc){
        .x = p->tensors[BENCH_X].view,
        .d_out = p->tensors[BENCH_RESIDUAL].view,
        .weight = p->tensors[BENCH_WEIGHT].view,
        .d_x = p->tensors[BENCH_OUT].view,
        .d_weight = bench_d_parameter(p, 0, p->c->cols),
        .d_bias = bench_d_parameter(p, 1, p->c->cols),
        .path = bench_norm_path(p->c),
    };
}

BENCH_OPERATION(layer_norm_backward, BENCH_NORM_BACKWARD, .title = "gradient of layer norm", .word = "norm backward ",
                .group = "Layer norm", .reference = bench_layer_norm_backward_reference);
