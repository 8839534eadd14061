/* SPDX-License-Identifier: MIT */
#include "quantised_rows.h"

#include <math.h>
#include <string.h>

static double largest(const double *x, uint32_t n, bool *nonfinite) {
    double most = 0;
    *nonfinite = false;
    for (uint32_t i = 0; i < n; i++) {
        *nonfinite = *nonfinite || !isfinite(x[i]);
        most = fmax(most, fabs(x[i]));
    }
    return most;
}

static bool steps_ok(const double *ref, double error, uint32_t n, float scale, const uint8_t *steps) {
    bool ok = true;
    for (uint32_t i = 0; i < n; i++) {
        int8_t q = (int8_t)steps[i];
        ok = ok && (isnan(scale) ? q == 0 : ref_quantised_ok(ref[i], error, scale, q));
    }
    return ok;
}

static bool i8_ok(const tensor *t, float scale, size_t row, uint32_t cols, const double *ref, double error) {
    uint8_t steps[1024];
    bool nonfinite;
    double most = largest(ref, cols, &nonfinite);
    for (uint32_t i = 0; i < cols; i++) {
        steps[i] = *tensor_bytes(t, row * cols + i);
    }
    return (nonfinite ? isnan(scale) : ref_quantised_scale_ok(most, error, scale)) &&
           steps_ok(ref, error, cols, scale, steps);
}

static uint16_t block_scale(const tensor *t, size_t element) {
    uint16_t bits;
    memcpy(&bits, tensor_bytes(t, element), 2);
    return bits;
}

/* Any value may be the first of the largest magnitude that is within the error of it, and gives the scale its sign. */
static bool q4_0_scale_ok(const double *ref, double most, double error, uint16_t bits) {
    bool ok = most <= error && ref_q4_0_scale_ok(0, error, bits);
    for (uint32_t i = 0; i < 32; i++) {
        ok = ok || (fabs(ref[i]) >= most - 2 * error && ref_q4_0_scale_ok(copysign(most, ref[i]), error, bits));
    }
    return ok;
}

static bool halves_ok(const double *ref, double error, float scale, const uint8_t *halves) {
    bool ok = true;
    for (uint32_t i = 0; i < 32; i++) {
        int q = (halves[i % 16] >> i / 16 * 4 & 15) - 8;
        ok = ok && (isnan(scale) ? q == 0 : ref_q4_0_ok(ref[i], error, scale, q));
    }
    return ok;
}

/* Blocks of 32 channels, each with its scale in front of its steps or halves. */
static bool blocks_ok(const tensor *t, size_t row, uint32_t cols, const double *ref, double error) {
    bool ok = true, q4 = t->view.dtype == VKA_Q4_0;
    for (uint32_t first = 0; first < cols; first += 32) {
        uint16_t bits = block_scale(t, row * cols + first);
        bool nonfinite;
        double most = largest(ref + first, 32, &nonfinite);
        float scale = ref_f32_from_f16(bits);
        const uint8_t *bytes = tensor_bytes(t, row * cols + first) + 2;
        bool scale_ok = nonfinite ? isnan(scale)
                        : q4      ? q4_0_scale_ok(ref + first, most, error, bits)
                                  : ref_quantised_scale_f16_ok(most, error, bits);
        ok = ok && scale_ok &&
             (q4 ? halves_ok(ref + first, error, scale, bytes) : steps_ok(ref + first, error, 32, scale, bytes));
    }
    return ok;
}

bool quantised_row_ok(const tensor *t, const tensor *scale, size_t row, uint32_t cols, const double *ref,
                      double error) {
    return t->view.dtype == VKA_I8 ? i8_ok(t, scale->values[row], row, cols, ref, error)
                                   : blocks_ok(t, row, cols, ref, error);
}

float quantised_scale(const tensor *t, const tensor *scale, size_t row, uint32_t cols, uint32_t channel) {
    return t->view.dtype == VKA_I8 ? scale->values[row]
                                   : fabsf(ref_f32_from_f16(block_scale(t, row * cols + channel / 32 * 32)));
}
