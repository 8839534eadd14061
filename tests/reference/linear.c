/* Linear layers by their definition, one row at a time.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

void ref_linear_row(const ref_linear *l, const float *x, const float *residual, double *out) {
    for (uint32_t n = 0; n < l->outputs; n++) {
        double sum = l->bias ? (double)l->bias[n] : 0;
        for (uint32_t k = 0; k < l->columns; k++) {
            sum += (double)x[k] * (double)l->weight[(size_t)n * l->columns + k];
        }
        out[n] = ref_activation(l->activation, sum) + (residual ? (double)residual[n] : 0);
    }
}

/* Of weights with blocks: as a tensor of x's type. */
static float naive_weight(const ref_linear *l, float weight) {
    bool blocks = l->weight_type == VKA_Q8_0 || l->weight_type == VKA_Q4_0;
    return blocks ? ref_round(l->x_type, weight) : weight;
}

void ref_linear_naive_row(const ref_linear *l, const float *x, const float *residual, float *out) {
    for (uint32_t n = 0; n < l->outputs; n++) {
        float sum = 0;
        for (uint32_t k = 0; k < l->columns; k++) {
            sum += x[k] * naive_weight(l, l->weight[(size_t)n * l->columns + k]);
        }
        sum = ref_naive_activation(l->activation, sum + (l->bias ? l->bias[n] : 0));
        out[n] = ref_round(l->out_type, sum + (residual ? residual[n] : 0));
    }
}
