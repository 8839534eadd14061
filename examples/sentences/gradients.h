/* Integrated gradients (Sundararajan, Taly and Yan 2017) of how alike two sentences are, with respect to the pieces of
 * one of them. SPDX-License-Identifier: MIT */
#ifndef SENTENCES_GRADIENTS_H
#define SENTENCES_GRADIENTS_H

#include "encoder.h"

/* f(x) = embedding(x) . toward, where x are the vectors of a sentence's pieces with their positions. The baseline has
 * positions alone: pieces' vectors are 0. */
typedef struct gradients_desc {
    const int32_t *ids; /* [n] */
    uint32_t n;
    const float *toward; /* [outputs]: an embedding, so that f is a cosine    */
    uint32_t steps;      /* of the integral, by its midpoints: 1 or more */
} gradients_desc;

typedef struct gradients_result {
    float values[MAX_TOKENS]; /* [n]: what each piece adds                              */
    double value, baseline;   /* f(x) and f(baseline), whose difference values add up to */
} gradients_result;

bool integrate_gradients(vka_device *device, const weights *w, const gradients_desc *desc, gradients_result *result,
                         complaint *why);

#endif
