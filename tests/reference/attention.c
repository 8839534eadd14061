/* Attention by its definition, one row at a time: out = softmax(scale * q k^T, capped, biased, masked) v (Vaswani
 * 2017). Keys that a query may not see have the score -inf; they are skipped, not multiplied by zero: they may hold
 * NaN. SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

ref_softmax ref_attention_softmax(const ref_attention *a, uint32_t h, const double *score) {
    double sink = a->sinks ? (double)a->sinks[h] : -INFINITY, max = sink, sum = 0;
    for (uint32_t j = 0; j < a->kv_len; j++) {
        max = score[j] > max ? score[j] : max;
    }
    if (sink != -INFINITY) {
        sum += exp(sink - max);
    }
    for (uint32_t j = 0; j < a->kv_len; j++) {
        if (score[j] != -INFINITY) {
            sum += exp(score[j] - max);
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

void ref_attention_row(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, double *out, ref_softmax *softmax,
                       double *scratch) {
    double *score = scratch;
    ref_attention_scores(a, VKA_SCORES_MASKED, b, h, i, score);
    *softmax = ref_attention_softmax(a, h, score);
    if (a->selection != VKA_SELECTION_SOFTMAX) {
        ref_attention_pick(a, b, h, i, ref_attention_choice(a, b, h, i, score), out);
        return;
    }
    clear(a, out);
    for (uint32_t j = 0; j < a->kv_len; j++) {
        if (score[j] != -INFINITY) {
            double weight = exp(score[j] - softmax->max) / softmax->sum;
            add_value(a, b, h, j, weight * ref_attention_keep(a, b, h, i, j), out);
        }
    }
}

void ref_attention_pick(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j, double *out) {
    clear(a, out);
    if (j < a->kv_len) {
        add_value(a, b, h, j, ref_attention_keep(a, b, h, i, j), out);
    }
}
