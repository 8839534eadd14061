/* Softmax.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include <vkattn/softmax.h>

#include "reference.h"

static vka_softmax_desc describe(const bench_problem *p) {
    return (vka_softmax_desc){
        .x = p->tensors[BENCH_X].view,
        .out = p->tensors[BENCH_OUT].view,
        .path = p->c->path == BENCH_PATH_LANE    ? VKA_SOFTMAX_PATH_LANE
                : p->c->path == BENCH_PATH_GROUP ? VKA_SOFTMAX_PATH_GROUP
                                                 : VKA_SOFTMAX_PATH_AUTO,
    };
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    uint32_t cols = p->c->cols;
    ref_logits s = {.cols = cols, .live = cols, .x = p->tensors[BENCH_X].host + row * cols, .scale = 1};
    ref_logits_softmax(&s, out->ref[0]);
    ref_logits_naive_softmax(&s, p->c->dtype, out->naive[0]);
}

BENCH_OPERATION(softmax, BENCH_ROWS, .title = "softmax", .word = "softmax ", .group = "Softmax",
                .paths = BENCH_BIT(BENCH_PATH_LANE) | BENCH_BIT(BENCH_PATH_GROUP),
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_OUT), .reference = reference);
