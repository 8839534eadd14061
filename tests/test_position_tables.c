/* Tables of positions that the host fills, against their definitions and against values that others computed.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <vkattn/positions.h>

#define NEAR(a, b, relative)                                                                                           \
    cr_expect(fabs((a) - (b)) <= (relative)*fabs(b), "%.9g is not %.9g", (double)(a), (double)(b))

Test(position_tables, alibi_slopes) {
    static const float eight[] = {0.5f, 0.25f, 0.125f, 0.0625f, 0.03125f, 0.015625f, 0.0078125f, 0.00390625f};
    float slopes[64];
    vka_alibi_slopes(8, slopes);
    cr_expect_arr_eq(slopes, eight, sizeof eight);
    /* get_slopes(12): those of 8, then every other one of 16. */
    vka_alibi_slopes(12, slopes);
    cr_expect_arr_eq(slopes, eight, sizeof eight);
    for (int i = 0; i < 4; i++) {
        NEAR((double)slopes[8 + i], pow(2, -0.5 * (2 * i + 1)), 1e-7);
    }
    vka_alibi_slopes(1, slopes);
    cr_expect_eq(slopes[0], 0x1p-8f);
    vka_alibi_slopes(3, slopes); /* of 2, then the first of 4 */
    cr_expect(slopes[0] == 0x1p-4f && slopes[1] == 0x1p-8f && slopes[2] == 0x1p-2f);
    slopes[0] = 7;
    vka_alibi_slopes(0, slopes);
    cr_expect_eq(slopes[0], 7);
}

Test(position_tables, sinusoidal) {
    float x[3 * 6];
    vka_sinusoidal_positions(5, 3, 6, VKA_SINUSOID_INTERLEAVED, 0, x);
    for (int i = 0; i < 3; i++) {
        for (int c = 0; c < 6; c++) {
            double angle = (5 + i) / pow(10000, c / 2 * 2 / 6.0);
            cr_expect_eq(x[i * 6 + c], (float)(c % 2 ? cos(angle) : sin(angle)));
        }
    }
    vka_sinusoidal_positions(-1, 2, 7, VKA_SINUSOID_HALVES, 100, x);
    for (int i = 0; i < 2; i++) {
        for (int c = 0; c < 6; c++) {
            double angle = (i - 1) * pow(100, -(c % 3) / 2.0);
            NEAR((double)x[i * 7 + c], c < 3 ? sin(angle) : cos(angle), 1e-6);
        }
        cr_expect_eq(x[i * 7 + 6], 0);
    }
    vka_sinusoidal_positions(1, 1, 5, VKA_SINUSOID_INTERLEAVED, 0, x); /* without the last cosine */
    NEAR((double)x[4], sin(pow(10000, -4 / 5.0)), 1e-6);
    vka_sinusoidal_positions(1, 1, 1, VKA_SINUSOID_HALVES, 0, x);
    cr_expect_eq(x[0], 0);
}

enum { PAIRS = 32 };

static double frequencies_of(vka_rope_scaling s, double f[PAIRS]) {
    double factor;
    s.dims = 2 * PAIRS;
    cr_assert_eq(vka_rope_frequencies(&s, f, &factor), VKA_OK, "%s", vka_last_error());
    return factor;
}

static double plain(double theta, int k) {
    return pow(theta, -k / (double)PAIRS);
}

Test(position_tables, scaled_evenly) {
    double f[PAIRS];
    cr_expect_eq(frequencies_of((vka_rope_scaling){0}, f), 1);
    for (int k = 0; k < PAIRS; k++) {
        NEAR(f[k], plain(10000, k), 1e-12);
    }
    cr_expect_eq(frequencies_of((vka_rope_scaling){.kind = VKA_ROPE_SCALING_LINEAR, .factor = 4, .theta = 5e5}, f), 1);
    for (int k = 0; k < PAIRS; k++) {
        NEAR(f[k], plain(5e5, k) / 4, 1e-12);
    }
    /* The highest frequency stays, the lowest one is divided by the factor. */
    frequencies_of((vka_rope_scaling){.kind = VKA_ROPE_SCALING_NTK, .factor = 8}, f);
    cr_expect_eq(f[0], 1);
    NEAR(f[PAIRS - 1], plain(10000, PAIRS - 1) / 8, 1e-12);
    vka_rope_scaling dynamic = {.kind = VKA_ROPE_SCALING_NTK_DYNAMIC, .factor = 2, .trained = 1000, .length = 1000};
    frequencies_of(dynamic, f);
    NEAR(f[PAIRS - 1], plain(10000, PAIRS - 1), 1e-12);
    dynamic.length = 3000; /* 2 * 3 - 1 */
    frequencies_of(dynamic, f);
    NEAR(f[PAIRS - 1], plain(10000, PAIRS - 1) / 5, 1e-12);
}

/* By its paper: pairs that turn more than 32 times within the trained positions stay, those that turn less than once
 * are interpolated; between, a ramp over pairs. */
Test(position_tables, yarn) {
    double f[PAIRS];
    vka_rope_scaling s = {.kind = VKA_ROPE_SCALING_YARN, .factor = 16, .trained = 4096};
    NEAR(frequencies_of(s, f), 0.1 * log(16) + 1, 1e-12);
    int low = -1, high = PAIRS; /* last pair with more than 32 turns, first with less than one */
    for (int k = 0; k < PAIRS; k++) {
        double turns = 4096 * plain(10000, k) / 6.283185307179586;
        low = turns > 32 ? k : low;
        high = turns < 1 && high == PAIRS ? k : high;
    }
    cr_assert(low > 0 && high < PAIRS - 1 && low + 3 < high);
    for (int k = 0; k < PAIRS; k++) {
        double ramp = fmin(fmax((double)(k - low) / (high - low), 0), 1);
        NEAR(f[k], plain(10000, k) * (1 - ramp + ramp / 16), 1e-12);
    }
    s.attention_factor = 1.5;
    cr_expect_eq(frequencies_of(s, f), 1.5);
}

Test(position_tables, longrope) {
    double f[PAIRS];
    float near[PAIRS], far[PAIRS];
    for (int k = 0; k < PAIRS; k++) {
        near[k] = 1 + (float)k;
        far[k] = 3 + (float)k;
    }
    vka_rope_scaling s = {.kind = VKA_ROPE_SCALING_LONGROPE,
                          .factor = 32,
                          .trained = 4096,
                          .length = 4096,
                          .short_factors = near,
                          .long_factors = far};
    NEAR(frequencies_of(s, f), sqrt(1 + log(32) / log(4096)), 1e-12);
    NEAR(f[5], plain(10000, 5) / 6, 1e-12);
    s.length++;
    frequencies_of(s, f);
    NEAR(f[5], plain(10000, 5) / 8, 1e-12);
}

Test(position_tables, rope_tables) {
    enum { POSITIONS = 3 };
    vka_rope_scaling s = {.kind = VKA_ROPE_SCALING_LINEAR, .dims = 6, .factor = 2, .attention_factor = 0.5};
    float cosines[POSITIONS * 3], sines[POSITIONS * 3];
    cr_assert_eq(vka_rope_tables(&s, 1000000, POSITIONS, cosines, sines), VKA_OK);
    for (int i = 0; i < POSITIONS * 3; i++) {
        double angle = (1000000 + i / 3) * pow(10000, -(i % 3) / 3.0) / 2;
        cr_expect_float_eq(cosines[i], 0.5 * cos(angle), 1e-7);
        cr_expect_float_eq(sines[i], 0.5 * sin(angle), 1e-7);
    }
}

static void refused(vka_rope_scaling s, const char *field) {
    double f[PAIRS];
    char item[64];
    snprintf(item, sizeof item, "vka_rope_frequencies.%s: ", field);
    cr_expect_eq(vka_rope_frequencies(&s, f, NULL), VKA_INVALID, "%s", field);
    cr_expect(!strncmp(vka_last_error(), item, strlen(item)), "%s: %s", item, vka_last_error());
}

Test(position_tables, refusals) {
    static const float factors[PAIRS];
    refused((vka_rope_scaling){.dims = 0}, "dims");
    refused((vka_rope_scaling){.dims = 7}, "dims");
    refused((vka_rope_scaling){.kind = VKA_ROPE_SCALING_NTK, .dims = 2, .factor = 2}, "dims");
    refused((vka_rope_scaling){.kind = (vka_rope_scaling_kind)9, .dims = 8}, "kind");
    refused((vka_rope_scaling){.dims = 8, .theta = 0.5}, "theta");
    refused((vka_rope_scaling){.dims = 8, .theta = NAN}, "theta");
    refused((vka_rope_scaling){.dims = 8, .attention_factor = -1}, "attention_factor");
    refused((vka_rope_scaling){.kind = VKA_ROPE_SCALING_LINEAR, .dims = 8}, "factor");
    refused((vka_rope_scaling){.kind = VKA_ROPE_SCALING_YARN, .dims = 8, .factor = 2}, "trained");
    refused((vka_rope_scaling){.kind = VKA_ROPE_SCALING_YARN, .dims = 8, .factor = 2, .trained = 9, .beta_slow = 40},
            "beta_slow");
    refused((vka_rope_scaling){.kind = VKA_ROPE_SCALING_LONGROPE, .dims = 8, .factor = 2, .trained = 9},
            "short_factors");
    refused(
        (vka_rope_scaling){
            .kind = VKA_ROPE_SCALING_LONGROPE, .dims = 8, .factor = 2, .trained = 9, .short_factors = factors},
        "long_factors");
    cr_expect_eq(vka_rope_frequencies(NULL, NULL, NULL), VKA_INVALID);
}
