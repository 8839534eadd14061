/* The references and the rule themselves, against numbers worked out by hand.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "reference.h"
#include "support/context.h"

Test(reference, f16) {
    static const struct {
        float f;
        uint16_t h;
    } pairs[] = {
        {0.0f, 0x0000},       {-0.0f, 0x8000},      {1.0f, 0x3c00},      {-2.0f, 0xc000},        {65504.0f, 0x7bff},
        {65519.9f, 0x7bff},   {65520.0f, 0x7c00},   {-INFINITY, 0xfc00}, {0x1p-24f, 0x0001},     {0x1p-25f, 0x0000},
        {0x1.8p-25f, 0x0001}, {0x1.8p-24f, 0x0002}, {0x1p-14f, 0x0400},  {0x1.ff8p-15f, 0x03ff}, {0x1.ffep-15f, 0x0400},
        {2049.0f, 0x6800},    {2051.0f, 0x6802},    {0.1f, 0x2e66},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        cr_expect_eq(ref_f16_from_f32(pairs[i].f), pairs[i].h, "%a gives %x", (double)pairs[i].f,
                     ref_f16_from_f32(pairs[i].f));
    }
    for (uint32_t h = 0; h < 65536; h++) {
        float f = ref_f32_from_f16((uint16_t)h);
        cr_assert(isnan(f) ? (h & 0x7fff) > 0x7c00 : ref_f16_from_f32(f) == h, "%x", h);
    }
    cr_expect(isnan(ref_f32_from_f16(ref_f16_from_f32(NAN))));
}

Test(reference, bf16) {
    static const struct {
        float f;
        uint16_t h;
    } pairs[] = {
        {0.0f, 0x0000},          {-0.0f, 0x8000},
        {1.0f, 0x3f80},          {-2.0f, 0xc000},
        {0x1.01p0f, 0x3f80},     {0x1.03p0f, 0x3f82},
        {0x1.010002p0f, 0x3f81}, {0x1.00fffep0f, 0x3f80},
        {0x1.fep127f, 0x7f7f},   {0x1.fefffep127f, 0x7f7f},
        {0x1.ffp127f, 0x7f80},   {-INFINITY, 0xff80},
        {0x1p-133f, 0x0001},     {0x1p-134f, 0x0000},
        {0x1.8p-133f, 0x0002},   {0x1.8p-134f, 0x0001},
        {0x1.fffp-127f, 0x0080}, {0.1f, 0x3dcd},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        cr_expect_eq(ref_bf16_from_f32(pairs[i].f), pairs[i].h, "%a gives %x", (double)pairs[i].f,
                     ref_bf16_from_f32(pairs[i].f));
    }
    for (uint32_t h = 0; h < 65536; h++) {
        float f = ref_f32_from_bf16((uint16_t)h);
        cr_assert(isnan(f) ? (h & 0x7fff) > 0x7f80 : ref_bf16_from_f32(f) == h, "%x", h);
    }
    /* A NaN whose upper half alone would be an infinity. */
    static const uint32_t low_nan = 0xff800001;
    float nan;
    memcpy(&nan, &low_nan, 4);
    cr_expect(isnan(ref_f32_from_bf16(ref_bf16_from_f32(nan))) && isnan(ref_round(VKA_BF16, NAN)));
    /* Halfway between two neighbours goes to the even one; nearer ones go there. */
    for (uint32_t h = 0; h < 0x7f7f; h += 7) {
        float between = ref_f32_from_bf16((uint16_t)h) / 2 + ref_f32_from_bf16((uint16_t)(h + 1)) / 2;
        cr_assert_eq(ref_bf16_from_f32(between), h + h % 2, "%x", h);
        cr_assert_eq(ref_bf16_from_f32(nextafterf(between, 0)), h, "%x", h);
        cr_assert_eq(ref_bf16_from_f32(nextafterf(between, INFINITY)), h + 1, "%x", h);
    }
}

/* Quantised as GGUF does it: what comes back is off by half a step at most, and storing it again changes nothing. */
Test(reference, q8_0) {
    ref_rng rng = ref_rng_seed(3);
    for (int n = 0; n < 1000; n++) {
        float x[64], y[64], z[64], most[2] = {0, 0};
        uint8_t bytes[68], again[68];
        for (int i = 0; i < 64; i++) {
            x[i] = ldexpf(ref_rng_normal(&rng), n % 9 - 4);
            most[i / 32] = fmaxf(most[i / 32], fabsf(x[i]));
        }
        ref_store(VKA_Q8_0, bytes, x, 64);
        ref_load(VKA_Q8_0, y, bytes, 64);
        ref_store(VKA_Q8_0, again, y, 64);
        ref_load(VKA_Q8_0, z, again, 64);
        cr_assert_arr_eq(y, z, sizeof y);
        for (int i = 0; i < 64; i++) {
            float step = ref_round(VKA_F16, most[i / 32] / 127);
            cr_assert_leq(fabsf(y[i] - x[i]), 0.5001f * step + 127 * fabsf(step - most[i / 32] / 127));
        }
    }
    static const uint8_t bytes[34] = {0x00, 0x3c, 1, 0xff, 127, 0x81}; /* 1.0, then 1 -1 127 -127 */
    float x[32], zero[32] = {0}, nonfinite[32] = {0};
    uint8_t stored[34];
    ref_load(VKA_Q8_0, x, bytes, 32);
    cr_expect(x[0] == 1 && x[1] == -1 && x[2] == 127 && x[3] == -127 && x[4] == 0);
    ref_store(VKA_Q8_0, stored, x, 32);
    cr_expect_arr_eq(stored, bytes, 34);
    ref_store(VKA_Q8_0, stored, zero, 32);
    ref_load(VKA_Q8_0, x, stored, 32);
    cr_expect_arr_eq(x, zero, sizeof x);
    nonfinite[7] = -INFINITY;
    ref_store(VKA_Q8_0, stored, nonfinite, 32);
    ref_load(VKA_Q8_0, x, stored, 32);
    cr_expect(x[0] == -INFINITY && x[31] == -INFINITY);
}

/* Likewise with halves of bytes: the largest element comes back but for the scale's rounding. */
Test(reference, q4_0) {
    ref_rng rng = ref_rng_seed(4);
    for (int n = 0; n < 1000; n++) {
        float x[64], y[64], most[2] = {0, 0};
        uint8_t bytes[36];
        for (int i = 0; i < 64; i++) {
            x[i] = ldexpf(ref_rng_normal(&rng), n % 9 - 4);
            most[i / 32] = fmaxf(most[i / 32], fabsf(x[i]));
        }
        ref_store(VKA_Q4_0, bytes, x, 64);
        ref_load(VKA_Q4_0, y, bytes, 64);
        for (int i = 0; i < 64; i++) {
            float step = most[i / 32] / 8;
            bool clamped = fabsf(x[i]) > 7 * step; /* there is -8, but no 8 */
            cr_assert_leq(fabsf(y[i] - x[i]), (clamped ? 1 : 0.5f) * step * 1.01f, "%g became %g", x[i], y[i]);
        }
    }
    /* 0.5, then elements 0, 16 in byte 0, elements 1, 17 in byte 1, .. */
    static const uint8_t bytes[18] = {0x00, 0x38, 0x10, 0xf9, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 0x88};
    float x[32], zero[32] = {0}, nonfinite[32] = {0};
    uint8_t stored[18];
    ref_load(VKA_Q4_0, x, bytes, 32);
    cr_expect(x[0] == -4 && x[16] == -3.5f && x[1] == 0.5f && x[17] == 3.5f && x[2] == 0 && x[18] == -4 && x[31] == 0);
    ref_store(VKA_Q4_0, stored, x, 32);
    cr_expect_arr_eq(stored, bytes, 18);
    ref_store(VKA_Q4_0, stored, zero, 32);
    ref_load(VKA_Q4_0, x, stored, 32);
    cr_expect_arr_eq(x, zero, sizeof x);
    nonfinite[7] = -INFINITY;
    ref_store(VKA_Q4_0, stored, nonfinite, 32);
    ref_load(VKA_Q4_0, x, stored, 32);
    cr_expect(x[0] == -INFINITY && x[31] == -INFINITY);
}

Test(reference, integers) {
    static const float x[] = {0, 1, -1, 127, 128, -128, -129, 200, 255, 300, -0x1p31f, 0x1p31f, 7.6f};
    static const float i8[] = {0, 1, -1, 127, 127, -128, -128, 127, 127, 127, -128, 127, 8};
    static const float u8[] = {0, 1, 0, 127, 128, 0, 0, 200, 255, 255, 0, 255, 8};
    static const float i32[] = {0, 1, -1, 127, 128, -128, -129, 200, 255, 300, -0x1p31f, 0x1.fffffep30f, 8};
    enum { COUNT = sizeof x / sizeof *x };
    uint8_t bytes[4 * COUNT];
    float y[COUNT];
    ref_store(VKA_I8, bytes, x, COUNT);
    ref_load(VKA_I8, y, bytes, COUNT);
    cr_expect_arr_eq(y, i8, sizeof y);
    ref_store(VKA_U8, bytes, x, COUNT);
    ref_load(VKA_U8, y, bytes, COUNT);
    cr_expect_arr_eq(y, u8, sizeof y);
    ref_store(VKA_I32, bytes, x, COUNT);
    ref_load(VKA_I32, y, bytes, COUNT);
    cr_expect_arr_eq(y, i32, sizeof y);
}

Test(reference, layer_norm) {
    static const float x[4] = {1, 2, 3, 6}, w[4] = {1, 1, 2, 1}, b[4] = {0, 0, 0, 10};
    ref_norm n = {.rows = 1, .cols = 4, .x = x, .weight = w, .bias = b, .epsilon = 0.5};
    double out[4], mean, inv_std;
    float naive[4], naive_mean, naive_inv_std;
    ref_norm_row(&n, VKA_F32, 0, out, NULL, &mean, &inv_std);
    cr_expect_float_eq(mean, 3, 1e-15);
    cr_expect_float_eq(inv_std, 0.5, 1e-15); /* variance 3.5 */
    cr_expect_float_eq(out[0], -1, 1e-15);
    cr_expect_float_eq(out[2], 0, 1e-15);
    cr_expect_float_eq(out[3], 11.5, 1e-15);
    ref_norm_naive_row(&n, VKA_F32, 0, naive, NULL, &naive_mean, &naive_inv_std);
    cr_expect_float_eq(naive[3], 11.5, 1e-5);
}

Test(reference, rms_norm) {
    static const float x[4] = {1, -1, 3, 1}, w[4] = {0, 0, 1, -2};
    ref_norm n = {.rows = 1, .cols = 4, .x = x, .weight = w, .rms = true, .zero_centred = true, .epsilon = 1};
    double out[4], mean, inv_rms;
    float naive[4], naive_mean, naive_inv_rms;
    ref_norm_row(&n, VKA_F32, 0, out, NULL, &mean, &inv_rms);
    cr_expect_float_eq(inv_rms, 0.5, 1e-15); /* mean of squares 3 */
    cr_expect_float_eq(out[1], -0.5, 1e-15);
    cr_expect_float_eq(out[2], 3, 1e-15);
    cr_expect_float_eq(out[3], -0.5, 1e-15);
    ref_norm_naive_row(&n, VKA_F32, 0, naive, NULL, &naive_mean, &naive_inv_rms);
    cr_expect_float_eq(naive_inv_rms, 0.5, 1e-5);
    cr_expect_float_eq(naive[2], 3, 1e-5);
    cr_expect_float_eq(naive[3], -0.5, 1e-5);
}

Test(reference, softmax) {
    static const float x[4] = {0, 0.6931472f, -INFINITY, 7};
    ref_logits s = {.cols = 4, .live = 3, .x = x, .scale = 1};
    double out[4];
    float naive[4];
    ref_logits_softmax(&s, out);
    cr_expect_float_eq(out[0], 1.0 / 3, 1e-7);
    cr_expect_float_eq(out[1], 2.0 / 3, 1e-7);
    cr_expect(out[2] == 0 && out[3] == 0);
    cr_expect_float_eq(ref_logits_lse(&s), log(3), 1e-7);
    ref_logits_naive_softmax(&s, VKA_F32, naive);
    cr_expect_float_eq(naive[1], 2.0 / 3, 1e-6);
    cr_expect_float_eq(ref_logits_loss(&(ref_logits){.cols = 2, .live = 2, .x = x, .scale = 1}, 0, 0), log(3), 1e-7);
    cr_expect_float_eq(ref_logits_loss(&(ref_logits){.cols = 2, .live = 2, .x = x, .scale = 1}, 0, 0.5),
                       log(3) - 0.25 * log(2), 1e-7);
    s.log = true;
    s.scale = 2;
    ref_logits_softmax(&s, out);
    cr_expect_float_eq(out[0], -log(5), 1e-6);
    cr_expect(out[2] == -INFINITY && out[3] == -INFINITY);
    s.live = 0;
    ref_logits_softmax(&s, out);
    cr_expect(out[0] == -INFINITY && ref_logits_lse(&s) == -INFINITY);
}

Test(reference, rule) {
    ref_error e = {0};
    ref_error_add(&e, 1.000009, 1, 1);
    cr_expect(ref_error_ok(&e));
    ref_error_add(&e, 1.001, 1.0004, 1);
    cr_expect(!ref_error_ok(&e));
    ref_error_add(&e, 1, 1.0006, 1);
    cr_expect(ref_error_ok(&e));
    ref_error_add(&e, NAN, 1, NAN);
    ref_error_add(&e, INFINITY, 1, INFINITY);
    cr_expect(ref_error_ok(&e));
    static const double wrong[][3] = {{NAN, 1, 1}, {INFINITY, 1, 1},         {INFINITY, INFINITY, 1},
                                      {1, 1, NAN}, {INFINITY, 1, -INFINITY}, {1, 1, INFINITY}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ref_error bad = {0};
        ref_error_add(&bad, wrong[i][0], wrong[i][1], wrong[i][2]);
        cr_expect(!ref_error_ok(&bad), "%zu", i);
    }
    ref_error overflow = {0}; /* that the naive computation overflows is no excuse */
    ref_error_add(&overflow, 2, INFINITY, 1);
    cr_expect(!ref_error_ok(&overflow));
}

Test(reference, generator) {
    ref_rng a = ref_rng_seed(7), b = ref_rng_seed(7), c = ref_rng_seed(8);
    double mean = 0, square = 0;
    bool differs = false;
    for (int i = 0; i < 100000; i++) {
        uint64_t x = ref_rng_u64(&a);
        cr_assert_eq(x, ref_rng_u64(&b));
        differs = differs || x != ref_rng_u64(&c);
        float n = ref_rng_normal(&c);
        cr_assert(isfinite(n) && ref_rng_below(&c, 3) < 3);
        mean += (double)n / 100000;
        square += (double)n * (double)n / 100000;
    }
    cr_expect(differs && fabs(mean) < 0.02 && fabs(square - 1) < 0.03);
}

/* Central differences, at random places; those of RELU not across its corner. */
Test(reference, activation_slopes) {
    const double h = 1e-5;
    ref_rng rng = ref_rng_seed(test_seed());
    for (uint32_t n = 0; n < 2000; n++) {
        vka_activation a = (vka_activation)(n % (VKA_ACTIVATION_SIGMOID + 1));
        double x = 3 * (double)ref_rng_normal(&rng), alpha = (double)ref_rng_normal(&rng);
        double slope = (ref_activation(a, x + h) - ref_activation(a, x - h)) / (2 * h);
        double swish = (ref_swish(x + h, alpha) - ref_swish(x - h, alpha)) / (2 * h);
        if (a == VKA_ACTIVATION_RELU && fabs(x) < h) {
            continue;
        }
        cr_expect(fabs(ref_activation_slope(a, x) - slope) < 1e-8, "activation %d at %g", a, x);
        cr_expect(fabs(ref_swish_slope(x, alpha) - swish) < 1e-8, "swish at %g, alpha %g", x, alpha);
        cr_expect(fabs((double)ref_naive_activation_slope(a, (float)x) - slope) < 1e-5, "naive %d at %g", a, x);
    }
}
