/* Embeddings: rows of a table of --outputs rows, as the layer that is tied to it has them.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

#include <math.h>

static vka_embedding_desc describe(const bench_problem *p) {
    return (vka_embedding_desc){
        .table = p->tensors[BENCH_WEIGHT].view,
        .ids = p->tensors[BENCH_TARGETS].view,
        .out = p->tensors[BENCH_OUT].view,
    };
}

static void label(const bench_case *c, bool brief, bench_line *line) {
    (void)brief;
    bench_put(line, " %ux%u of %u", c->rows, c->cols, c->outputs);
    bench_weight_label(c, line);
}

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    return slot == BENCH_WEIGHT    ? vka_tensor_2d(NULL, bench_weight_type(c), c->outputs, c->cols)
           : slot == BENCH_TARGETS ? vka_tensor_1d(NULL, VKA_I32, c->rows)
                                   : vka_tensor_2d(NULL, c->dtype, c->rows, c->cols);
}

/* Rows that several ids name are read once: of random ids the expected number of different ones. */
static bench_cost cost(const bench_case *c) {
    vka_dtype type = bench_weight_type(c);
    double row = (double)c->cols / vka_dtype_block(type) * vka_dtype_size(type),
           results = (double)c->rows * c->cols * vka_dtype_size(c->dtype), ids = 4.0 * c->rows,
           read = -(double)c->outputs * expm1(c->rows * log1p(-1.0 / c->outputs));
    return (bench_cost){
        .flops = NAN, .bytes = read * row + ids + results, .footprint = c->outputs * row + ids + results};
}

static uint32_t integers(const bench_case *c) {
    return c->outputs;
}

static bench_effort effort(const bench_case *c) {
    return (bench_effort){.ns = 4.0 * c->cols};
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    const float *from = p->tensors[BENCH_WEIGHT].host + (size_t)p->tensors[BENCH_TARGETS].host[row] * c->cols;
    for (uint32_t i = 0; i < c->cols; i++) {
        out->ref[0][i] = (double)from[i];
        out->naive[0][i] = ref_round(c->dtype, from[i]);
    }
}

BENCH_OPERATION(embedding, .title = "embedding", .word = "embed ", .group = "Embeddings", .shape = BENCH_SHAPE_LINEAR,
                .slots = BENCH_BIT(BENCH_WEIGHT) | BENCH_BIT(BENCH_TARGETS) | BENCH_BIT(BENCH_OUT),
                .check = bench_weight_check, .label = label, .cost = cost, .tensor = tensor, .integers = integers,
                .effort = effort, .reference = reference);
