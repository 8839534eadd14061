/* Hadamard transforms by their definition: a block times the matrix.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

/* Element (i, j) of Sylvester's matrix. */
static int sign(uint32_t i, uint32_t j) {
    uint32_t bits = i & j;
    int sign = 1;
    for (; bits; bits &= bits - 1) {
        sign = -sign;
    }
    return sign;
}

void ref_hadamard_row(uint32_t cols, uint32_t block, const float *x, double *out) {
    for (uint32_t c = 0; c < cols; c++) {
        uint32_t first = c / block * block;
        out[c] = 0;
        for (uint32_t i = 0; i < block; i++) {
            out[c] += sign(i, c - first) * (double)x[first + i];
        }
        out[c] /= sqrt(block);
    }
}

void ref_hadamard_naive_row(uint32_t cols, uint32_t block, vka_dtype dtype, const float *x, float *out) {
    for (uint32_t c = 0; c < cols; c++) {
        uint32_t first = c / block * block;
        float factor = ref_round(dtype, 1 / sqrtf((float)block)), sum = 0;
        for (uint32_t i = 0; i < block; i++) {
            sum += (float)sign(i, c - first) * factor * x[first + i];
        }
        out[c] = ref_round(dtype, sum);
    }
}
