/* The gradient of T5's table of --outputs buckets, of biases of `rows` heads and `cols` distances, both ways.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include <vkattn/relative.h>

#include "reference.h"

/* T5 has 32 buckets for distances up to 128. */
static ref_t5 table_of(const bench_case *c) {
    return (ref_t5){.buckets = c->outputs,
                    .length = c->cols,
                    .zero = c->cols / 2,
                    .max_distance = 4 * c->outputs,
                    .bidirectional = true};
}

static vka_relative_bias_t5_backward_desc describe(const bench_problem *p) {
    ref_t5 t = table_of(p->c);
    return (vka_relative_bias_t5_backward_desc){
        .d_out = p->tensors[BENCH_X].view,
        .d_table = p->tensors[BENCH_OUT].view,
        .relative_zero = t.zero,
        .bidirectional = t.bidirectional,
        .max_distance = t.max_distance,
    };
}

static const char *check(const bench_case *c) {
    return c->outputs < 4 || c->outputs > 1024 ? "--outputs, the buckets, must be 4 to 1024" : bench_weight_check(c);
}

static void label(const bench_case *c, bool brief, bench_line *line) {
    (void)brief;
    bench_put(line, " %ux%u of %u", c->rows, c->cols, c->outputs);
}

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    return slot == BENCH_OUT ? vka_tensor_2d(NULL, c->dtype, c->outputs, c->rows)
                             : vka_tensor_2d(NULL, VKA_F32, c->rows, c->cols);
}

static bench_effort effort(const bench_case *c) {
    return (bench_effort){.ns = 100.0 * c->cols + 10.0 * c->rows * (1 + (double)c->cols / c->outputs),
                          .scratch = c->rows};
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    ref_t5 t = table_of(c);
    ref_t5_gradient(&t, c->rows, p->tensors[BENCH_X].host, (uint32_t)row, false, out->ref[0]);
    ref_t5_gradient(&t, c->rows, p->tensors[BENCH_X].host, (uint32_t)row, true, out->ref_scratch);
    for (uint32_t h = 0; h < c->rows; h++) {
        out->naive[0][h] = ref_round(c->dtype, (float)out->ref_scratch[h]);
    }
}

BENCH_OPERATION(relative_bias_t5_backward, .shape = BENCH_SHAPE_LINEAR, .title = "gradient of T5's biases",
                .word = "t5 backward ", .group = "Relative biases", .check = check, .label = label, .tensor = tensor,
                .effort = effort, .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_OUT), .reference = reference);
