/* Attention by its definition, one row at a time: out = softmax(scale * q k^T, masked) v (Vaswani 2017).
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <vkattn/attention.h>

#include <math.h>

bool ref_attention_visible(const ref_attention *a, int64_t i, int64_t j) {
    int64_t p = i + a->diagonal;
    if (a->causal && j > p) {
        return false;
    }
    if (a->window && a->left != VKA_UNBOUNDED && j < p - a->left) {
        return false;
    }
    if (a->window && a->right != VKA_UNBOUNDED && j > p + a->right) {
        return false;
    }
    return j >= 0 && j < (int64_t)a->kv_len;
}

static const float *query(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i) {
    return a->q + (((size_t)b * a->q_heads + h) * a->q_len + i) * a->head_dim;
}

static const float *key(const ref_attention *a, uint32_t b, uint32_t h, uint32_t j) {
    uint32_t kv_head = h / (a->q_heads / a->kv_heads);
    return a->k + (((size_t)b * a->kv_heads + kv_head) * a->kv_len + j) * a->head_dim;
}

static const float *value(const ref_attention *a, uint32_t b, uint32_t h, uint32_t j) {
    uint32_t kv_head = h / (a->q_heads / a->kv_heads);
    return a->v + (((size_t)b * a->kv_heads + kv_head) * a->kv_len + j) * a->value_dim;
}

void ref_attention_row(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, double *out, double *lse,
                       double *scratch) {
    double *score = scratch, max = -INFINITY, sum = 0;
    bool any = false;
    for (uint32_t j = 0; j < a->kv_len; j++) {
        if (!ref_attention_visible(a, i, j)) {
            continue;
        }
        const float *q = query(a, b, h, i), *k = key(a, b, h, j);
        double dot = 0;
        for (uint32_t d = 0; d < a->head_dim; d++) {
            dot += (double)q[d] * (double)k[d];
        }
        score[j] = a->scale * dot;
        max = score[j] > max ? score[j] : max;
        any = true;
    }
    for (uint32_t c = 0; c < a->value_dim; c++) {
        out[c] = 0;
    }
    *lse = -INFINITY;
    if (!any) {
        return;
    }
    for (uint32_t j = 0; j < a->kv_len; j++) {
        if (ref_attention_visible(a, i, j)) {
            sum += exp(score[j] - max);
        }
    }
    for (uint32_t j = 0; j < a->kv_len; j++) {
        if (!ref_attention_visible(a, i, j)) {
            continue; /* skipped, not multiplied by zero: it may be NaN */
        }
        const float *v = value(a, b, h, j);
        double p = exp(score[j] - max) / sum;
        for (uint32_t c = 0; c < a->value_dim; c++) {
            out[c] += p * (double)v[c];
        }
    }
    *lse = max + log(sum);
}

void ref_attention_naive_row(const ref_attention *a, vka_dtype dtype, uint32_t b, uint32_t h, uint32_t i, float *out,
                             float *lse, float *scratch) {
    float *score = scratch, max = -INFINITY, sum = 0;
    bool any = false;
    for (uint32_t j = 0; j < a->kv_len; j++) {
        if (!ref_attention_visible(a, i, j)) {
            continue;
        }
        const float *q = query(a, b, h, i), *k = key(a, b, h, j);
        float dot = 0;
        for (uint32_t d = 0; d < a->head_dim; d++) {
            dot += q[d] * k[d];
        }
        score[j] = ref_round(dtype, (float)a->scale * dot);
        max = score[j] > max ? score[j] : max;
        any = true;
    }
    for (uint32_t c = 0; c < a->value_dim; c++) {
        out[c] = 0;
    }
    *lse = -INFINITY;
    if (!any) {
        return;
    }
    for (uint32_t j = 0; j < a->kv_len; j++) {
        if (ref_attention_visible(a, i, j)) {
            sum += expf(score[j] - max);
        }
    }
    for (uint32_t j = 0; j < a->kv_len; j++) {
        if (!ref_attention_visible(a, i, j)) {
            continue;
        }
        const float *v = value(a, b, h, j);
        float p = ref_round(dtype, expf(score[j] - max) / sum);
        for (uint32_t c = 0; c < a->value_dim; c++) {
            out[c] += p * v[c];
        }
    }
    for (uint32_t c = 0; c < a->value_dim; c++) {
        out[c] = ref_round(dtype, out[c]);
    }
    *lse = max + logf(sum);
}
