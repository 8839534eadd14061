/* One layer normalisation, with inputs, reference and outputs.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_NORM_CASE_H
#define VKATTN_TEST_NORM_CASE_H

#include <vkattn/norm.h>

#include "support/context.h"
#include "support/tensor.h"

/* Which views are one and the same. */
typedef enum norm_alias {
    ALIAS_NONE,
    ALIAS_OUT_X,
    ALIAS_OUT_RESIDUAL,
    ALIAS_OUT_SUM,
    ALIAS_SUM_X,
    ALIAS_SUM_RESIDUAL,
    ALIAS_SUM_X_OUT_RESIDUAL,
    ALIAS_COUNT,
} norm_alias;

/* Zero: f32, dense, no optional tensor, values around 0. */
typedef struct norm_case {
    vka_dtype dtype;
    uint32_t rank, shape[4];
    vka_dtype affine; /* of weight and bias; 0 = dtype */
    bool weight, bias, residual, sum, mean, inv_std;
    float center;
    float epsilon;
    layout layout; /* of x, out, residual and sum; padding and shift also of the others */
    norm_alias alias;
} norm_case;

typedef struct norm_problem {
    context *c;
    norm_case n;
    uint64_t seed;
    uint32_t rows, cols;
    tensor x, out, weight, bias, residual, sum, mean, inv_std;
    float *x_values, *residual_values; /* as uploaded: outputs may overwrite them */
    ref_norm ref;
} norm_problem;

norm_problem norm_make(context *c, norm_case n, uint64_t seed);
void norm_destroy(norm_problem *p);

/* The description, without path. */
vka_layer_norm_desc norm_desc(const norm_problem *p);

/* Uploads inputs, poisons outputs, runs, asserts the accuracy rule for every output and that inputs and guards are
 * unchanged. */
/* Uploads the inputs, poisons the outputs and runs it; judges nothing. */
void norm_execute(norm_problem *p, vka_norm_path path);
void norm_run(norm_problem *p, vka_norm_path path);

/* make, run on both paths, destroy. */
void norm_both_paths(context *c, norm_case n);

#endif
