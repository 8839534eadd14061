/* The model's loss by its definition, in double, and the derivative with respect to one parameter: all numbers carry
 * theirs along. Slow, and short.
 * SPDX-License-Identifier: MIT */
#ifndef TRANSLATE_REFERENCE_H
#define TRANSLATE_REFERENCE_H

#include "model.h"

/* A number and its derivative. */
typedef struct dual {
    double v, d;
} dual;

/* Of the batch that the model has. `values` are parameters in the order and with the gaps of the model's buffer. */
dual reference_loss(const model *m, const dual *values);

#endif
