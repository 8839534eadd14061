/* The gradient of an embedding's table of --outputs rows.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

static vka_embedding_backward_desc describe(const bench_problem *p) {
    return (vka_embedding_backward_desc){
        .ids = p->tensors[BENCH_TARGETS].view,
        .d_out = p->tensors[BENCH_RESIDUAL].view,
        .d_table = p->tensors[BENCH_OUT].view,
    };
}

static void label(const bench_case *c, bool brief, bench_line *line) {
    (void)brief;
    bench_put(line, " %ux%u of %u", c->rows, c->cols, c->outputs);
}

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    return slot == BENCH_TARGETS ? vka_tensor_1d(NULL, VKA_I32, c->rows)
                                 : vka_tensor_2d(NULL, c->dtype, slot == BENCH_OUT ? c->outputs : c->rows, c->cols);
}

static uint32_t integers(const bench_case *c) {
    return c->outputs;
}

static bench_effort effort(const bench_case *c) {
    return (bench_effort){.ns = 2.0 * c->rows + 4.0 * c->cols * (1 + (double)c->rows / c->outputs)};
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    const float *ids = p->tensors[BENCH_TARGETS].host, *d_out = p->tensors[BENCH_RESIDUAL].host;
    for (uint32_t i = 0; i < c->cols; i++) {
        out->ref[0][i] = 0;
        out->naive[0][i] = 0;
    }
    for (size_t token = 0; token < c->rows; token++) {
        for (uint32_t i = 0; i < c->cols && (uint64_t)ids[token] == row; i++) {
            out->ref[0][i] += (double)d_out[token * c->cols + i];
            out->naive[0][i] += d_out[token * c->cols + i];
        }
    }
    for (uint32_t i = 0; i < c->cols; i++) {
        out->naive[0][i] = ref_round(c->dtype, out->naive[0][i]);
    }
}

BENCH_OPERATION(embedding_backward, .title = "gradient of an embedding", .word = "embed backward ",
                .group = "Embeddings", .shape = BENCH_SHAPE_LINEAR,
                .slots = BENCH_BIT(BENCH_TARGETS) | BENCH_BIT(BENCH_RESIDUAL) | BENCH_BIT(BENCH_OUT),
                .check = bench_weight_check, .label = label, .tensor = tensor, .integers = integers, .effort = effort,
                .reference = reference);
