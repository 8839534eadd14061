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
        double times = (double)ref_attention_count(a, b, h, i, j);
        p->score[j] = seen ? times * exp(p->score[j] - softmax.max) / softmax.sum : -1;
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

/* By the output as it was stored, as probabilities are by the log-sum-exp. */
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
    const float lse = (float)softmax.lse;
    bool dead = softmax.lse == -INFINITY;
    p->lse = softmax.lse;
    for (uint32_t j = 0; j < a->kv_len; j++) {
        bool seen = !dead && score[j] != -INFINITY;
        float times = (float)ref_attention_count(a, b, h, i, j);
        float probability = seen ? times * ref_round(type, expf(score[j] - lse)) : -1;
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
    float sink = a->sinks && !dead ? expf(a->sinks[h] - lse) : 0;
    p->sink = (double)(-sink * delta);
    free(score);
    free(capped);
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

static double bias_of(const float *biases, const ref_attention *a, uint32_t h, uint32_t d) {
    return biases ? (double)biases[(size_t)h * a->head_dim + d] : 0;
}

static double length_of(const float *x, uint32_t count) {
    double squares = 0;
    for (uint32_t d = 0; d < count; d++) {
        squares += (double)x[d] * (double)x[d];
    }
    return sqrt(squares);
}

static double rounded(bool naive, vka_dtype type, double x) {
    return naive ? (double)ref_round(type, (float)x) : x;
}

/* Of c q / |q| . k / |k|. A length of no more than 1e-12 counts as a constant. */
static void cosine_product(const ref_attention *a, uint32_t h, const float *q, const float *k, ref_product *p) {
    double lengths[] = {length_of(q, a->head_dim), length_of(k, a->head_dim)}, factor = (double)a->cosine[h];
    bool constant[] = {lengths[0] <= 1e-12, lengths[1] <= 1e-12};
    lengths[0] = fmax(lengths[0], 1e-12);
    lengths[1] = fmax(lengths[1], 1e-12);
    for (uint32_t d = 0; d < a->head_dim; d++) {
        p->cosine += (double)q[d] / lengths[0] * (double)k[d] / lengths[1];
    }
    for (uint32_t d = 0; d < a->head_dim; d++) {
        double unit_q = (double)q[d] / lengths[0], unit_k = (double)k[d] / lengths[1];
        p->q[d] = factor * (unit_k - (constant[0] ? 0 : p->cosine * unit_q)) / lengths[0];
        p->k[d] = factor * (unit_q - (constant[1] ? 0 : p->cosine * unit_k)) / lengths[1];
    }
}

static float naive_length(const float *x, uint32_t count, bool *constant) {
    float squares = 0;
    for (uint32_t d = 0; d < count; d++) {
        squares += x[d] * x[d];
    }
    *constant = squares <= 1e-24f;
    return *constant ? 1e-12f : sqrtf(squares);
}

/* The same in f32, by units that are stored. */
static void naive_cosine_product(const ref_attention *a, uint32_t h, const float *q, const float *k, ref_product *p) {
    bool constant[2];
    float lengths[] = {naive_length(q, a->head_dim, &constant[0]), naive_length(k, a->head_dim, &constant[1])};
    float cosine = 0, factor = a->cosine[h];
    for (uint32_t d = 0; d < a->head_dim; d++) {
        cosine += ref_round(a->q_type, q[d] / lengths[0]) * ref_round(a->k_type, k[d] / lengths[1]);
    }
    for (uint32_t d = 0; d < a->head_dim; d++) {
        float unit_q = ref_round(a->q_type, q[d] / lengths[0]), unit_k = ref_round(a->k_type, k[d] / lengths[1]);
        p->q[d] = (double)(factor * (unit_k - (constant[0] ? 0 : cosine * unit_q)) / lengths[0]);
        p->k[d] = (double)(factor * (unit_q - (constant[1] ? 0 : cosine * unit_k)) / lengths[1]);
    }
    p->cosine = (double)cosine;
}

static void find_product(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j, bool naive,
                         ref_product *p) {
    const float *q = a->q + (((size_t)b * a->q_heads + h) * a->q_len + i) * a->head_dim;
    const float *k = a->k + kv_row(a, b, h, j) * a->head_dim;
    const float *r = a->relative_keys ? ref_attention_relative_key(a, b, h, i, j) : NULL;
    p->cosine = 0;
    if (a->cosine) {
        (naive ? naive_cosine_product : cosine_product)(a, h, q, k, p);
        return;
    }
    for (uint32_t d = 0; d < a->head_dim; d++) {
        p->q[d] = (double)k[d] + (r ? (double)r[d] : 0);
        p->k[d] = rounded(naive, a->q_type, (double)q[d] + bias_of(a->content_bias, a, h, d));
        p->relative_key[d] = rounded(naive, a->q_type, (double)q[d] + bias_of(a->position_bias, a, h, d));
    }
}

void ref_attention_product(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j, ref_product *p) {
    find_product(a, b, h, i, j, false, p);
}

void ref_attention_naive_product(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j,
                                 ref_product *p) {
    find_product(a, b, h, i, j, true, p);
}
