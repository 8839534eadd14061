/* Attention by its definition, one row at a time: out = softmax(scale * q k^T, capped, biased, masked) v (Vaswani
 * 2017). Keys that a query may not see have the score -inf; they are skipped, not multiplied by zero: they may hold
 * NaN. SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

ref_softmax ref_attention_softmax(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, const double *score) {
    double sink = a->sinks ? (double)a->sinks[h] : -INFINITY, max = sink, sum = 0;
    for (uint32_t j = 0; j < a->kv_len; j++) {
        max = score[j] > max ? score[j] : max;
    }
    if (sink != -INFINITY) {
        sum += exp(sink - max);
    }
    for (uint32_t j = 0; j < a->kv_len; j++) {
        if (score[j] != -INFINITY) {
            sum += ref_attention_count(a, b, h, i, j) * exp(score[j] - max);
        }
    }
    return (ref_softmax){max, sum, sum == 0 ? -INFINITY : max + log(sum)};
}

static void clear(const ref_attention *a, double *out) {
    for (uint32_t c = 0; c < a->value_dim; c++) {
        out[c] = 0;
    }
}

static void add_value(const ref_attention *a, uint32_t b, uint32_t h, uint32_t j, double weight, double *out) {
    size_t kv_head = (size_t)b * a->kv_heads + h / (a->q_heads / a->kv_heads), row = kv_head * a->kv_len + j;
    double scale = a->v_scale ? (double)a->v_scale[row] : 1;
    for (uint32_t c = 0; c < a->value_dim; c++) {
        out[c] += weight * scale * (double)a->v[row * a->value_dim + c];
    }
}

/* Is there a NaN among the scores? It can't be compared with. */
static bool spoiled(const ref_attention *a, const double *score) {
    bool nan = false;
    for (uint32_t j = 0; j < a->kv_len; j++) {
        nan = nan || isnan(score[j]);
    }
    return nan;
}

static void hard_row(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, const double *score, double *out,
                     ref_softmax *softmax) {
    ref_attention_pick(a, b, h, i, ref_attention_choice(a, b, h, i, score), score, out, softmax);
    if (spoiled(a, score)) {
        *softmax = (ref_softmax){NAN, NAN, NAN};
        for (uint32_t c = 0; c < a->value_dim; c++) {
            out[c] = NAN;
        }
    }
}

void ref_attention_row(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, double *out, ref_softmax *softmax,
                       double *scratch) {
    double *score = scratch;
    ref_attention_scores(a, VKA_SCORES_MASKED, b, h, i, score);
    if (a->selection != VKA_SELECTION_SOFTMAX) {
        hard_row(a, b, h, i, score, out, softmax);
        return;
    }
    *softmax = ref_attention_softmax(a, b, h, i, score);
    clear(a, out);
    for (uint32_t j = 0; j < a->kv_len; j++) {
        if (score[j] != -INFINITY) {
            double weight = ref_attention_count(a, b, h, i, j) * exp(score[j] - softmax->max) / softmax->sum;
            add_value(a, b, h, j, weight * ref_attention_keep(a, b, h, i, j), out);
        }
    }
}

void ref_attention_pick(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j, const double *score,
                        double *out, ref_softmax *softmax) {
    clear(a, out);
    *softmax = (ref_softmax){-INFINITY, 0, -INFINITY};
    if (j < a->kv_len) {
        add_value(a, b, h, j, 1, out);
        double max = score[j] + ref_attention_noise(a, b, h, i, j);
        *softmax = (ref_softmax){max, 1, max};
    }
}
