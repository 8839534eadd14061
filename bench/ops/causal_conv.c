/* Causal convolution of one sequence, of `rows` tokens and `cols` channels, with four taps and SiLU.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

enum { TAPS = BENCH_CAUSAL_TAPS };

static vka_causal_conv_desc describe(const bench_problem *p) {
    return (vka_causal_conv_desc){
        .x = p->tensors[BENCH_X].view,
        .out = p->tensors[BENCH_OUT].view,
        .weight = p->tensors[BENCH_WEIGHT].view,
        .bias = p->tensors[BENCH_BIAS].view,
        .activation = VKA_ACTIVATION_SILU,
    };
}

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    if (slot == BENCH_WEIGHT) {
        return vka_tensor_2d(NULL, c->dtype, c->cols, TAPS);
    }
    return slot == BENCH_BIAS ? vka_tensor_1d(NULL, c->dtype, c->cols)
                              : vka_tensor_3d(NULL, c->dtype, 1, c->rows, c->cols);
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    ref_causal_conv conv = {
        .channels = c->cols,
        .taps = TAPS,
        .x = p->tensors[BENCH_X].host,
        .weight = p->tensors[BENCH_WEIGHT].host,
        .bias = p->tensors[BENCH_BIAS].host,
        .activation = VKA_ACTIVATION_SILU,
    };
    for (uint32_t i = 0; i < c->cols; i++) {
        out->ref[0][i] = ref_causal_conv_at(&conv, (uint32_t)row, i);
        out->naive[0][i] = ref_causal_conv_naive_at(&conv, c->dtype, (uint32_t)row, i);
    }
}

BENCH_OPERATION(causal_conv, .shape = BENCH_SHAPE_ROWS, .label = bench_rows_label, .effort = bench_rows_effort,
                .title = "causal convolution", .word = "conv ", .group = "Causal convolution", .suite = "convs",
                .tensor = tensor,
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_WEIGHT) | BENCH_BIT(BENCH_BIAS) | BENCH_BIT(BENCH_OUT),
                .reference = reference);
