/* A score's journey in float64: scaled, capped, biased, masked, in this order.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

static int64_t position(const ref_attention *a, uint32_t b, int64_t i) {
    return i + (a->diagonals ? a->diagonals[b] : a->diagonal);
}

static int64_t keys(const ref_attention *a, uint32_t b) {
    return a->kv_lens ? a->kv_lens[b] : a->kv_len;
}

bool ref_attention_in_band(const ref_attention *a, uint32_t b, int64_t i, int64_t j) {
    int64_t p = position(a, b, i);
    if (a->causal && j > p) {
        return false;
    }
    if (a->window && a->left != VKA_UNBOUNDED && j < p - a->left) {
        return false;
    }
    if (a->window && a->right != VKA_UNBOUNDED && j > p + a->right) {
        return false;
    }
    return j >= 0 && j < keys(a, b);
}

size_t ref_attention_mask_index(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j) {
    const uint32_t at[4] = {b, h, i, j};
    size_t index = 0;
    for (int dim = 0; dim < 4; dim++) {
        index = index * a->mask_shape[dim] + (a->mask_shape[dim] == 1 ? 0 : at[dim]);
    }
    return index;
}

static double mask_at(const ref_attention *a, uint32_t b, uint32_t h, int64_t i, int64_t j) {
    return a->mask[ref_attention_mask_index(a, b, h, (uint32_t)i, (uint32_t)j)];
}

static int64_t clamp(int64_t x, int64_t last) {
    return x < 0 ? 0 : x > last ? last : x;
}

static int64_t row_of(int64_t token, int64_t width) {
    int64_t row = token / width;
    return row * width > token ? row - 1 : row;
}

static size_t grid_relative_index(const ref_attention *a, uint32_t h, int64_t p, int64_t j) {
    int64_t width = a->relative_width, dy = row_of(j, width) - row_of(p, width), dx = j - p - dy * width;
    int64_t y = clamp(dy + a->relative_zero_row, (int64_t)a->relative_rows - 1);
    int64_t x = clamp(dx + a->relative_zero, (int64_t)a->relative_len - 1);
    return ((a->relative_heads == 1 ? 0 : h) * a->relative_rows + (size_t)y) * a->relative_len + (size_t)x;
}

size_t ref_attention_relative_index(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j) {
    if (a->relative_width) {
        return grid_relative_index(a, h, position(a, b, i), j);
    }
    int64_t at = j - position(a, b, i) + a->relative_zero, last = (int64_t)a->relative_len - 1;
    return (a->relative_heads == 1 ? 0 : h) * a->relative_len + (size_t)clamp(at, last);
}

static double relative_at(const ref_attention *a, uint32_t b, uint32_t h, int64_t i, int64_t j) {
    return a->relative[ref_attention_relative_index(a, b, h, (uint32_t)i, (uint32_t)j)];
}

static bool in_pattern(const ref_attention *a, uint32_t b, uint32_t h, int64_t i, int64_t j) {
    int64_t p = position(a, b, i);
    if (a->slots) {
        size_t tokens = a->q_len > a->kv_len ? a->q_len : a->kv_len;
        const int64_t *slots = a->slots + ((size_t)b * a->q_heads + h) * tokens;
        p = slots[i];
        j = slots[j];
        if (p < 0 || j < 0) {
            return false;
        }
    }
    return !a->pattern || ref_pattern_sees(a->pattern, a->pattern->heads ? h : 0, p, j);
}

uint32_t ref_attention_count(const ref_attention *a, uint32_t b, uint32_t h, int64_t i, int64_t j) {
    size_t row = ((size_t)b * a->q_heads + h) * a->q_len + (size_t)i;
    return a->listed ? a->listed[row * a->kv_len + (size_t)j] : 1;
}

double ref_attention_function(const ref_attention *a, double score, uint32_t b, uint32_t h, int64_t i, int64_t j) {
    if (!a->function) {
        return score;
    }
    const ref_pair at = {.batch = b,
                         .head = h,
                         .key_head = h / (a->q_heads / a->kv_heads),
                         .query = i,
                         .key = j,
                         .position = position(a, b, i),
                         .queries = a->q_lens ? a->q_lens[b] : a->q_len,
                         .keys = keys(a, b)};
    return a->function(a->function_user, score, &at);
}

bool ref_attention_visible(const ref_attention *a, uint32_t b, uint32_t h, int64_t i, int64_t j) {
    if (!ref_attention_in_band(a, b, i, j) || !in_pattern(a, b, h, i, j) || !ref_attention_count(a, b, h, i, j)) {
        return false;
    }
    if (a->mask && mask_at(a, b, h, i, j) == (a->mask_boolean ? 0 : -INFINITY)) {
        return false;
    }
    return ref_attention_function(a, 0, b, h, i, j) != -INFINITY &&
           (!a->relative || relative_at(a, b, h, i, j) != -INFINITY);
}

uint32_t ref_attention_biases(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j, double terms[3]) {
    uint32_t count = 0;
    if (a->mask && !a->mask_boolean) {
        terms[count++] = mask_at(a, b, h, i, j);
    }
    if (a->alibi) {
        terms[count++] = -(double)a->alibi[h] * fabs((double)(position(a, b, i) - j));
    }
    if (a->relative) {
        terms[count++] = relative_at(a, b, h, i, j);
    }
    return count;
}

static double biased(const ref_attention *a, double score, uint32_t b, uint32_t h, uint32_t i, uint32_t j) {
    double terms[3];
    for (uint32_t n = 0, count = ref_attention_biases(a, b, h, i, j, terms); n < count; n++) {
        score += terms[n];
    }
    return score;
}

const float *ref_attention_relative_key(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j) {
    int64_t at = position(a, b, i) - j + a->relative_keys_zero;
    at = clamp(at, (int64_t)a->relative_keys_len - 1);
    size_t head = a->relative_keys_heads == 1 ? 0 : h;
    return a->relative_keys + (head * a->relative_keys_len + (size_t)at) * a->head_dim;
}

static double bias_of(const ref_attention *a, const float *biases, uint32_t h, uint32_t d) {
    return biases ? (double)biases[(size_t)h * a->head_dim + d] : 0;
}

/* (q + u) . k + (q + v) . r */
static double relative_product(const ref_attention *a, uint32_t h, const float *q, const float *k, double k_scale,
                               const float *r) {
    double sum = 0;
    for (uint32_t d = 0; d < a->head_dim; d++) {
        sum += ((double)q[d] + bias_of(a, a->content_bias, h, d)) * (double)k[d] * k_scale;
        sum += ((double)q[d] + bias_of(a, a->position_bias, h, d)) * (double)r[d];
    }
    return sum;
}

/* max(|factor * x|, 1e-12) */
static double length(const float *x, uint32_t count, double factor) {
    double squares = 0;
    for (uint32_t d = 0; d < count; d++) {
        squares += factor * (double)x[d] * factor * (double)x[d];
    }
    return squares < 1e-24 ? 1e-12 : sqrt(squares);
}

static double dot(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j) {
    size_t kv_head = (size_t)b * a->kv_heads + h / (a->q_heads / a->kv_heads), row = kv_head * a->kv_len + j;
    const float *q = a->q + (((size_t)b * a->q_heads + h) * a->q_len + i) * a->head_dim;
    const float *k = a->k + row * a->head_dim;
    const float *additive = a->additive ? a->additive + (size_t)h * a->head_dim : NULL;
    double sum = 0, k_scale = a->k_scale ? (double)a->k_scale[row] : 1;
    if (a->relative_keys) {
        return relative_product(a, h, q, k, k_scale, ref_attention_relative_key(a, b, h, i, j));
    }
    for (uint32_t d = 0; d < a->head_dim; d++) {
        sum += additive ? (double)additive[d] * tanh((double)q[d] + (double)k[d]) : (double)q[d] * (double)k[d];
    }
    if (a->cosine) {
        sum *= (double)a->cosine[h] / length(q, a->head_dim, 1) / length(k, a->head_dim, k_scale);
    }
    return sum * k_scale;
}

bool ref_attention_hidden(const ref_attention *a, vka_score_stage stage, uint32_t b, uint32_t h, uint32_t i, uint32_t j,
                          double *score) {
    bool late = stage >= VKA_SCORES_MASKED, elsewhere = a->own_keys && j >= keys(a, b);
    *score = late ? -INFINITY : 0;
    return late ? !ref_attention_visible(a, b, h, i, j) : elsewhere;
}

static double score_of(const ref_attention *a, vka_score_stage stage, uint32_t b, uint32_t h, uint32_t i, uint32_t j) {
    double score;
    if (ref_attention_hidden(a, stage, b, h, i, j, &score)) {
        return score;
    }
    score = a->scale * dot(a, b, h, i, j);
    if (stage >= VKA_SCORES_CAPPED && a->softcap > 0) {
        score = a->softcap * tanh(score / a->softcap);
    }
    return stage >= VKA_SCORES_MASKED ? biased(a, ref_attention_function(a, score, b, h, i, j), b, h, i, j) : score;
}

void ref_attention_scores(const ref_attention *a, vka_score_stage stage, uint32_t b, uint32_t h, uint32_t i,
                          double *score) {
    vka_score_stage last = stage == VKA_SCORES_PROBABILITIES ? VKA_SCORES_MASKED : stage;
    for (uint32_t j = 0; j < a->kv_len; j++) {
        score[j] = score_of(a, last, b, h, i, j);
    }
    if (stage != VKA_SCORES_PROBABILITIES) {
        return;
    }
    ref_softmax softmax = ref_attention_softmax(a, b, h, i, score);
    for (uint32_t j = 0; j < a->kv_len; j++) {
        score[j] = score[j] == -INFINITY ? 0 : exp(score[j] - softmax.max) / softmax.sum;
    }
}
