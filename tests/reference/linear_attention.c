/* Linear attention by its recurrence, one state at a time.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>
#include <stdlib.h>

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

static void add_product(bool naive, double *to, double x, double y) {
    *to = ref_step(naive, *to + ref_step(naive, x * y));
}

static double factor_of(const ref_linear_attention *a, bool naive, uint32_t t, uint32_t d) {
    return a->decay ? ref_step(naive, exp((double)*decay_of(a, t, d))) : 1;
}

/* A token of the recurrence: what the state decays to, u, and the state after it. */
static void step(const ref_linear_attention_backward *b, uint32_t t, const double *before, double *decayed, double *u,
                 double *after) {
    const ref_linear_attention *a = &b->forward;
    const float *k = a->k + (size_t)t * a->key_dim, *v = a->v + (size_t)t * a->value_dim;
    for (uint32_t e = 0; e < a->value_dim; e++) {
        double read = 0;
        for (uint32_t d = 0; d < a->key_dim; d++) {
            size_t at = (size_t)d * a->value_dim + e;
            decayed[at] = ref_step(b->naive, before[at] * factor_of(a, b->naive, t, d));
            add_product(b->naive, &read, (double)k[d], decayed[at]);
        }
        u[e] = ref_step(b->naive, (double)v[e] - (is_delta(a) ? read : 0));
        double w = ref_step(b->naive, (is_delta(a) && a->beta ? (double)a->beta[t] : 1) * u[e]);
        for (uint32_t d = 0; d < a->key_dim; d++) {
            size_t at = (size_t)d * a->value_dim + e;
            after[at] = decayed[at];
            add_product(b->naive, &after[at], (double)k[d], w);
        }
    }
}

static void back_queries(const ref_linear_attention_backward *b, uint32_t t, const double *after, double *grad) {
    const ref_linear_attention *a = &b->forward;
    for (uint32_t g = 0; g < a->queries; g++) {
        size_t row = (size_t)g * a->tokens + t;
        for (uint32_t d = 0; d < a->key_dim; d++) {
            double sum = 0;
            for (uint32_t e = 0; e < a->value_dim; e++) {
                double d_out = ref_step(b->naive, a->scale * (double)b->d_out[row * a->value_dim + e]);
                add_product(b->naive, &sum, after[(size_t)d * a->value_dim + e], d_out);
                add_product(b->naive, &grad[(size_t)d * a->value_dim + e], (double)a->q[row * a->key_dim + d], d_out);
            }
            add_product(b->naive, &b->d_q[row * a->key_dim + d], sum, 1);
        }
    }
}

static void back(const ref_linear_attention_backward *b, uint32_t t, const double *decayed, const double *u,
                 double *grad) {
    const ref_linear_attention *a = &b->forward;
    const float *k = a->k + (size_t)t * a->key_dim;
    double beta = is_delta(a) && a->beta ? (double)a->beta[t] : 1;
    for (uint32_t e = 0; e < a->value_dim; e++) {
        double d_w = 0;
        for (uint32_t d = 0; d < a->key_dim; d++) {
            add_product(b->naive, &d_w, grad[(size_t)d * a->value_dim + e], (double)k[d]);
        }
        double d_u = ref_step(b->naive, beta * d_w), w = ref_step(b->naive, beta * u[e]);
        add_product(b->naive, &b->d_v[(size_t)t * a->value_dim + e], d_u, 1);
        add_product(b->naive, &b->d_beta[t], d_w, u[e]);
        for (uint32_t d = 0; d < a->key_dim; d++) {
            size_t at = (size_t)d * a->value_dim + e;
            add_product(b->naive, &b->d_k[(size_t)t * a->key_dim + d], grad[at], w);
            if (is_delta(a)) {
                add_product(b->naive, &b->d_k[(size_t)t * a->key_dim + d], -decayed[at], d_u);
                add_product(b->naive, &grad[at], -(double)k[d], d_u);
            }
            if (a->decay) {
                add_product(b->naive, b->d_decay + (decay_of(a, t, d) - a->decay), grad[at], decayed[at]);
            }
            grad[at] = ref_step(b->naive, grad[at] * factor_of(a, b->naive, t, d));
        }
    }
}

void ref_linear_attention_gradients(const ref_linear_attention_backward *b) {
    const ref_linear_attention *a = &b->forward;
    size_t size = (size_t)a->key_dim * a->value_dim, one = 2 * size + a->value_dim;
    double *room = calloc(size + 1 + one * a->tokens, sizeof *room), *grad = b->d_state_in;
    for (size_t i = 0; i < size; i++) {
        room[i] = b->state_in ? (double)b->state_in[i] : 0;
        grad[i] = b->d_state_out ? (double)b->d_state_out[i] : 0;
    }
    double *before = room, *tokens = room + size; /* of each what the state decays to, u, the state after it */
    for (uint32_t t = 0; t < a->tokens; t++) {
        double *decayed = tokens + one * t, *u = decayed + size;
        step(b, t, before, decayed, u, u + a->value_dim);
        before = u + a->value_dim;
    }
    for (uint32_t t = a->tokens; t-- > 0;) {
        double *decayed = tokens + one * t, *u = decayed + size;
        back_queries(b, t, u + a->value_dim, grad);
        back(b, t, decayed, u, grad);
    }
    free(room);
}
