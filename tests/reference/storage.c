/* Storage types: conversions that round to nearest even and keep subnormals, infinities and NaN.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>
#include <string.h>

uint16_t ref_f16_from_f32(float x) {
    uint16_t sign = signbit(x) ? 0x8000 : 0;
    float magnitude = fabsf(x);
    if (isnan(x)) {
        return sign | 0x7e00;
    }
    if (magnitude >= 65520.0f) { /* rounds to 2^16 or is infinite */
        return sign | 0x7c00;
    }
    /* The spacing of f16 numbers near x is 2^exponent; nearbyintf rounds to nearest even. */
    int exponent = magnitude < 0x1p-14f ? -24 : ilogbf(magnitude) - 10;
    uint32_t steps = (uint32_t)nearbyintf(ldexpf(magnitude, -exponent));
    /* Subnormals are steps of 2^-24. A normal has 1024 .. 2048 steps: those above 1024 are its mantissa, and a carry
     * into the exponent is right as it is. */
    return sign | (uint16_t)(magnitude < 0x1p-14f ? steps : ((uint32_t)(exponent + 24) << 10) + steps);
}

float ref_f32_from_f16(uint16_t x) {
    int exponent = (x >> 10) & 31, mantissa = x & 1023;
    float magnitude;
    if (exponent == 31) {
        magnitude = mantissa ? NAN : INFINITY;
    } else if (exponent == 0) {
        magnitude = ldexpf((float)mantissa, -24);
    } else {
        magnitude = ldexpf((float)(1024 + mantissa), exponent - 25);
    }
    return x & 0x8000 ? -magnitude : magnitude;
}

uint16_t ref_bf16_from_f32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    uint32_t upper = bits >> 16, lower = bits & 0xffff;
    if (isnan(x)) {
        return (uint16_t)(upper | 0x40); /* quiet: what made it a NaN may be in the lower half */
    }
    /* A carry into the exponent is right as it is, up to infinity. */
    return (uint16_t)(upper + (lower > 0x8000 || (lower == 0x8000 && upper % 2)));
}

float ref_f32_from_bf16(uint16_t x) {
    uint32_t bits = (uint32_t)x << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

float ref_round(vka_dtype dtype, float x) {
    switch (dtype) {
    case VKA_F16:
        return ref_f32_from_f16(ref_f16_from_f32(x));
    case VKA_BF16:
        return ref_f32_from_bf16(ref_bf16_from_f32(x));
    default:
        return x;
    }
}

void ref_store(vka_dtype dtype, void *dst, const float *src, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (dtype == VKA_F16) {
            ((uint16_t *)dst)[i] = ref_f16_from_f32(src[i]);
        } else if (dtype == VKA_BF16) {
            ((uint16_t *)dst)[i] = ref_bf16_from_f32(src[i]);
        } else {
            memcpy((char *)dst + 4 * i, &src[i], 4);
        }
    }
}

void ref_load(vka_dtype dtype, float *dst, const void *src, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (dtype == VKA_F16) {
            dst[i] = ref_f32_from_f16(((const uint16_t *)src)[i]);
        } else if (dtype == VKA_BF16) {
            dst[i] = ref_f32_from_bf16(((const uint16_t *)src)[i]);
        } else {
            memcpy(&dst[i], (const char *)src + 4 * i, 4);
        }
    }
}
