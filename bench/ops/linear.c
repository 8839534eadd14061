/* Linear layers.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

/* ---- the case ---------------------------------------------------------------------------------------------------- */

vka_dtype bench_weight_type(const bench_case *c) {
    return c->weight_bits == 8 ? VKA_Q8_0 : c->weight_bits == 4 ? VKA_Q4_0 : c->dtype;
}

const char *bench_weight_check(const bench_case *c) {
    vka_dtype type = bench_weight_type(c);
    if (type == c->dtype && c->weight_bits != 8 * vka_dtype_size(type)) {
        return "--weight-bits must be 4, 8, or those of the type";
    }
    return c->cols % vka_dtype_block(type) ? "--cols must be a multiple of 32 for weights of 4 or 8 bits" : NULL;
}

void bench_weight_label(const bench_case *c, bench_line *line) {
    if (bench_weight_type(c) != c->dtype) {
        bench_put(line, " %s", bench_weight_type(c) == VKA_Q8_0 ? "q8_0" : "q4_0");
    }
}

static void label(const bench_case *c, bool brief, bench_line *line) {
    bench_put(line, " M%u N%u K%u", c->rows, c->outputs, c->cols);
    bench_weight_label(c, line);
    (void)brief;
}

static bool memory_bound(const bench_case *c) {
    return c->rows <= 8;
}

static bench_cost cost(const bench_case *c) {
    vka_dtype type = bench_weight_type(c);
    double weights = (double)c->outputs * c->cols / vka_dtype_block(type) * vka_dtype_size(type);
    double rows = (double)c->rows * (c->cols + (double)c->outputs) * vka_dtype_size(c->dtype);
    return (bench_cost){
        .flops = 2.0 * c->rows * c->outputs * c->cols, .bytes = weights + rows, .footprint = weights + rows};
}

/* ---- tensors and calls ------------------------------------------------------------------------------------------- */

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    return slot == BENCH_WEIGHT ? vka_tensor_2d(NULL, bench_weight_type(c), c->outputs, c->cols)
                                : vka_tensor_2d(NULL, c->dtype, c->rows, slot == BENCH_X ? c->cols : c->outputs);
}

static const uint32_t linear_paths[] = {
    [BENCH_PATH_ROW] = VKA_LINEAR_PATH_ROW,           [BENCH_PATH_VECTOR] = VKA_LINEAR_PATH_VECTOR,
    [BENCH_PATH_TILE] = VKA_LINEAR_PATH_TILE,         [BENCH_PATH_COOPMAT] = VKA_LINEAR_PATH_COOPMAT,
    [BENCH_PATH_COOPMAT2] = VKA_LINEAR_PATH_COOPMAT2, [BENCH_PATH_DOT] = VKA_LINEAR_PATH_DOT,
};

bench_path bench_linear_path(uint32_t path) {
    return bench_path_of(linear_paths, sizeof linear_paths / sizeof *linear_paths, path);
}

vka_linear_desc bench_linear_desc(const bench_problem *p) {
    return (vka_linear_desc){
        .x = p->tensors[BENCH_X].view,
        .weight = p->tensors[BENCH_WEIGHT].view,
        .out = p->tensors[BENCH_OUT].view,
        .path = (vka_linear_path)linear_paths[p->c->path],
        .splits = p->c->splits,
    };
}

static vka_linear_desc describe(const bench_problem *p) {
    return bench_linear_desc(p);
}

/* ---- the reference ----------------------------------------------------------------------------------------------- */

static bench_effort effort(const bench_case *c) {
    return (bench_effort){.ns = 3.0 * c->outputs * c->cols};
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    const ref_linear l = {
        .outputs = c->outputs,
        .columns = c->cols,
        .weight = p->tensors[BENCH_WEIGHT].host,
        .x_type = c->dtype,
        .weight_type = bench_weight_type(c),
        .out_type = c->dtype,
    };
    const float *x = p->tensors[BENCH_X].host + row * c->cols;
    ref_linear_row(&l, x, NULL, out->ref[0]);
    ref_linear_naive_row(&l, x, NULL, out->naive[0]);
}

BENCH_OPERATION(linear, .title = "linear layer", .word = "linear ", .group = "Linear layers",
                .shape = BENCH_SHAPE_LINEAR, .splits = true,
                .paths = BENCH_BIT(BENCH_PATH_ROW) | BENCH_BIT(BENCH_PATH_VECTOR) | BENCH_BIT(BENCH_PATH_TILE) |
                         BENCH_BIT(BENCH_PATH_COOPMAT) | BENCH_BIT(BENCH_PATH_COOPMAT2) | BENCH_BIT(BENCH_PATH_DOT),
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_WEIGHT) | BENCH_BIT(BENCH_OUT),
                .check = bench_weight_check, .label = label, .cost = cost, .memory_bound = memory_bound,
                .tensor = tensor, .effort = effort, .reference = reference);
