/* Tables of positions.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>

#include <vkattn/positions.h>

#include "core/core.h"

#define PI 3.14159265358979323846

void vka_alibi_slopes(uint32_t heads, float *slopes) {
    uint32_t n = 1;
    while (n <= heads / 2)
        n *= 2;
    for (uint32_t h = 0; h < heads; ++h)
        slopes[h] = (float)(h < n ? exp2(-8.0 * (h + 1) / n) : exp2(-8.0 * (2 * (h - n) + 1) / (2.0 * n)));
}

void vka_sinusoidal_positions(int64_t first, uint32_t positions, uint32_t channels, vka_sinusoid_layout layout,
                              double theta, float *values) {
    bool halves = layout == VKA_SINUSOID_HALVES;
    uint32_t pairs = channels / 2;
    theta = theta > 0 ? theta : 10000;
    for (uint32_t i = 0; i < positions; ++i)
        for (uint32_t c = 0; c < channels; ++c) {
            uint32_t pair = halves ? c % (pairs ? pairs : 1) : c / 2;
            bool cosine = halves ? c >= pairs : c % 2;
            double exponent = halves ? (double)pair / (pairs > 1 ? pairs - 1 : 1) : 2.0 * pair / channels;
            double angle = (double)(first + i) * pow(theta, -exponent);
            bool none = halves && c == 2 * pairs;
            values[(size_t)i * channels + c] = none ? 0 : (float)(cosine ? cos(angle) : sin(angle));
        }
}

/* ---- RoPE ------------------------------------------------------------------------------------------------------ */

static vka_status refuse(const char *function, const char *field, const char *rule) {
    char item[64];
    snprintf(item, sizeof item, "%s.%s", function, field);
    return vka__fail(NULL, VKA_INVALID, item, "%s", rule);
}

/* Defaults for what is 0, and the fields' rules. */
static vka_status complete(const char *function, vka_rope_scaling *s) {
    vka_rope_scaling_kind kind = s->kind;
    bool ntk = kind == VKA_ROPE_SCALING_NTK || kind == VKA_ROPE_SCALING_NTK_DYNAMIC;
    bool yarn = kind == VKA_ROPE_SCALING_YARN, longrope = kind == VKA_ROPE_SCALING_LONGROPE;
    s->theta = s->theta == 0 ? 10000 : s->theta;
    s->beta_fast = s->beta_fast == 0 ? 32 : s->beta_fast;
    s->beta_slow = s->beta_slow == 0 ? 1 : s->beta_slow;
    if ((uint32_t)kind > VKA_ROPE_SCALING_LONGROPE)
        return refuse(function, "kind", "is not a vka_rope_scaling_kind");
    if (s->dims < (ntk ? 4 : 2) || s->dims % 2)
        return refuse(function, "dims", ntk ? "must be even and at least 4" : "must be even and at least 2");
    if (!(s->theta >= 1 && s->theta <= 1e300) || (yarn && s->theta == 1))
        return refuse(function, "theta", "must be finite and at least 1, for VKA_ROPE_SCALING_YARN above it");
    if (kind != VKA_ROPE_SCALING_NONE && !(s->factor >= 1 && s->factor <= 1e300))
        return refuse(function, "factor", "must be finite and at least 1");
    if ((yarn || longrope || kind == VKA_ROPE_SCALING_NTK_DYNAMIC) && s->trained < 2)
        return refuse(function, "trained", "must be at least 2");
    if (yarn && !(s->beta_slow > 0 && s->beta_slow < s->beta_fast && s->beta_fast <= 1e300))
        return refuse(function, "beta_slow", "must be above 0 and below beta_fast, which is finite");
    if (longrope && (!s->short_factors || !s->long_factors))
        return refuse(function, s->short_factors ? "long_factors" : "short_factors", "must not be NULL");
    if (!(s->attention_factor >= 0 && s->attention_factor <= 1e300))
        return refuse(function, "attention_factor", "must be finite and at least 0");
    return VKA_OK;
}

static double attention_factor_of(const vka_rope_scaling *s) {
    if (s->attention_factor != 0)
        return s->attention_factor;
    if (s->kind == VKA_ROPE_SCALING_YARN)
        return 0.1 * log(s->factor) + 1;
    return s->kind == VKA_ROPE_SCALING_LONGROPE ? sqrt(1 + log(s->factor) / log(s->trained)) : 1;
}

static double theta_of(const vka_rope_scaling *s) {
    double grown = s->kind == VKA_ROPE_SCALING_NTK ? s->factor : 1;
    if (s->kind == VKA_ROPE_SCALING_NTK_DYNAMIC && s->length > s->trained)
        grown = s->factor * s->length / s->trained - (s->factor - 1);
    return grown > 1 ? s->theta * pow(grown, s->dims / (s->dims - 2.0)) : s->theta;
}

/* The pair that turns so often within the trained positions. */
static double pair_of(const vka_rope_scaling *s, double turns) {
    return s->dims * log(s->trained / (turns * 2 * PI)) / (2 * log(s->theta));
}

/* How much of pair k's frequency is divided by the factor: 0 .. 1. */
static double interpolated(const vka_rope_scaling *s, uint32_t k) {
    double low = fmax(floor(pair_of(s, s->beta_fast)), 0);
    double high = fmin(ceil(pair_of(s, s->beta_slow)), s->dims - 1.0);
    high += low == high ? 0.001 : 0; /* a step */
    return fmin(fmax((k - low) / (high - low), 0), 1);
}

static double frequency_of(const vka_rope_scaling *s, uint32_t k) {
    double f = pow(theta_of(s), -2.0 * k / s->dims);
    switch (s->kind) {
    case VKA_ROPE_SCALING_LINEAR:
        return f / s->factor;
    case VKA_ROPE_SCALING_YARN:
        return f * (1 - interpolated(s, k)) + f / s->factor * interpolated(s, k);
    case VKA_ROPE_SCALING_LONGROPE:
        return f / (double)(s->length > s->trained ? s->long_factors : s->short_factors)[k];
    default:
        return f;
    }
}

static vka_status read_scaling(const char *function, const vka_rope_scaling *from, size_t size, vka_rope_scaling *s) {
    if (!from)
        return refuse(function, "scaling", "must not be NULL");
    vka_status status = vka__read_desc(NULL, function, s, sizeof *s, from, size);
    return status == VKA_OK ? complete(function, s) : status;
}

vka_status vka_rope_frequencies_sized(const vka_rope_scaling *scaling, size_t scaling_size, double *frequencies,
                                      double *attention_factor) {
    vka_rope_scaling s;
    vka_status status = read_scaling("vka_rope_frequencies", scaling, scaling_size, &s);
    for (uint32_t k = 0; status == VKA_OK && k < s.dims / 2; ++k)
        frequencies[k] = frequency_of(&s, k);
    if (status == VKA_OK && attention_factor)
        *attention_factor = attention_factor_of(&s);
    return status;
}

vka_status vka_rope_tables_sized(const vka_rope_scaling *scaling, size_t scaling_size, int64_t first,
                                 uint32_t positions, float *cosines, float *sines) {
    vka_rope_scaling s;
    vka_status status = read_scaling("vka_rope_tables", scaling, scaling_size, &s);
    if (status != VKA_OK)
        return status;
    uint32_t pairs = s.dims / 2;
    double factor = attention_factor_of(&s);
    for (uint32_t k = 0; k < pairs; ++k) {
        double frequency = frequency_of(&s, k);
        for (uint32_t i = 0; i < positions; ++i) {
            double angle = (double)(first + i) * frequency;
            cosines[(size_t)i * pairs + k] = (float)(factor * cos(angle));
            sines[(size_t)i * pairs + k] = (float)(factor * sin(angle));
        }
    }
    return VKA_OK;
}
