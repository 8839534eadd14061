/* The gradient of cross entropy, of a gradient of each row's loss.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include <vkattn/loss.h>

#include "reference.h"

static vka_cross_entropy_backward_desc describe(const bench_problem *p) {
    return (vka_cross_entropy_backward_desc){
        .logits = p->tensors[BENCH_X].view,
        .targets = p->tensors[BENCH_TARGETS].view,
        .d_loss = p->tensors[BENCH_RESIDUAL].view,
        .d_logits = p->tensors[BENCH_OUT].view,
        .path = p->c->path == BENCH_PATH_LANE    ? VKA_SOFTMAX_PATH_LANE
                : p->c->path == BENCH_PATH_GROUP ? VKA_SOFTMAX_PATH_GROUP
                                                 : VKA_SOFTMAX_PATH_AUTO,
    };
}

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    return slot == BENCH_TARGETS    ? vka_tensor_1d(NULL, VKA_I32, c->rows)
           : slot == BENCH_RESIDUAL ? vka_tensor_1d(NULL, VKA_F32, c->rows)
                                    : vka_tensor_2d(NULL, c->dtype, c->rows, c->cols);
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    uint32_t cols = p->c->cols, target = (uint32_t)p->tensors[BENCH_TARGETS].host[row];
    float d = p->tensors[BENCH_RESIDUAL].host[row];
    ref_logits s = {.cols = cols, .live = cols, .x = p->tensors[BENCH_X].host + row * cols, .scale = 1};
    ref_logits_loss_backward(&s, target, 0, (double)d, 0, out->ref[0]);
    ref_logits_naive_loss_backward(&s, target, 0, p->c->dtype, d, 0, out->naive[0]);
}

BENCH_OPERATION(cross_entropy_backward, .shape = BENCH_SHAPE_ROWS, .label = bench_rows_label, .tensor = tensor,
                .effort = bench_rows_effort, .paths = BENCH_BIT(BENCH_PATH_LANE) | BENCH_BIT(BENCH_PATH_GROUP),
                .title = "gradient of cross entropy", .word = "loss backward ", .group = "Cross entropy",
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_RESIDUAL) | BENCH_BIT(BENCH_TARGETS) |
                         BENCH_BIT(BENCH_OUT),
                .reference = reference);
