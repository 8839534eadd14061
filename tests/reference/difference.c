/* Slopes by central differences, which gradients are compared with.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

double ref_slope(float *at, double (*value)(const void *user), const void *user) {
    /* Of numbers around 1 the third derivative costs some 1e-6; the step is the one that a float really takes. */
    const float middle = *at, step = 0.001953125f;
    volatile float above = middle + step, below = middle - step;
    *at = above;
    double high = value(user);
    *at = below;
    double low = value(user);
    *at = middle;
    return (high - low) / ((double)above - (double)below);
}
