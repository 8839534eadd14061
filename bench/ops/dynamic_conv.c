/* DynamicConv of one sequence, of `rows` tokens and `cols` channels: causal, seven taps, heads of 64 channels.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

enum { TAPS = BENCH_DYNAMIC_TAPS, HEAD_CHANNELS = 64 };

uint32_t bench_dynamic_heads(const bench_case *c) {
    return c->cols % HEAD_CHANNELS ? 1 : c->cols / HEAD_CHANNELS;
}

static vka_dynamic_conv_desc describe(const bench_problem *p) {
    return (vka_dynamic_conv_desc){
        .x = p->tensors[BENCH_X].view,
        .out = p->tensors[BENCH_OUT].view,
        .weight = p->tensors[BENCH_WEIGHT].view,
    };
}

vka_tensor bench_dynamic_tensor(const bench_case *c, bench_slot slot) {
    return slot == BENCH_WEIGHT ? vka_tensor_4d(NULL, c->dtype, 1, c->rows, bench_dynamic_heads(c), TAPS)
                                : vka_tensor_3d(NULL, c->dtype, 1, c->rows, c->cols);
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    ref_dynamic_conv conv = {
        .tokens = c->rows,
        .channels = c->cols,
        .heads = bench_dynamic_heads(c),
        .taps = TAPS,
        .length = c->rows,
        .x = p->tensors[BENCH_X].host,
        .weight = p->tensors[BENCH_WEIGHT].host,
    };
    for (uint32_t i = 0; i < c->cols; i++) {
        out->ref[0][i] = ref_dynamic_conv_at(&conv, (uint32_t)row, i);
        out->naive[0][i] = ref_dynamic_conv_naive_at(&conv, c->dtype, (uint32_t)row, i);
    }
}

BENCH_OPERATION(dynamic_conv, .shape = BENCH_SHAPE_ROWS, .label = bench_rows_label, .effort = bench_rows_effort,
                .title = "dynamic convolution", .word = "dynamic ", .group = "Dynamic convolution", .suite = "convs",
                .tensor = bench_dynamic_tensor,
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_WEIGHT) | BENCH_BIT(BENCH_OUT), .reference = reference);
