/* What operations on rows share.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

void bench_rows_label(const bench_case *c, bool brief, bench_line *line) {
    (void)brief;
    bench_put(line, " %ux%u%s", c->rows, c->cols, c->residual ? " residual" : "");
}

vka_tensor bench_rows_tensor(const bench_case *c, bench_slot slot) {
    if (slot == BENCH_WEIGHT || slot == BENCH_BIAS) {
        return vka_tensor_1d(NULL, c->dtype, c->cols);
    }
    bool absent = (slot == BENCH_RESIDUAL || slot == BENCH_SUM) && !c->residual;
    return absent ? (vka_tensor){0} : vka_tensor_2d(NULL, c->dtype, c->rows, c->cols);
}

vka_tensor bench_elements_tensor(const bench_case *c, bench_slot slot) {
    (void)slot;
    return vka_tensor_2d(NULL, c->dtype, c->rows, c->cols);
}

bench_effort bench_rows_effort(const bench_case *c) {
    return (bench_effort){.ns = 60.0 * c->cols};
}

vka_norm_path bench_norm_path(const bench_case *c) {
    return c->path == BENCH_PATH_LANE    ? VKA_NORM_PATH_LANE
           : c->path == BENCH_PATH_GROUP ? VKA_NORM_PATH_GROUP
                                         : VKA_NORM_PATH_AUTO;
}

static void norm_reference(const bench_problem *p, bool rms, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    ref_norm n = {
        .rows = c->rows,
        .cols = c->cols,
        .x = p->tensors[BENCH_X].host,
        .weight = p->tensors[BENCH_WEIGHT].host,
        .bias = p->tensors[BENCH_BIAS].host,
        .residual = p->tensors[BENCH_RESIDUAL].host,
        .round_sum = c->residual,
        .rms = rms,
        .epsilon = 1e-5,
    };
    double mean, inverse;
    float naive_mean, naive_inverse;
    ref_norm_row(&n, c->dtype, (uint32_t)row, out->ref[0], out->ref[1], &mean, &inverse);
    ref_norm_naive_row(&n, c->dtype, (uint32_t)row, out->naive[0], out->naive[1], &naive_mean, &naive_inverse);
}

void bench_layer_norm_reference(const bench_problem *p, uint64_t row, bench_row *out) {
    norm_reference(p, false, row, out);
}

void bench_rms_norm_reference(const bench_problem *p, uint64_t row, bench_row *out) {
    norm_reference(p, true, row, out);
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

vka_tensor bench_norm_backward_tensor(const bench_case *c, bench_slot slot) {
    return slot == BENCH_WEIGHT ? vka_tensor_1d(NULL, c->dtype, c->cols)
           : slot == BENCH_BIAS ? vka_tensor_2d(NULL, c->dtype, 2, c->cols)
                                : vka_tensor_2d(NULL, c->dtype, c->rows, c->cols);
}

vka_tensor bench_d_parameter(const bench_problem *p, uint32_t which, uint32_t count) {
    return bench_part(p, BENCH_BIAS, (uint64_t)which * count, vka_tensor_1d(NULL, p->c->dtype, count));
}

vka_tensor bench_part(const bench_problem *p, bench_slot slot, uint64_t first, vka_tensor shape) {
    shape.buffer = p->tensors[slot].view.buffer;
    shape.offset = first * vka_dtype_size(shape.dtype);
    return shape;
}

bench_effort bench_norm_backward_effort(const bench_case *c) {
    return (bench_effort){.ns = 80.0 * c->cols, .scratch = 2 * (size_t)c->cols};
}

static void norm_backward_reference(const bench_problem *p, bool rms, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    ref_norm n = {.rows = c->rows,
                  .cols = c->cols,
                  .x = p->tensors[BENCH_X].host,
                  .weight = p->tensors[BENCH_WEIGHT].host,
                  .rms = rms,
                  .epsilon = 1e-5};
    const float *d_out = p->tensors[BENCH_RESIDUAL].host;
    for (uint32_t i = 0; i < 2 * c->cols; i++) {
        out->ref_scratch[i] = 0;
        out->naive_scratch[i] = 0;
    }
    ref_norm_backward_row(&n, c->dtype, (uint32_t)row, d_out, NULL, out->ref[0], out->ref_scratch,
                          out->ref_scratch + c->cols);
    ref_norm_naive_backward_row(&n, c->dtype, (uint32_t)row, d_out, NULL, out->naive[0], out->naive_scratch,
                                out->naive_scratch + c->cols);
}

void bench_layer_norm_backward_reference(const bench_problem *p, uint64_t row, bench_row *out) {
    norm_backward_reference(p, false, row, out);
}

void bench_rms_norm_backward_reference(const bench_problem *p, uint64_t row, bench_row *out) {
    norm_backward_reference(p, true, row, out);
}
