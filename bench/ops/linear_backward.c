/* Gradients of a linear layer. d_x is compared; d_weight lies in BENCH_BIAS and is not, as its rows are others.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

static void label(const bench_case *c, bool brief, bench_line *line) {
    (void)brief;
    bench_put(line, " M%u N%u K%u", c->rows, c->outputs, c->cols);
}

static const char *check(const bench_case *c) {
    return c->weight_bits == 8 * vka_dtype_size(c->dtype) ? NULL : "--weight-bits must be those of the type";
}

static bool memory_bound(const bench_case *c) {
    return c->rows <= 8;
}

/* Two products; each tensor of forward is read, and its gradient read or written. */
static bench_cost cost(const bench_case *c) {
    double size = vka_dtype_size(c->dtype), x = (double)c->rows * c->cols, out = (double)c->rows * c->outputs;
    double bytes = size * (2 * x + out + 2.0 * c->outputs * c->cols);
    return (bench_cost){.flops = 4.0 * c->rows * c->outputs * c->cols, .bytes = bytes, .footprint = bytes};
}

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    bool weights = slot == BENCH_WEIGHT || slot == BENCH_BIAS;
    return vka_tensor_2d(NULL, c->dtype, weights ? c->outputs : c->rows, slot == BENCH_RESIDUAL ? c->outputs : c->cols);
}

static vka_linear_backward_desc describe(const bench_problem *p) {
    return (vka_linear_backward_desc){
        .x = p->tensors[BENCH_X].view,
        .weight = p->tensors[BENCH_WEIGHT].view,
        .d_out = p->tensors[BENCH_RESIDUAL].view,
        .d_x = p->tensors[BENCH_OUT].view,
        .d_weight = p->tensors[BENCH_BIAS].view,
        .path = bench_linear_desc(p).path,
    };
}

static bench_effort effort(const bench_case *c) {
    return (bench_effort){.ns = 3.0 * c->outputs * c->cols};
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    const float *d_out = p->tensors[BENCH_RESIDUAL].host + row * c->outputs, *weight = p->tensors[BENCH_WEIGHT].host;
    for (uint32_t k = 0; k < c->cols; k++) {
        out->ref[0][k] = 0;
        out->naive[0][k] = 0;
    }
    for (size_t n = 0; n < c->outputs; n++) {
        for (uint32_t k = 0; k < c->cols; k++) {
            out->ref[0][k] += (double)d_out[n] * (double)weight[n * c->cols + k];
            out->naive[0][k] += d_out[n] * weight[n * c->cols + k];
        }
    }
    for (uint32_t k = 0; k < c->cols; k++) {
        out->naive[0][k] = ref_round(c->dtype, out->naive[0][k]);
    }
}

BENCH_OPERATION(linear_backward, .title = "gradients of a linear layer", .word = "linear backward ",
                .group = "Linear layers", .shape = BENCH_SHAPE_LINEAR,
                .paths = BENCH_BIT(BENCH_PATH_ROW) | BENCH_BIT(BENCH_PATH_VECTOR) | BENCH_BIT(BENCH_PATH_TILE) |
                         BENCH_BIT(BENCH_PATH_COOPMAT) | BENCH_BIT(BENCH_PATH_COOPMAT2) | BENCH_BIT(BENCH_PATH_DOT),
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_WEIGHT) | BENCH_BIT(BENCH_RESIDUAL) |
                         BENCH_BIT(BENCH_BIAS) | BENCH_BIT(BENCH_OUT),
                .check = check, .label = label, .cost = cost, .memory_bound = memory_bound, .tensor = tensor,
                .effort = effort, .reference = reference);
