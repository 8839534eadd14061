/* A step of AdamW, of 16-bit parameters with a master, as these are only written. Its rate is 0, so that any number of
 * steps leaves parameters that can be compared: the master's, rounded. What is computed on the way is the same.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include <vkattn/optim.h>

#include "reference.h"

static const char *check(const bench_case *c) {
    return c->dtype == VKA_F32 ? "--dtype must be f16 or bf16: parameters with a master" : NULL;
}

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    bool parameter = slot == BENCH_OUT || slot == BENCH_X;
    return slot == BENCH_TARGETS ? vka_tensor_1d(NULL, VKA_I32, 1)
                                 : vka_tensor_2d(NULL, parameter ? c->dtype : VKA_F32, c->rows, c->cols);
}

/* The second moment is a square. */
static bench_bounds bounds(const bench_case *c, bench_slot slot) {
    (void)c;
    return (bench_bounds){slot == BENCH_BIAS ? 0 : -2, 2};
}

static vka_adamw_desc describe(const bench_problem *p) {
    return (vka_adamw_desc){
        .parameter = p->tensors[BENCH_OUT].view,
        .gradient = p->tensors[BENCH_X].view,
        .master = p->tensors[BENCH_RESIDUAL].view,
        .first_moment = p->tensors[BENCH_WEIGHT].view,
        .second_moment = p->tensors[BENCH_BIAS].view,
        .step.tensor = p->tensors[BENCH_TARGETS].view,
    };
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const float *master = p->tensors[BENCH_RESIDUAL].host + row * p->c->cols;
    for (uint32_t i = 0; i < p->c->cols; i++) {
        out->ref[0][i] = (double)master[i];
        out->naive[0][i] = ref_round(p->c->dtype, master[i]);
    }
}

BENCH_OPERATION(adamw, .shape = BENCH_SHAPE_ROWS, .label = bench_rows_label, .tensor = tensor,
                .effort = bench_rows_effort, .title = "step of AdamW", .word = "adamw ", .group = "Optimizers",
                .check = check, .bounds = bounds,
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_RESIDUAL) | BENCH_BIT(BENCH_WEIGHT) |
                         BENCH_BIT(BENCH_BIAS) | BENCH_BIT(BENCH_TARGETS) | BENCH_BIT(BENCH_OUT),
                .reference = reference);
