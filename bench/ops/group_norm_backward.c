/* Gradients of group norm of [1, rows, cols], as vka_group_norm is measured, without weights. Rows of d_x are compared.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

static uint32_t channels_of(const bench_case *c) {
    return c->rows % 8 == 0 ? 8 : 1;
}

static vka_group_norm_backward_desc describe(const bench_problem *p) {
    const bench_case *c = p->c;
    vka_tensor x = vka_tensor_3d(p->tensors[BENCH_X].view.buffer, c->dtype, 1, c->rows, c->cols), d_out = x, d_x = x;
    d_out.buffer = p->tensors[BENCH_RESIDUAL].view.buffer;
    d_x.buffer = p->tensors[BENCH_OUT].view.buffer;
    return (vka_group_norm_backward_desc){.x = x,
                                          .d_out = d_out,
                                          .d_x = d_x,
                                          .d_weight = bench_d_parameter(p, 0, c->rows),
                                          .d_bias = bench_d_parameter(p, 1, c->rows),
                                          .groups = c->rows / channels_of(c),
                                          .path = bench_norm_path(c)};
}

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    return slot == BENCH_BIAS ? vka_tensor_2d(NULL, c->dtype, 2, c->rows) : bench_norm_backward_tensor(c, slot);
}

/* A channel's row, of its group's. */
static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    uint32_t channels = channels_of(c), cols = channels * c->cols;
    ref_norm n = {.rows = c->rows / channels, .cols = cols, .x = p->tensors[BENCH_X].host, .epsilon = 1e-5};
    uint32_t group = (uint32_t)(row / channels), first = (uint32_t)(row % channels) * c->cols;
    const float *d_out = p->tensors[BENCH_RESIDUAL].host;
    double *d = out->ref_scratch;
    float *naive = out->naive_scratch;
    for (uint32_t i = 0; i < 3 * cols; i++) {
        d[i] = 0;
        naive[i] = 0;
    }
    ref_norm_backward_row(&n, c->dtype, group, d_out, NULL, d, d + cols, d + 2 * (size_t)cols);
    ref_norm_naive_backward_row(&n, c->dtype, group, d_out, NULL, naive, naive + cols, naive + 2 * (size_t)cols);
    for (uint32_t i = 0; i < c->cols; i++) {
        out->ref[0][i] = d[first + i];
        out->naive[0][i] = naive[first + i];
    }
}

static bench_effort effort(const bench_case *c) {
    size_t elements = (size_t)channels_of(c) * c->cols;
    return (bench_effort){.ns = 80.0 * (double)elements, .scratch = 3 * elements};
}

BENCH_OPERATION(group_norm_backward, .shape = BENCH_SHAPE_ROWS, .label = bench_rows_label, .tensor = tensor,
                .effort = effort, .paths = BENCH_BIT(BENCH_PATH_LANE) | BENCH_BIT(BENCH_PATH_GROUP),
                .title = "gradient of group norm", .word = "group backward ", .group = "Group norm",
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_RESIDUAL) | BENCH_BIT(BENCH_BIAS) | BENCH_BIT(BENCH_OUT),
                .reference = reference);
