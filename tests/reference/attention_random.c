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

static double noise(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j) {
    return a->selection == VKA_SELECTION_SAMPLE ? ref_attention_gumbel(ref_attention_word(a, b, h, i, j)) : 0;
}

/* How far off a sample's noise may be: Vulkan lets a logarithm of a number near 1 be off by 2^-21, and what is left of
 * -log u is then taken the logarithm of. */
static double noise_error(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j) {
    if (a->selection != VKA_SELECTION_SAMPLE) {
        return 0;
    }
    double s = surprise(ref_attention_word(a, b, h, i, j));
    return s > 0x1p-21 ? log(s) - log(s - 0x1p-21) : INFINITY;
}

uint32_t ref_attention_choice(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, const double *score) {
    uint32_t best = a->kv_len;
    double highest = -INFINITY;
    for (uint32_t j = 0; j < a->kv_len; j++) {
        if (score[j] != -INFINITY && score[j] + noise(a, b, h, i, j) > highest) {
            best = j;
            highest = score[j] + noise(a, b, h, i, j);
        }
    }
    return best;
}

void ref_attention_choices(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, double error,
                           const double *score, bool *possible) {
    double surely = -INFINITY; /* what the winner has at least */
    for (uint32_t j = 0; j < a->kv_len; j++) {
        if (score[j] != -INFINITY) {
            surely = fmax(surely, score[j] + noise(a, b, h, i, j) - error - noise_error(a, b, h, i, j));
        }
    }
    for (uint32_t j = 0; j < a->kv_len; j++) {
        double most = score[j] + noise(a, b, h, i, j) + error + noise_error(a, b, h, i, j);
        possible[j] = score[j] != -INFINITY && most >= surely;
    }
}
