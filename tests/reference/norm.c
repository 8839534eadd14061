/* Norms by their definition, one row at a time: layer norm (Ba 2016), biased variance, from deviations; RMS norm (Zhang
 * and Sennrich 2019).
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

/* The value that is normalised. x + residual is exact in float64 for f16 and all but exact for others. */
static double input(const ref_norm *n, vka_dtype dtype, uint32_t row, uint32_t c) {
    size_t at = (size_t)row * n->cols + c;
    double y = n->x[at];
    if (n->residual) {
        y += (double)n->residual[at];
        if (n->round_sum) {
            y = ref_round(dtype, (float)y);
        }
    }
    return y;
}

void ref_norm_row(const ref_norm *n, vka_dtype dtype, uint32_t row, double *out, double *sum, double *mean,
                  double *inv_std) {
    double total = 0, squares = 0;
    for (uint32_t c = 0; c < n->cols; c++) {
        total += input(n, dtype, row, c);
    }
    *mean = n->rms ? 0 : total / n->cols;
    for (uint32_t c = 0; c < n->cols; c++) {
        double deviation = input(n, dtype, row, c) - *mean;
        squares += deviation * deviation;
    }
    *inv_std = 1 / sqrt(squares / n->cols + n->epsilon);
    for (uint32_t c = 0; c < n->cols; c++) {
        double weight = n->weight ? n->weight[c] + (double)n->zero_centred : 1, bias = n->bias ? n->bias[c] : 0;
        out[c] = (input(n, dtype, row, c) - *mean) * *inv_std * weight + bias;
        if (sum) {
            size_t at = (size_t)row * n->cols + c;
            sum[c] = (double)n->x[at] + (n->residual ? (double)n->residual[at] : 0);
        }
    }
}

static float naive_input(const ref_norm *n, vka_dtype dtype, uint32_t row, uint32_t c) {
    size_t at = (size_t)row * n->cols + c;
    float y = n->x[at];
    if (n->residual) {
        y += n->residual[at];
        if (n->round_sum) {
            y = ref_round(dtype, y);
        }
    }
    return y;
}

void ref_norm_naive_row(const ref_norm *n, vka_dtype dtype, uint32_t row, float *out, float *sum, float *mean,
                        float *inv_std) {
    float total = 0, squares = 0;
    for (uint32_t c = 0; c < n->cols; c++) {
        total += naive_input(n, dtype, row, c);
    }
    *mean = n->rms ? 0 : total / (float)n->cols;
    for (uint32_t c = 0; c < n->cols; c++) {
        float deviation = naive_input(n, dtype, row, c) - *mean;
        squares += deviation * deviation;
    }
    *inv_std = 1 / sqrtf(squares / (float)n->cols + (float)n->epsilon);
    for (uint32_t c = 0; c < n->cols; c++) {
        float weight = n->weight ? n->weight[c] + (float)n->zero_centred : 1, bias = n->bias ? n->bias[c] : 0;
        float y = naive_input(n, dtype, row, c);
        out[c] = ref_round(dtype, (y - *mean) * *inv_std * weight + bias);
        if (sum) {
            sum[c] = ref_round(dtype, y);
        }
    }
}
