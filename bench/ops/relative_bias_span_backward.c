/* The gradient of adaptive spans, of biases of `rows` heads and `cols` distances.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include <vkattn/relative.h>

#include "reference.h"

#define SPANS BENCH_WEIGHT
#define RAMP  32.0f

static vka_relative_bias_span_backward_desc describe(const bench_problem *p) {
    return (vka_relative_bias_span_backward_desc){
        .spans = p->tensors[SPANS].view,
        .d_out = p->tensors[BENCH_X].view,
        .d_spans = p->tensors[BENCH_OUT].view,
        .relative_zero = p->c->cols - 1,
        .ramp = RAMP,
    };
}

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    return slot == BENCH_X ? vka_tensor_2d(NULL, VKA_F32, c->rows, c->cols) : vka_tensor_1d(NULL, VKA_F32, c->rows);
}

/* Spans of half the distances, none near a whole number: where a ramp ends, rounding alone says whether a token has a
 * gradient, and of the last one before that it is as large as one pleases. */
static bench_bounds bounds(const bench_case *c, bench_slot slot) {
    float half = (float)(c->cols / 2);
    return slot == SPANS ? (bench_bounds){half + 0.25f, half + 0.75f} : (bench_bounds){-2, 2};
}

static const char *check(const bench_case *c) {
    return c->cols > 1 << 20 ? "--cols, the distances, must be at most 1048576" : NULL;
}

static bench_effort effort(const bench_case *c) {
    return (bench_effort){.ns = 20.0 * c->rows * c->cols};
}

/* There is one row: of all heads. */
static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    (void)row;
    for (uint32_t h = 0; h < c->rows; h++) {
        const float *d_out = p->tensors[BENCH_X].host + (size_t)h * c->cols, z = p->tensors[SPANS].host[h];
        out->ref[0][h] = ref_span_gradient(d_out, c->cols, c->cols - 1, z, RAMP, false);
        out->naive[0][h] = (float)ref_span_gradient(d_out, c->cols, c->cols - 1, z, RAMP, true);
    }
}

BENCH_OPERATION(relative_bias_span_backward, .shape = BENCH_SHAPE_ROWS, .label = bench_rows_label, .check = check,
                .title = "gradient of adaptive spans", .word = "span backward ", .group = "Relative biases",
                .tensor = tensor, .bounds = bounds, .effort = effort,
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(SPANS) | BENCH_BIT(BENCH_OUT), .reference = reference);
