/* Operations that make one tensor of two, element by element.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_PAIR_CASE_H
#define VKATTN_TEST_PAIR_CASE_H

#include "support/context.h"
#include "support/tensor.h"

typedef struct pair_case {
    vka_dtype a_type, b_type, out_type;
    uint32_t rank, size[VKA_MAX_RANK]; /* of out, and of a and b but for the following        */
    uint32_t a_ones, b_ones;           /* dimensions that are 1 there, as bits                */
    layout a, b, out;
    int in_place; /* of a (1) or b (2), which then broadcasts nowhere; 0: neither             */
} pair_case;

/* Records the operation. */
typedef vka_status (*pair_record)(vka_recorder *recorder, vka_tensor a, vka_tensor b, vka_tensor out, const void *user);
/* A result in float64, and by f32. */
typedef double (*pair_reference)(double a, double b, const void *user);
typedef float (*pair_naive)(float a, float b, const void *user);

typedef struct pair_op {
    pair_record record;
    pair_reference reference;
    pair_naive naive;
    bool same_shapes; /* a and b broadcast nowhere */
} pair_op;

/* Runs a case and compares every element, by the accuracy rule. */
void pair_check(context *c, const pair_op *op, const pair_case *p, const void *user);
/* Types, layouts, broadcasting, in place, on the device and on what a GPU is; and on devices with small bindings. */
void pair_check_all(const pair_op *op, const void *user);
void pair_check_narrow(const pair_op *op, const void *user);

#endif
