/* Group norm of [1, rows, cols]: rows are channels, eight of them a group where that goes, otherwise one.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

static uint32_t channels_of(const bench_case *c) {
    return c->rows % 8 == 0 ? 8 : 1;
}

static vka_group_norm_desc describe(const bench_problem *p) {
    const bench_case *c = p->c;
    vka_tensor x = vka_tensor_3d(p->tensors[BENCH_X].view.buffer, c->dtype, 1, c->rows, c->cols), out = x;
    out.buffer = p->tensors[BENCH_OUT].view.buffer;
    return (vka_group_norm_desc){.x = x, .out = out, .groups = c->rows / channels_of(c), .path = bench_norm_path(c)};
}

/* A channel's row, of its group's. */
static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    uint32_t channels = channels_of(c), cols = channels * c->cols;
    ref_norm n = {.rows = c->rows / channels, .cols = cols, .x = p->tensors[BENCH_X].host, .epsilon = 1e-5};
    uint32_t group = (uint32_t)(row / channels), first = (uint32_t)(row % channels) * c->cols;
    double mean, inverse;
    float naive_mean, naive_inverse;
    ref_norm_row(&n, c->dtype, group, out->ref_scratch, NULL, &mean, &inverse);
    ref_norm_naive_row(&n, c->dtype, group, out->naive_scratch, NULL, &naive_mean, &naive_inverse);
    for (uint32_t i = 0; i < c->cols; i++) {
        out->ref[0][i] = out->ref_scratch[first + i];
        out->naive[0][i] = out->naive_scratch[first + i];
    }
}

static bench_effort effort(const bench_case *c) {
    size_t elements = (size_t)channels_of(c) * c->cols;
    return (bench_effort){.ns = 60.0 * (double)elements, .scratch = elements};
}

BENCH_OPERATION(group_norm, .shape = BENCH_SHAPE_ROWS, .label = bench_rows_label, .tensor = bench_rows_tensor,
                .effort = effort, .paths = BENCH_BIT(BENCH_PATH_LANE) | BENCH_BIT(BENCH_PATH_GROUP),
                .title = "group norm", .word = "group ", .group = "Group norm",
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_OUT), .reference = reference);
