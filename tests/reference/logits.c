/* What is made of rows of logits, by definition and one row at a time: softmax, its logarithm, log-sum-exp.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

typedef struct state {
    double maximum, sum; /* -inf and 0: nothing counts; NaN: there is one, or +inf */
} state;

static state state_of(const ref_logits *s) {
    state t = {-INFINITY, 0};
    for (uint32_t c = 0; c < s->live; c++) {
        if (isnan(s->x[c]) || s->x[c] == INFINITY) {
            return (state){NAN, NAN};
        }
        t.maximum = fmax(t.maximum, s->x[c] * s->scale);
    }
    for (uint32_t c = 0; c < s->live && t.maximum > -INFINITY; c++) {
        t.sum += exp(s->x[c] * s->scale - t.maximum);
    }
    return t;
}

double ref_logits_lse(const ref_logits *s) {
    state t = state_of(s);
    return t.maximum + log(t.sum);
}

void ref_logits_softmax(const ref_logits *s, double *out) {
    state t = state_of(s);
    for (uint32_t c = 0; c < s->cols; c++) {
        bool hidden = c >= s->live || t.sum == 0;
        double y = hidden ? -INFINITY : s->x[c] * s->scale - t.maximum - log(t.sum);
        out[c] = s->log ? y : exp(y);
    }
}

static float naive_maximum(const ref_logits *s) {
    float maximum = -INFINITY;
    for (uint32_t c = 0; c < s->live; c++) {
        maximum = fmaxf(maximum, s->x[c] * (float)s->scale);
    }
    return maximum;
}

static float naive_sum(const ref_logits *s, float maximum) {
    float sum = 0;
    for (uint32_t c = 0; c < s->live; c++) {
        sum += expf(s->x[c] * (float)s->scale - maximum);
    }
    return sum;
}

float ref_logits_naive_lse(const ref_logits *s) {
    float maximum = naive_maximum(s);
    return maximum + logf(naive_sum(s, maximum));
}

void ref_logits_naive_softmax(const ref_logits *s, vka_dtype dtype, float *out) {
    float maximum = naive_maximum(s), sum = naive_sum(s, maximum);
    for (uint32_t c = 0; c < s->cols; c++) {
        float y = c < s->live ? s->x[c] * (float)s->scale - maximum : -INFINITY;
        out[c] = ref_round(dtype, s->log ? y - logf(sum) : expf(y) / sum);
    }
}

double ref_logits_loss(const ref_logits *s, uint32_t target, double smoothing) {
    state t = state_of(s);
    double mean = 0;
    if (t.sum == 0) {
        return INFINITY;
    }
    for (uint32_t c = 0; c < s->cols; c++) {
        mean += ((double)s->x[c] - t.maximum) / s->cols;
    }
    double gain = (double)s->x[target] - t.maximum;
    return log(t.sum) - (smoothing < 1 ? (1 - smoothing) * gain : 0) - (smoothing > 0 ? smoothing * mean : 0);
}

float ref_logits_naive_loss(const ref_logits *s, uint32_t target, float smoothing) {
    float lse = ref_logits_naive_lse(s), mean = 0;
    for (uint32_t c = 0; c < s->cols; c++) {
        mean += s->x[c] - lse;
    }
    mean /= (float)s->cols;
    return -(1 - smoothing) * (s->x[target] - lse) - smoothing * mean;
}

/* Hidden, by the length or by a probability of 0. */
static bool is_hidden(const ref_softmax_backward *s, uint32_t c) {
    return c >= s->live || (s->log ? s->y[c] == -INFINITY : s->y[c] == 0);
}

void ref_softmax_backward_row(const ref_softmax_backward *s, double *d_x) {
    double sum = 0;
    for (uint32_t c = 0; c < s->cols; c++) {
        sum += is_hidden(s, c) ? 0 : (s->log ? 1 : (double)s->y[c]) * (double)s->d_y[c];
    }
    for (uint32_t c = 0; c < s->cols; c++) {
        double y = (double)s->y[c], g = (double)s->d_y[c];
        d_x[c] = is_hidden(s, c) ? 0 : s->scale * (s->log ? g - exp(y) * sum : y * (g - sum));
    }
}

void ref_softmax_backward_naive_row(const ref_softmax_backward *s, vka_dtype dtype, float *d_x) {
    float sum = 0;
    for (uint32_t c = 0; c < s->cols; c++) {
        sum += is_hidden(s, c) ? 0 : (s->log ? 1 : s->y[c]) * s->d_y[c];
    }
    for (uint32_t c = 0; c < s->cols; c++) {
        float y = s->y[c], g = s->d_y[c], scale = (float)s->scale;
        d_x[c] = ref_round(dtype, is_hidden(s, c) ? 0 : scale * (s->log ? g - expf(y) * sum : y * (g - sum)));
    }
}

void ref_logits_loss_backward(const ref_logits *s, uint32_t target, double smoothing, double d_loss, double d_lse,
                              double *d_x) {
    state t = state_of(s);
    for (uint32_t c = 0; c < s->cols; c++) {
        double p = t.sum == 0 ? 0 : exp((double)s->x[c] - t.maximum) / t.sum;
        double wanted = smoothing / s->cols + (c == target ? 1 - smoothing : 0);
        d_x[c] = t.sum == 0 ? 0 : d_loss * (p - wanted) + d_lse * p;
    }
}

void ref_logits_naive_loss_backward(const ref_logits *s, uint32_t target, float smoothing, vka_dtype dtype,
                                    float d_loss, float d_lse, float *d_x) {
    float maximum = naive_maximum(s), sum = naive_sum(s, maximum);
    for (uint32_t c = 0; c < s->cols; c++) {
        float p = expf(s->x[c] - maximum) / sum;
        float wanted = smoothing / (float)s->cols + (c == target ? 1 - smoothing : 0);
        d_x[c] = ref_round(dtype, d_loss * (p - wanted) + d_lse * p);
    }
}
