/* The gradient of softmax.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include <vkattn/softmax.h>

#include "reference.h"

static vka_softmax_backward_desc describe(const bench_problem *p) {
    return (vka_softmax_backward_desc){
        .out = p->tensors[BENCH_X].view,
        .d_out = p->tensors[BENCH_RESIDUAL].view,
        .d_x = p->tensors[BENCH_OUT].view,
        .path = p->c->path == BENCH_PATH_LANE    ? VKA_SOFTMAX_PATH_LANE
                : p->c->path == BENCH_PATH_GROUP ? VKA_SOFTMAX_PATH_GROUP
                                                 : VKA_SOFTMAX_PATH_AUTO,
    };
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    uint32_t cols = p->c->cols;
    ref_softmax_backward s = {.cols = cols,
                              .live = cols,
                              .y = p->tensors[BENCH_X].host + row * cols,
                              .d_y = p->tensors[BENCH_RESIDUAL].host + row * cols,
                              .scale = 1};
    ref_softmax_backward_row(&s, out->ref[0]);
    ref_softmax_backward_naive_row(&s, p->c->dtype, out->naive[0]);
}

BENCH_OPERATION(softmax_backward, .shape = BENCH_SHAPE_ROWS, .label = bench_rows_label, .tensor = bench_elements_tensor,
                .effort = bench_rows_effort, .title = "gradient of softmax", .word = "softmax backward ",
                .group = "Softmax", .paths = BENCH_BIT(BENCH_PATH_LANE) | BENCH_BIT(BENCH_PATH_GROUP),
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_RESIDUAL) | BENCH_BIT(BENCH_OUT), .reference = reference);
