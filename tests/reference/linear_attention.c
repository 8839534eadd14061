/* Linear attention by its recurrence, one state at a time.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

static bool is_delta(const ref_linear_attention *a) {
    return a->rule >= VKA_LINEAR_ATTENTION_DELTA;
}

static const float *decay_of(const ref_linear_attention *a, uint32_t t, uint32_t d) {
    return a->decay + (a->decay_per_channel ? (size_t)t * a->key_dim + d : t);
}

void ref_linear_attention_step(const ref_linear_attention *a, uint32_t t, double *state, double *out) {
    const float *k = a->k + (size_t)t * a->key_dim, *v = a->v + (size_t)t * a->value_dim;
    for (uint32_t e = 0; e < a->value_dim; e++) {
        double value = (double)v[e], read = 0;
        for (uint32_t d = 0; d < a->key_dim; d++) {
            double *s = &state[(size_t)d * a->value_dim + e];
            *s *= a->decay ? exp((double)*decay_of(a, t, d)) : 1;
            read += (double)k[d] * *s;
        }
        if (is_delta(a)) {
            value = (a->beta ? (double)a->beta[t] : 1) * (value - read);
        }
        for (uint32_t d = 0; d < a->key_dim; d++) {
            state[(size_t)d * a->value_dim + e] += (double)k[d] * value;
        }
    }
    for (uint32_t g = 0; g < a->queries && out; g++) {
        const float *q = a->q + ((size_t)g * a->tokens + t) * a->key_dim;
        for (uint32_t e = 0; e < a->value_dim; e++) {
            double sum = 0;
            for (uint32_t d = 0; d < a->key_dim; d++) {
                sum += (double)q[d] * state[(size_t)d * a->value_dim + e];
            }
            out[(size_t)g * a->value_dim + e] = a->scale * sum;
        }
    }
}

void ref_linear_attention_naive_step(const ref_linear_attention *a, vka_dtype dtype, uint32_t t, float *state,
                                     float *out) {
    const float *k = a->k + (size_t)t * a->key_dim, *v = a->v + (size_t)t * a->value_dim;
    for (uint32_t e = 0; e < a->value_dim; e++) {
        float value = v[e], read = 0;
        for (uint32_t d = 0; d < a->key_dim; d++) {
            float *s = &state[(size_t)d * a->value_dim + e];
            *s *= a->decay ? expf(*decay_of(a, t, d)) : 1;
            read += k[d] * *s;
        }
        if (is_delta(a)) {
            value = (a->beta ? a->beta[t] : 1) * (value - read);
        }
        for (uint32_t d = 0; d < a->key_dim; d++) {
            state[(size_t)d * a->value_dim + e] += k[d] * value;
        }
    }
    for (uint32_t g = 0; g < a->queries && out; g++) {
        const float *q = a->q + ((size_t)g * a->tokens + t) * a->key_dim;
        for (uint32_t e = 0; e < a->value_dim; e++) {
            float sum = 0;
            for (uint32_t d = 0; d < a->key_dim; d++) {
                sum += q[d] * state[(size_t)d * a->value_dim + e];
            }
            out[(size_t)g * a->value_dim + e] = ref_round(dtype, (float)a->scale * sum);
        }
    }
}
