/* What tests of gradients have in common: tensors of a call, those that are written with what they should be.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_GRADIENT_CASE_H
#define VKATTN_TEST_GRADIENT_CASE_H

#include "support/context.h"
#include "support/tensor.h"

typedef struct gradient_tensor {
    const char *name;
    size_t field; /* where in the description */
    bool present;
    bool written;
    bool adds; /* to what is there */
    tensor t;
    float *before;       /* what is there           */
    double *ref, *naive; /* of those that are written: what is added to zeros, or to what is there */
} gradient_tensor;

/* Makes it present, with random values; `written`: with room for the references, which are 0. */
void gradient_make(gradient_tensor *g, context *c, vka_dtype dtype, uint32_t rank, const uint32_t *shape, layout l,
                   ref_rng *rng);
/* Values were changed: they are what is uploaded. */
void gradient_keep(gradient_tensor *g);
void gradient_destroy(gradient_tensor *list, uint32_t count);

/* Puts those that are present into a description, runs it with outputs poisoned, and asserts the accuracy rule for
 * every element, and that nothing else was written. */
void gradient_run(context *c, vka_operation operation, gradient_tensor *list, uint32_t count, void *desc, size_t size,
                  const char *what);

#endif
