/* 16-bit floats on the host: every value, and every border between two of them.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <vkattn/vkattn.h>

/* How a format of 16 bits splits them. */
typedef struct format {
    const char *name;
    int fraction_bits, bias;
    void (*narrow)(const float *from, uint16_t *to, size_t count);
    void (*widen)(const uint16_t *from, float *to, size_t count);
} format;

static const format formats[] = {
    {"f16", 10, 15, vka_f32_to_f16, vka_f16_to_f32},
    {"bf16", 7, 127, vka_f32_to_bf16, vka_bf16_to_f32},
};

/* By the definition, in double, which has all of them. */
static double value_of(const format *f, uint16_t bits) {
    int top = (1 << (15 - f->fraction_bits)) - 1, exponent = bits >> f->fraction_bits & top;
    double fraction = bits & ((1 << f->fraction_bits) - 1), sign = bits & 0x8000 ? -1 : 1;
    if (exponent == top)
        return fraction != 0 ? NAN : sign * INFINITY;
    double one = ldexp(1, f->fraction_bits);
    return sign * ldexp(exponent ? one + fraction : fraction, (exponent ? exponent : 1) - f->bias - f->fraction_bits);
}

static uint16_t narrow(const format *f, float x) {
    uint16_t bits = 0;
    f->narrow(&x, &bits, 1);
    return bits;
}

static void is(const format *f, float x, uint16_t wanted) {
    uint16_t got = narrow(f, x);
    cr_assert_eq(got, wanted, "%s of %a is %#x and not %#x", f->name, (double)x, got, wanted);
}

Test(convert, every_value_and_back) {
    for (size_t i = 0; i < 2; i++) {
        const format *f = &formats[i];
        for (uint32_t bits = 0; bits < 65536; bits++) {
            uint16_t narrowed = (uint16_t)bits;
            float x;
            f->widen(&narrowed, &x, 1);
            double wanted = value_of(f, narrowed);
            if (isnan(wanted)) {
                cr_assert(isnan(x) && isnan(value_of(f, narrow(f, x))), "%s %#x is no NaN any more", f->name, bits);
                cr_assert_eq(narrow(f, x) & 0x8000, bits & 0x8000, "%s %#x has another sign", f->name, bits);
            } else {
                cr_assert(x == wanted && !signbit(x) == !(bits & 0x8000), "%s %#x is %a and not %a", f->name, bits,
                          (double)x, wanted);
                is(f, x, narrowed);
            }
        }
    }
}

/* To nearest even: what lies half way goes to the even one, the floats next to that to their own side. As rounding is
 * monotone, that is all there is to know of what lies between. */
Test(convert, every_border) {
    for (size_t i = 0; i < 2; i++) {
        const format *f = &formats[i];
        uint16_t last = (uint16_t)(0x7fff & ~((1 << f->fraction_bits) - 1)); /* infinity */
        for (uint16_t low = 0; low < last; low++) {
            for (int negative = 0; negative < 2; negative++) {
                uint16_t sign = negative ? 0x8000 : 0, high = (uint16_t)(low + 1), even = low % 2 ? high : low;
                double above = high == last ? ldexp(1, f->bias + 1) : value_of(f, high); /* where infinity begins */
                double half = (value_of(f, low) + above) / 2;
                float middle = (float)half;
                if (middle != half) /* bf16's least ones: below f32's, too */
                    continue;
                middle = negative ? -middle : middle;
                is(f, middle, sign | even);
                is(f, nextafterf(middle, 0), sign | low);
                is(f, nextafterf(middle, negative ? -INFINITY : INFINITY), sign | high);
            }
        }
    }
}

Test(convert, ends) {
    const format *f16 = &formats[0], *bf16 = &formats[1];
    is(f16, 65504, 0x7bff);
    is(f16, 65519.996f, 0x7bff);
    is(f16, 65520, 0x7c00);
    is(f16, INFINITY, 0x7c00);
    is(f16, -INFINITY, 0xfc00);
    is(f16, 0x1p-24f, 1);
    is(f16, 0x1p-25f, 0);
    is(f16, -0x1.000002p-25f, 0x8001);
    is(f16, 0x1p-149f, 0);
    is(f16, -0.0f, 0x8000);
    is(bf16, 3.4028235e38f, 0x7f80);
    is(bf16, -INFINITY, 0xff80);
    is(bf16, 0x1p-149f, 0);
    is(bf16, -0.0f, 0x8000);
    /* NaN of which the upper half alone would be infinity */
    uint32_t bits = 0x7f800001;
    float nan;
    memcpy(&nan, &bits, sizeof nan);
    cr_assert(isnan(value_of(bf16, narrow(bf16, nan))) && isnan(value_of(f16, narrow(f16, nan))));
    vka_f32_to_f16(NULL, NULL, 0);
    vka_bf16_to_f32(NULL, NULL, 0);
}
