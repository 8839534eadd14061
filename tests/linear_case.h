/* One linear layer, with inputs, reference and output.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_LINEAR_CASE_H
#define VKATTN_TEST_LINEAR_CASE_H

#include <vkattn/linear.h>

#include "support/context.h"
#include "support/tensor.h"

/* Zero: f32, dense, nothing optional. */
typedef struct linear_case {
    uint32_t rank, lead[2]; /* of x: 0 counts as 2; its dimensions before rows, from the outermost on */
    uint32_t rows, outputs, columns;
    vka_dtype x, weight, bias, residual, out; /* 0: f32; of bias and residual: absent */
    bool batched;                             /* weights for each entry of `lead` */
    bool in_place;                            /* out is the residual's view       */
    vka_activation activation;
    layout x_layout, weight_layout, out_layout; /* the residual lies like out, a bias is padded like it */
    uint32_t splits;
} linear_case;

typedef struct linear_problem {
    context *c;
    linear_case l;
    uint64_t seed;
    uint32_t batches; /* matrices of weights, each for so many rows: */
    size_t rows_each, rows;
    tensor x, weight, bias, residual, out;
    float *residual_values; /* as uploaded: the output may overwrite them */
} linear_problem;

linear_problem linear_make(context *c, linear_case l, uint64_t seed);
void linear_destroy(linear_problem *p);

/* Without path and tile. */
vka_linear_desc linear_desc(const linear_problem *p);
/* Uploads inputs, poisons the output and runs the description; then asserts the accuracy rule for every element, and
 * that nothing else has changed. */
void linear_run(linear_problem *p, const vka_linear_desc *desc);

/* The paths that take it here, as bits. */
uint32_t linear_paths(context *c, const vka_linear_desc *desc);

/* make, run on each path that takes it, with what is chosen and with three splits; destroy. Returns the paths, as bits.
 */
uint32_t linear_all_paths(context *c, linear_case l);

#endif
