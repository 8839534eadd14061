/* Attention as a chain of matrix operations that each store their result in the storage type, with sums in f32: the
 * accuracy that the rule measures others by.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

/* The type of a product of two matrices. */
static vka_dtype product_type(vka_dtype x, vka_dtype y) {
    return ref_quantised(y) || x == y ? x : VKA_F32;
}

static vka_dtype score_type(const ref_attention *a) {
    return product_type(a->q_type, a->k_type);
}

static vka_dtype weight_type(const ref_attention *a) {
    return product_type(score_type(a), a->v_type);
}

/* Quantised elements are dequantised to the type of what they are multiplied by. */
static float element(vka_dtype type, vka_dtype other, const float *values, const float *scales, size_t row, size_t at) {
    float x = scales ? values[at] * scales[row] : values[at];
    return ref_quantised(type) ? ref_round(other, x) : x;
}

static size_t kv_row(const ref_attention *a, uint32_t b, uint32_t h, uint32_t j) {
    return ((size_t)b * a->kv_heads + h / (a->q_heads / a->kv_heads)) * a->kv_len + j;
}

static float biased(const ref_attention *a, float score, uint32_t b, uint32_t h, uint32_t i, uint32_t j) {
    double terms[3];
    for (uint32_t n = 0, count = ref_attention_biases(a, b, h, i, j, terms); n < count; n++) {
        score = ref_round(score_type(a), score + (float)terms[n]);
    }
    return score;
}

/* 1 / max(|x|, 1e-12) of a row of queries, or one of keys, whose type is that of what multiplies it. */
static float inverse_length(const float *x, uint32_t count) {
    float squares = 0;
    for (uint32_t d = 0; d < count; d++) {
        squares += x[d] * x[d];
    }
    return 1 / (squares < 1e-24f ? 1e-12f : sqrtf(squares));
}

/* Normalised rows are stored before they are multiplied. */
static float cosine(const ref_attention *a, uint32_t h, const float *q, const float *k) {
    vka_dtype k_type = ref_quantised(a->k_type) ? a->q_type : a->k_type;
    float q_inverse = inverse_length(q, a->head_dim), k_inverse = inverse_length(k, a->head_dim), sum = 0;
    for (uint32_t d = 0; d < a->head_dim; d++) {
        sum += ref_round(a->q_type, q[d] * q_inverse) * ref_round(k_type, k[d] * k_inverse);
    }
    return a->cosine[h] * ref_round(score_type(a), sum);
}

/* So are queries with their biases, and both products before they are added. */
static float relative_product(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j, const float *q,
                              const float *k) {
    const float *r = ref_attention_relative_key(a, b, h, i, j);
    const float *biases[] = {a->content_bias, a->position_bias}, *keys[] = {k, r};
    float sums[2] = {0};
    for (int n = 0; n < 2; n++) {
        for (uint32_t d = 0; d < a->head_dim; d++) {
            float bias = biases[n] ? biases[n][(size_t)h * a->head_dim + d] : 0;
            sums[n] += ref_round(a->q_type, q[d] + bias) * keys[n][d];
        }
    }
    return ref_round(score_type(a), sums[0]) + ref_round(score_type(a), sums[1]);
}

static float product(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j) {
    const float *q = a->q + (((size_t)b * a->q_heads + h) * a->q_len + i) * a->head_dim;
    const float *additive = a->additive ? a->additive + (size_t)h * a->head_dim : NULL;
    float keys[576], sum = 0;
    size_t row = kv_row(a, b, h, j);
    for (uint32_t d = 0; d < a->head_dim; d++) {
        float k = element(a->k_type, a->q_type, a->k, a->k_scale, row, row * a->head_dim + d);
        sum += additive ? additive[d] * ref_round(score_type(a), tanhf(ref_round(score_type(a), q[d] + k))) : q[d] * k;
        keys[additive ? 0 : d] = k;
    }
    return a->cosine ? cosine(a, h, q, keys) : a->relative_keys ? relative_product(a, b, h, i, j, q, keys) : sum;
}

static float score_of(const ref_attention *a, vka_score_stage stage, uint32_t b, uint32_t h, uint32_t i, uint32_t j) {
    double hidden;
    if (ref_attention_hidden(a, stage, b, h, i, j, &hidden)) {
        return (float)hidden;
    }
    float score = ref_round(score_type(a), (float)a->scale * product(a, b, h, i, j)), cap = (float)a->softcap;
    if (stage >= VKA_SCORES_CAPPED && cap > 0) {
        score = ref_round(score_type(a), cap * tanhf(score / cap));
    }
    if (stage >= VKA_SCORES_MASKED && a->function) {
        score = ref_round(score_type(a), (float)ref_attention_function(a, (double)score, b, h, i, j));
    }
    return stage >= VKA_SCORES_MASKED ? biased(a, score, b, h, i, j) : score;
}

/* Turns scores into probabilities. */
static ref_softmax weights(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, float *score) {
    float sink = a->sinks ? a->sinks[h] : -INFINITY, max = sink, sum = 0;
    for (uint32_t j = 0; j < a->kv_len; j++) {
        max = score[j] > max ? score[j] : max;
    }
    if (sink != -INFINITY) {
        sum += expf(sink - max);
    }
    for (uint32_t j = 0; j < a->kv_len; j++) {
        float count = (float)ref_attention_count(a, b, h, i, j);
        score[j] = score[j] == -INFINITY ? 0 : count * expf(score[j] - max);
        sum += score[j];
    }
    for (uint32_t j = 0; j < a->kv_len; j++) {
        score[j] = score[j] == 0 ? 0 : ref_round(weight_type(a), score[j] / sum);
    }
    return (ref_softmax){max, sum, sum == 0 ? -INFINITY : max + logf(sum)};
}

void ref_attention_naive_scores(const ref_attention *a, vka_score_stage stage, uint32_t b, uint32_t h, uint32_t i,
                                float *score) {
    vka_score_stage last = stage == VKA_SCORES_PROBABILITIES ? VKA_SCORES_MASKED : stage;
    for (uint32_t j = 0; j < a->kv_len; j++) {
        score[j] = score_of(a, last, b, h, i, j);
    }
    if (stage == VKA_SCORES_PROBABILITIES) {
        weights(a, b, h, i, score);
    }
}

/* Of a probability, after dropout. */
static float dropped(const ref_attention *a, float weight, uint32_t b, uint32_t h, uint32_t i, uint32_t j) {
    return a->dropout > 0 ? ref_round(weight_type(a), weight * (float)ref_attention_keep(a, b, h, i, j)) : weight;
}

static void add_value(const ref_attention *a, uint32_t b, uint32_t h, uint32_t j, float weight, float *out) {
    size_t row = kv_row(a, b, h, j);
    for (uint32_t c = 0; c < a->value_dim; c++) {
        out[c] += weight * element(a->v_type, score_type(a), a->v, a->v_scale, row, row * a->value_dim + c);
    }
}

static void clear(const ref_attention *a, float *out) {
    for (uint32_t c = 0; c < a->value_dim; c++) {
        out[c] = 0;
    }
}

static void store(const ref_attention *a, float *out) {
    for (uint32_t c = 0; c < a->value_dim; c++) {
        out[c] = ref_round(a->out_type, out[c]);
    }
}

void ref_attention_naive_row(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, float *out,
                             ref_softmax *softmax, float *scratch) {
    float *weight = scratch;
    ref_attention_naive_scores(a, VKA_SCORES_MASKED, b, h, i, weight);
    *softmax = weights(a, b, h, i, weight);
    clear(a, out);
    for (uint32_t j = 0; j < a->kv_len; j++) {
        if (ref_attention_visible(a, b, h, i, j)) {
            add_value(a, b, h, j, dropped(a, weight[j], b, h, i, j), out);
        }
    }
    store(a, out);
}

void ref_attention_naive_pick(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j,
                              const float *score, float *out, ref_softmax *softmax) {
    clear(a, out);
    *softmax = (ref_softmax){-INFINITY, 0, -INFINITY};
    if (j < a->kv_len) {
        add_value(a, b, h, j, 1, out);
        double max = (double)score[j] + ref_attention_naive_noise(a, b, h, i, j);
        *softmax = (ref_softmax){max, 1, max};
    }
    store(a, out);
}
