/* Arrays of f32 to and from 16-bit floats, on the host; in integers, so that no rounding mode and no flag of a compiler
 * changes them.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "core/core.h"

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Nearest multiple of 2^shift, ties to even, in units of that. */
static uint32_t round_shift(uint32_t x, uint32_t shift) {
    uint32_t half = UINT32_C(1) << (shift - 1), rest = x & (2 * half - 1), whole = x >> shift;
    return whole + (rest > half || (rest == half && whole % 2));
}

static uint16_t f16_of(float x) {
    uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000, a = bits & 0x7fffffff, exponent = a >> 23;
    if (a > 0x7f800000) /* NaN: quiet, and with as much of its payload as there is room for */
        return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x1ff));
    if (a >= 0x477ff000) /* 65520, and what is nearer to infinity */
        return (uint16_t)(sign | 0x7c00);
    if (exponent < 102) /* below half of the least subnormal, 2^-25 */
        return (uint16_t)sign;
    if (exponent < 113) /* a subnormal, or the least normal number */
        return (uint16_t)(sign | round_shift((a & 0x7fffff) | 0x800000, 126 - exponent));
    return (uint16_t)(sign | round_shift(a - (UINT32_C(112) << 23), 13));
}

static float f32_of(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 0x3ff;
    if (!exponent)
        return float_of(sign | bits_of((float)fraction * 0x1p-24f));
    return float_of(sign | (exponent + (exponent == 31 ? 224 : 112)) << 23 | fraction << 13);
}

void vka_f32_to_f16(const float *from, uint16_t *to, size_t count) {
    for (size_t i = 0; i < count; ++i)
        to[i] = f16_of(from[i]);
}

void vka_f16_to_f32(const uint16_t *from, float *to, size_t count) {
    for (size_t i = 0; i < count; ++i)
        to[i] = f32_of(from[i]);
}

void vka_f32_to_bf16(const float *from, uint16_t *to, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        uint32_t bits = bits_of(from[i]);
        bool nan = (bits & 0x7fffffff) > 0x7f800000;
        to[i] = (uint16_t)(nan ? bits >> 16 | 0x40 : round_shift(bits, 16)); /* rounding carries into the exponent */
    }
}

void vka_bf16_to_f32(const uint16_t *from, float *to, size_t count) {
    for (size_t i = 0; i < count; ++i)
        to[i] = float_of((uint32_t)from[i] << 16);
}
