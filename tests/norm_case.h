/* One call of a norm, with inputs, reference and outputs.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_NORM_CASE_H
#define VKATTN_TEST_NORM_CASE_H

#include <vkattn/norm.h>

#include "op/op.h"
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

/* An operation that is tested as layer norm is. */
typedef struct norm_op {
    const vka__op *op;
    bool rms; /* no mean is subtracted or stored, and there is no bias */
    /* Fills in a zeroed description: what layer norm calls inv_std is its statistic, too. */
    void (*describe)(void *desc, const vka_layer_norm_desc *from, bool zero_centred);
} norm_op;

typedef union norm_description {
    max_align_t align;
    unsigned char bytes[VKA__MAX_DESC];
} norm_description;
norm_description norm_describe(const norm_op *op, const vka_layer_norm_desc *from, bool zero_centred);

extern const norm_op norm_op_layer_norm;

/* Zero: layer norm, f32, dense, no optional tensor, values around 0. */
typedef struct norm_case {
    const norm_op *op; /* NULL: layer norm */
    vka_dtype dtype;
    uint32_t rank, shape[4];
    vka_dtype affine;                                /* of weight and bias; 0 = dtype */
    bool weight, bias, residual, sum, mean, inv_std; /* bias and mean: unless op->rms */
    bool zero_centred;                               /* with op->rms and a weight */
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

/* The description, without path. Of other norms than layer norm it is what theirs is made from. */
vka_layer_norm_desc norm_desc(const norm_problem *p);
vka_status norm_prepare(const norm_problem *p, const vka_layer_norm_desc *desc);
vka_status norm_record(const norm_problem *p, const vka_layer_norm_desc *desc);

/* Uploads the inputs, poisons the outputs and runs it; judges nothing. */
void norm_execute(norm_problem *p, vka_norm_path path);
/* The same, and asserts the accuracy rule for every output and that inputs and guards are unchanged. */
void norm_run(norm_problem *p, vka_norm_path path);

/* Both paths. Where a driver compiles each pipeline for seconds, one: the group's, which has one for most widths, in
 * one of three turns, and the lane's in the others. Norms share their kernels, so that another norm takes other turns.
 */
typedef struct norm_paths {
    vka_norm_path first, last;
} norm_paths;
norm_paths norm_paths_of(const norm_problem *p, uint32_t turn);

/* norm_run on them. */
void norm_run_paths(norm_problem *p, uint32_t turn);

/* make, run on them, destroy. */
void norm_run_case(context *c, norm_case n, uint32_t turn);

#endif
