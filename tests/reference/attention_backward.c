/* The gradients of attention by their definition, a row at a time: in float64, and as a chain of operations that each
 * store their result in the storage type. SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>
#include <stdlib.h>

static size_t kv_row(const ref_attention *a, uint32_t b, uint32_t h, uint32_t j) {
    return ((size_t)b * a->kv_heads + h / (a->q_heads / a->kv_heads)) * a->kv_len + j;
}

static double value_product(const ref_attention *a, size_t row, const float *d_out) {
    double sum = 0;
    for (uint32_t c = 0; c < a->value_dim; c++) {
        sum += (double)d_out[c] * (double)a->v[row * a->value_dim + c];
    }
    return sum;
}

static double slope_of_cap(const ref_attention *a, double capped) {
    double ratio = a->softcap > 0 ? capped / a->softcap : 0;
    return 1 - ratio * ratio;
}

static void clear(const ref_attention *a, ref_pairs *p) {
    for (uint32_t j = 0; j < a->kv_len; j++) {
        p->weight[j] = p->score[j] = p->product[j] = 0;
    }
    p->sink = 0;
}

void ref_attention_backward_row(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, const float *d_out,
                                double d_lse, ref_pairs *p) {
    double *capped = calloc(a->kv_len + 1, sizeof *capped), delta = -d_lse;
    clear(a, p);
    ref_attention_scores(a, VKA_SCORES_MASKED, b, h, i, p->score);
    ref_attention_scores(a, VKA_SCORES_CAPPED, b, h, i, capped);
    ref_softmax softmax = ref_attention_softmax(a, b, h, i, p->score);
    bool dead = softmax.lse == -INFINITY;
    p->lse = softmax.lse;
    for (uint32_t j = 0; j < a->kv_len; j++) {
        bool seen = !dead && p->score[j] != -INFINITY;
        p->score[j] = seen ? exp(p->score[j] - softmax.max) / softmax.sum : -1;
        if (seen) {
            p->product[j] = value_product(a, kv_row(a, b, h, j), d_out) * ref_attention_keep(a, b, h, i, j);
            p->weight[j] = p->score[j] * ref_attention_keep(a, b, h, i, j);
            delta += p->score[j] * p->product[j];
        }
    }
    for (uint32_t j = 0; j < a->kv_len; j++) {
        double probability = p->score[j];
        p->score[j] = probability == -1 ? 0 : probability * (p->product[j] - delta);
        p->product[j] = probability == -1 ? 0 : p->score[j] * slope_of_cap(a, capped[j]);
    }
    p->sink = a->sinks && !dead ? -exp((double)a->sinks[h] - softmax.max) / softmax.sum * delta : 0;
    free(capped);
}

static float naive_value_product(const ref_attention *a, size_t row, const float *d_out) {
    float sum = 0;
    for (uint32_t c = 0; c < a->value_dim; c++) {
        sum += d_out[c] * a->v[row * a->value_dim + c];
    }
    return sum;
}

/* By the output as it was stored. */
static float naive_delta(const ref_attention *a, const float *out, const float *d_out, double d_lse) {
    float sum = (float)-d_lse;
    for (uint32_t c = 0; c < a->value_dim; c++) {
        sum += d_out[c] * out[c];
    }
    return sum;
}

void ref_attention_naive_backward_row(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, const float *d_out,
                                      double d_lse, ref_pairs *p) {
    vka_dtype type = a->q_type == a->k_type && a->k_type == a->v_type ? a->q_type : VKA_F32;
    float *score = calloc(a->kv_len + 1, sizeof *score), *capped = calloc(a->kv_len + 1, sizeof *capped);
    ref_softmax softmax;
    float out[512];
    clear(a, p);
    ref_attention_naive_row(a, b, h, i, out, &softmax, score);
    ref_attention_naive_scores(a, VKA_SCORES_MASKED, b, h, i, score);
    ref_attention_naive_scores(a, VKA_SCORES_CAPPED, b, h, i, capped);
    float delta = naive_delta(a, out, d_out, d_lse);
    bool dead = softmax.lse == -INFINITY;
    p->lse = softmax.lse;
    for (uint32_t j = 0; j < a->kv_len; j++) {
        bool seen = !dead && score[j] != -INFINITY;
        float probability = seen ? ref_round(type, expf(score[j] - (float)softmax.max) / (float)softmax.sum) : -1;
        float keep = (float)ref_attention_keep(a, b, h, i, j);
        p->score[j] = (double)probability;
        if (seen) {
            float gradient = ref_round(type, ref_round(type, naive_value_product(a, kv_row(a, b, h, j), d_out)) * keep);
            p->product[j] = (double)gradient;
            p->weight[j] = (double)ref_round(type, probability * keep);
        }
    }
    for (uint32_t j = 0; j < a->kv_len; j++) {
        float probability = (float)p->score[j];
        bool seen = probability != -1;
        float gradient = seen ? ref_round(type, probability * ((float)p->product[j] - delta)) : 0;
        p->score[j] = (double)gradient;
        p->product[j] = seen ? (double)ref_round(type, gradient * (float)slope_of_cap(a, (double)capped[j])) : 0;
    }
    float sink = a->sinks && !dead ? expf(a->sinks[h] - (float)softmax.max) / (float)softmax.sum : 0;
    p->sink = (double)(-sink * delta);
    free(score);
    free(capped);
}
