/* Symmetric quantisation by its definition, as intervals: what a device may store whose values are off by at most
 * `error`, and whose quotients by what Vulkan allows them (2.5 units in the last place).
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

bool ref_quantised(vka_dtype dtype) {
    return dtype == VKA_I8 || dtype == VKA_Q8_0 || dtype == VKA_Q4_0;
}

static float scale_of(double most) {
    float step = 1.0f / 127, scale = (float)most * step;
    return most < 0x1p-100 ? 0 : scale;
}

bool ref_quantised_scale_ok(double most, double error, float scale) {
    return scale >= scale_of(fmax(most - error, 0)) && scale <= scale_of(most + error);
}

bool ref_quantised_scale_f16_ok(double most, double error, uint16_t scale) {
    uint16_t low = ref_f16_from_f32(scale_of(fmax(most - error, 0))), high = ref_f16_from_f32(scale_of(most + error));
    uint16_t largest = 0x7bff; /* 65504 */
    return scale >= (low < largest ? low : largest) && scale <= (high < largest ? high : largest);
}

static double nearest(double quotient) {
    return fmax(-127, fmin(rint(quotient), 127));
}

bool ref_quantised_ok(double x, double error, float scale, int8_t q) {
    if (scale == 0) {
        return q == 0;
    }
    double low = (x - error) / (double)scale, high = (x + error) / (double)scale;
    double slack = 2.5 * 0x1p-23;
    return q >= nearest(low - slack * fabs(low)) && q <= nearest(high + slack * fabs(high));
}

/* Its magnitude, of a magnitude. */
static uint16_t q4_0_scale_of(double most) {
    uint16_t scale = ref_f16_from_f32(most < 0x1p-100 ? 0 : (float)most / 8);
    return scale < 0x7bff ? scale : 0x7bff;
}

bool ref_q4_0_scale_ok(double most, double error, uint16_t scale) {
    uint16_t low = q4_0_scale_of(fmax(fabs(most) - error, 0)), high = q4_0_scale_of(fabs(most) + error);
    uint16_t magnitude = scale & 0x7fff;
    /* Zeros have a scale of 0. */
    bool sign = !magnitude ? !scale : fabs(most) <= error || !(scale & 0x8000) == (most < 0);
    return magnitude >= low && magnitude <= high && sign;
}

bool ref_q4_0_ok(double x, double error, float scale, int q) {
    if (scale == 0) {
        return q == 0;
    }
    double middle = x / (double)scale, slack = fabs(error / (double)scale) + 2.5 * 0x1p-23 * (fabs(middle) + 1);
    double low = fmax(-8, fmin(rint(middle - slack), 7)), high = fmax(-8, fmin(rint(middle + slack), 7));
    return q >= low && q <= high;
}
