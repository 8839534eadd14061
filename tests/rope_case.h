/* One rotation, with inputs, reference and outputs.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_ROPE_CASE_H
#define VKATTN_TEST_ROPE_CASE_H

#include <vkattn/rope.h>

#include "support/context.h"
#include "support/tensor.h"

/* Where a row's position comes from. */
typedef enum rope_positions {
    POSITIONS_NONE,
    POSITIONS_HOST,   /* of first rows */
    POSITIONS_TENSOR, /* of first rows */
    POSITIONS_ROWS,
    POSITIONS_ROWS_SHARED, /* one list for all entries */
    POSITIONS_COUNT,
} rope_positions;

typedef enum rope_tables {
    TABLES_NONE,
    TABLES_POSITIONS,
    TABLES_ROWS,
    TABLES_ROWS_SHARED,
    TABLES_COUNT,
} rope_tables;

/* Zero: f32 to f32, one row of 64 channels, dense. Of i8, q8_0 and q4_0 in place. */
typedef struct rope_case {
    vka_dtype dtype, out_type, table_type;
    uint32_t batch, heads, rows, cols;
    uint32_t dims;
    bool interleaved, in_place, shift, inverse;
    bool nonfinite; /* some scales of i8 are NaN or 0, some blocks of q8_0 and q4_0 */
    float theta, frequency_scale;
    int32_t offset, first; /* lists have numbers around `first` */
    rope_positions positions;
    rope_tables tables;
    layout layout;
} rope_case;

typedef struct rope_problem {
    context *c;
    rope_case r;
    uint64_t seed;
    tensor x, out, scale, positions, cos, sin;
    float *x_values; /* as uploaded, times their scales: out may overwrite them */
    uint8_t *x_image, *scale_image;
    int32_t *list; /* of positions */
    uint32_t table_positions;
    ref_rope ref;
} rope_problem;

rope_problem rope_make(context *c, rope_case r, uint64_t seed);
void rope_destroy(rope_problem *p);
vka_rope_desc rope_desc(const rope_problem *p);
/* Runs it with poisoned outputs and asserts the accuracy rule for every element, and that nothing else was written. */
void rope_run(rope_problem *p);
/* make, run, destroy. */
void rope_check(context *c, rope_case r);

#endif
