/* Gradients of the dynamic convolution that is measured, of inputs and weights.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

enum { TAPS = BENCH_DYNAMIC_TAPS };

static vka_dynamic_conv_backward_desc describe(const bench_problem *p) {
    return (vka_dynamic_conv_backward_desc){
        .x = p->tensors[BENCH_X].view,
        .weight = p->tensors[BENCH_WEIGHT].view,
        .d_out = p->tensors[BENCH_RESIDUAL].view,
        .d_x = p->tensors[BENCH_OUT].view,
        .d_weight = p->tensors[BENCH_SUM].view,
    };
}

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    return bench_dynamic_tensor(c, slot == BENCH_SUM ? BENCH_WEIGHT : slot);
}

/* Of a token, of those before whose inputs its weights are for, and of those behind that take its own. */
static size_t scratch_of(const bench_case *c) {
    return (2 * TAPS - 1) * ((size_t)c->cols + bench_dynamic_heads(c) * TAPS);
}

static bench_effort effort(const bench_case *c) {
    return (bench_effort){.ns = 1500.0 * c->cols, .scratch = scratch_of(c)};
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    size_t cols = c->cols, weights = bench_dynamic_heads(c) * (size_t)TAPS, last = (size_t)row + TAPS;
    size_t first = row < TAPS - 1 ? 0 : (size_t)row - (TAPS - 1), at = (size_t)row - first;
    uint32_t tokens = (uint32_t)((last < c->rows ? last : c->rows) - first);
    double *d_x = out->ref_scratch, *d_weight = d_x + (2 * TAPS - 1) * cols;
    ref_dynamic_conv_backward b = {
        .forward = {.tokens = tokens,
                    .channels = c->cols,
                    .heads = bench_dynamic_heads(c),
                    .taps = TAPS,
                    .length = tokens,
                    .x = p->tensors[BENCH_X].host + first * cols,
                    .weight = p->tensors[BENCH_WEIGHT].host + first * weights},
        .d_out = p->tensors[BENCH_RESIDUAL].host + first * cols,
        .d_x = d_x,
        .d_weight = d_weight,
    };
    for (int naive = 0; naive < 2; naive++) {
        for (size_t i = 0; i < scratch_of(c); i++) {
            d_x[i] = 0;
        }
        b.naive = naive;
        ref_dynamic_conv_gradients(&b);
        for (size_t i = 0; i < cols; i++) {
            out->ref[0][i] = naive ? out->ref[0][i] : d_x[at * cols + i];
            out->naive[0][i] = ref_round(c->dtype, (float)d_x[at * cols + i]);
        }
        for (size_t i = 0; i < weights; i++) {
            out->ref[1][i] = naive ? out->ref[1][i] : d_weight[at * weights + i];
            out->naive[1][i] = ref_round(c->dtype, (float)d_weight[at * weights + i]);
        }
    }
}

BENCH_OPERATION(dynamic_conv_backward, .shape = BENCH_SHAPE_ROWS, .label = bench_rows_label, .effort = effort,
                .title = "gradient of dynamic convolution", .word = "dynamic backward ", .group = "Dynamic convolution",
                .tensor = tensor,
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_WEIGHT) | BENCH_BIT(BENCH_RESIDUAL) |
                         BENCH_BIT(BENCH_OUT) | BENCH_BIT(BENCH_SUM),
                .reference = reference);
