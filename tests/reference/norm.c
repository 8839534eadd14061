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

/* ---- gradients --------------------------------------------------------------------------------------------------- */

static double statistics(const ref_norm *n, vka_dtype dtype, uint32_t row, double *inverse) {
    double total = 0, squares = 0;
    for (uint32_t c = 0; c < n->cols; c++) {
        total += n->rms ? 0 : input(n, dtype, row, c);
    }
    double mean = total / n->cols;
    for (uint32_t c = 0; c < n->cols; c++) {
        double deviation = input(n, dtype, row, c) - mean;
        squares += deviation * deviation;
    }
    *inverse = 1 / sqrt(squares / n->cols + n->epsilon);
    return mean;
}

void ref_norm_backward_row(const ref_norm *n, vka_dtype dtype, uint32_t row, const float *d_out, const float *d_sum,
                           double *d_x, double *d_weight, double *d_bias) {
    double inverse, mean = statistics(n, dtype, row, &inverse), sum = 0, product = 0;
    size_t first = (size_t)row * n->cols;
    for (uint32_t c = 0; c < n->cols; c++) {
        double h = (input(n, dtype, row, c) - mean) * inverse, d = (double)d_out[first + c];
        double g = d * (n->weight ? (double)n->weight[c] + n->zero_centred : 1);
        sum += n->rms ? 0 : g;
        product += g * h;
        d_weight[c] += d * h;
        d_bias[c] += d;
    }
    for (uint32_t c = 0; c < n->cols; c++) {
        double h = (input(n, dtype, row, c) - mean) * inverse;
        double g = (double)d_out[first + c] * (n->weight ? (double)n->weight[c] + n->zero_centred : 1);
        d_x[c] = inverse * (g - sum / n->cols - h * product / n->cols) + (d_sum ? (double)d_sum[first + c] : 0);
    }
}

static float naive_statistics(const ref_norm *n, vka_dtype dtype, uint32_t row, float *inverse) {
    float total = 0, squares = 0;
    for (uint32_t c = 0; c < n->cols; c++) {
        total += n->rms ? 0 : naive_input(n, dtype, row, c);
    }
    float mean = total / (float)n->cols;
    for (uint32_t c = 0; c < n->cols; c++) {
        float deviation = naive_input(n, dtype, row, c) - mean;
        squares += deviation * deviation;
    }
    *inverse = 1 / sqrtf(squares / (float)n->cols + (float)n->epsilon);
    return mean;
}

void ref_norm_naive_backward_row(const ref_norm *n, vka_dtype dtype, uint32_t row, const float *d_out,
                                 const float *d_sum, float *d_x, float *d_weight, float *d_bias) {
    float inverse, mean = naive_statistics(n, dtype, row, &inverse), sum = 0, product = 0;
    size_t first = (size_t)row * n->cols;
    for (uint32_t c = 0; c < n->cols; c++) {
        float h = (naive_input(n, dtype, row, c) - mean) * inverse, d = d_out[first + c];
        float g = d * (n->weight ? n->weight[c] + (float)n->zero_centred : 1);
        sum += n->rms ? 0 : g;
        product += g * h;
        d_weight[c] += d * h;
        d_bias[c] += d;
    }
    for (uint32_t c = 0; c < n->cols; c++) {
        float h = (naive_input(n, dtype, row, c) - mean) * inverse;
        float g = d_out[first + c] * (n->weight ? n->weight[c] + (float)n->zero_centred : 1);
        float d = inverse * (g - sum / (float)n->cols - h * product / (float)n->cols);
        d_x[c] = ref_round(dtype, d + (d_sum ? d_sum[first + c] : 0));
    }
}
