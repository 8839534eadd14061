/* Storage types: conversions that round to nearest even and keep subnormals, infinities and NaN.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>
#include <string.h>

#define BLOCK     32 /* elements */
#define Q8_0_SIZE 34 /* bytes */
#define Q4_0_SIZE 18

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

/* A block as GGUF has it: a binary16 scale, then 32 signed bytes. One that is not finite becomes a scale alone. */
static void store_q8_0(uint8_t *dst, const float *src) {
    float most = 0, nonfinite = 0;
    for (int i = 0; i < BLOCK; i++) {
        most = fmaxf(most, fabsf(src[i]));
        nonfinite = isfinite(src[i]) ? nonfinite : src[i];
    }
    uint16_t scale = ref_f16_from_f32(nonfinite != 0 ? nonfinite : most / 127);
    float d = ref_f32_from_f16(scale);
    memcpy(dst, &scale, 2);
    for (int i = 0; i < BLOCK; i++) {
        float steps = nonfinite != 0 ? 1 : d > 0 ? roundf(src[i] / d) : 0;
        dst[2 + i] = (uint8_t)(int8_t)fmaxf(-127, fminf(steps, 127));
    }
}

static void load_q8_0(float *dst, const uint8_t *src) {
    uint16_t scale;
    memcpy(&scale, src, 2);
    for (int i = 0; i < BLOCK; i++) {
        dst[i] = ref_f32_from_f16(scale) * (float)(int8_t)src[2 + i];
    }
}

/* A binary16 scale of which the element of largest magnitude is -8 times, then halves of bytes; likewise. */
static void store_q4_0(uint8_t *dst, const float *src) {
    float most = 0, nonfinite = 0;
    for (int i = 0; i < BLOCK; i++) {
        most = fabsf(src[i]) > fabsf(most) ? src[i] : most;
        nonfinite = isfinite(src[i]) ? nonfinite : src[i];
    }
    uint16_t scale = ref_f16_from_f32(nonfinite != 0 ? nonfinite : most != 0 ? most / -8 : 0);
    float d = ref_f32_from_f16(scale);
    memcpy(dst, &scale, 2);
    memset(dst + 2, 0, Q4_0_SIZE - 2);
    for (int i = 0; i < BLOCK; i++) {
        float steps = nonfinite != 0 ? 1 : d != 0 ? rintf(src[i] / d) : 0;
        dst[2 + i % 16] |= (uint8_t)((int)fmaxf(0, fminf(steps + 8, 15)) << i / 16 * 4);
    }
}

static void load_q4_0(float *dst, const uint8_t *src) {
    uint16_t scale;
    memcpy(&scale, src, 2);
    for (int i = 0; i < BLOCK; i++) {
        dst[i] = ref_f32_from_f16(scale) * (float)((src[2 + i % 16] >> i / 16 * 4 & 15) - 8);
    }
}

/* The nearest whole number that the type has. */
static float saturate(float x, float low, float high) {
    return fmaxf(low, fminf(roundf(x), high));
}

static void store_one(vka_dtype dtype, void *dst, size_t i, float x) {
    int32_t whole;
    switch (dtype) {
    case VKA_F16:
        ((uint16_t *)dst)[i] = ref_f16_from_f32(x);
        break;
    case VKA_BF16:
        ((uint16_t *)dst)[i] = ref_bf16_from_f32(x);
        break;
    case VKA_U8:
        ((uint8_t *)dst)[i] = (uint8_t)saturate(x, 0, 255);
        break;
    case VKA_I8:
        ((int8_t *)dst)[i] = (int8_t)saturate(x, -128, 127);
        break;
    case VKA_I32:
        whole = (int32_t)saturate(x, -0x1p31f, 0x1.fffffep30f);
        memcpy((char *)dst + 4 * i, &whole, 4);
        break;
    default:
        memcpy((char *)dst + 4 * i, &x, 4);
    }
}

static float load_one(vka_dtype dtype, const void *src, size_t i) {
    int32_t whole;
    float x;
    switch (dtype) {
    case VKA_F16:
        return ref_f32_from_f16(((const uint16_t *)src)[i]);
    case VKA_BF16:
        return ref_f32_from_bf16(((const uint16_t *)src)[i]);
    case VKA_U8:
        return ((const uint8_t *)src)[i];
    case VKA_I8:
        return ((const int8_t *)src)[i];
    case VKA_I32:
        memcpy(&whole, (const char *)src + 4 * i, 4);
        return (float)whole;
    default:
        memcpy(&x, (const char *)src + 4 * i, 4);
        return x;
    }
}

static size_t block_of(vka_dtype dtype) {
    return dtype == VKA_Q8_0 || dtype == VKA_Q4_0 ? BLOCK : 1;
}

void ref_store(vka_dtype dtype, void *dst, const float *src, size_t n) {
    for (size_t i = 0; i < n; i += block_of(dtype)) {
        if (dtype == VKA_Q8_0) {
            store_q8_0((uint8_t *)dst + i / BLOCK * Q8_0_SIZE, src + i);
        } else if (dtype == VKA_Q4_0) {
            store_q4_0((uint8_t *)dst + i / BLOCK * Q4_0_SIZE, src + i);
        } else {
            store_one(dtype, dst, i, src[i]);
        }
    }
}

void ref_load(vka_dtype dtype, float *dst, const void *src, size_t n) {
    for (size_t i = 0; i < n; i += block_of(dtype)) {
        if (dtype == VKA_Q8_0) {
            load_q8_0(dst + i, (const uint8_t *)src + i / BLOCK * Q8_0_SIZE);
        } else if (dtype == VKA_Q4_0) {
            load_q4_0(dst + i, (const uint8_t *)src + i / BLOCK * Q4_0_SIZE);
        } else {
            dst[i] = load_one(dtype, src, i);
        }
    }
}
