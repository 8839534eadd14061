/* Dropout, and the selection of one key instead of a weighted mean.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

uint32_t ref_attention_word(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j) {
    const uint32_t counter[4] = {j / 4, i, b * a->q_heads + h, a->random_offset};
    const uint32_t key[2] = {(uint32_t)a->seed, (uint32_t)(a->seed >> 32)};
    uint32_t words[4];
    ref_philox(counter, key, words);
    return words[j % 4];
}

double ref_attention_keep(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j) {
    if (a->dropout == 0) {
        return 1;
    }
    return ref_attention_word(a, b, h, i, j) < a->dropout * 0x1p32 ? 0 : 1 / (1 - a->dropout);
}

/* -log u of the uniform number that a word stands for. */
static double surprise(uint32_t word) {
    return -log((word / 256 + 0.5) * 0x1p-24);
}

double ref_attention_gumbel(uint32_t word) {
    return -log(surprise(word));
}

double ref_attention_noise(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j) {
    return a->selection == VKA_SELECTION_SAMPLE ? ref_attention_gumbel(ref_attention_word(a, b, h, i, j)) : 0;
}

/* Vulkan lets the logarithm of a number near 1 be off by 2^-21, and of what is left of it the logarithm is taken. */
double ref_attention_naive_noise(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j) {
    return a->selection == VKA_SELECTION_SAMPLE ? -log(surprise(ref_attention_word(a, b, h, i, j)) - 0x1p-21) : 0;
}

/* A number that Vulkan may take for 0 or less has any logarithm. */
static double noise_error(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j) {
    double error = ref_attention_naive_noise(a, b, h, i, j) - ref_attention_noise(a, b, h, i, j);
    return isfinite(error) ? error : INFINITY;
}

uint32_t ref_attention_choice(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, const double *score) {
    uint32_t best = a->kv_len, keys = a->key_lists ? a->key_list_len : a->kv_len;
    const int64_t *list = a->key_lists ? a->key_lists + (((size_t)b * a->q_heads + h) * a->q_len + i) * keys : NULL;
    double highest = -INFINITY;
    for (uint32_t n = 0; n < keys; n++) {
        if (list && list[n] < 0) {
            continue;
        }
        uint32_t j = list ? (uint32_t)list[n] : n;
        if (score[j] != -INFINITY && score[j] + ref_attention_noise(a, b, h, i, j) > highest) {
            best = j;
            highest = score[j] + ref_attention_noise(a, b, h, i, j);
        }
    }
    return best;
}

void ref_attention_choices(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, double error,
                           const double *score, bool *possible) {
    double surely = -INFINITY; /* what the winner has at least */
    for (uint32_t j = 0; j < a->kv_len; j++) {
        if (score[j] != -INFINITY) {
            surely = fmax(surely, score[j] + ref_attention_noise(a, b, h, i, j) - error - noise_error(a, b, h, i, j));
        }
    }
    for (uint32_t j = 0; j < a->kv_len; j++) {
        double most = score[j] + ref_attention_noise(a, b, h, i, j) + error + noise_error(a, b, h, i, j);
        possible[j] = score[j] != -INFINITY && most >= surely;
    }
}
