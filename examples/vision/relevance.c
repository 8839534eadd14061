/* SPDX-License-Identifier: MIT */
#include "relevance.h"

#include "common/program.h"

#include <stdlib.h>
#include <string.h>

void relevance_of_head(const attribution_maps *m, uint32_t layer, uint32_t head, double *numbers) {
    const float *row = m->probabilities + ((size_t)layer * m->heads + head) * m->tokens * m->tokens;
    for (uint32_t j = 1; j < m->tokens; j++) {
        numbers[j - 1] = (double)row[j];
    }
}

/* The mean over heads, [tokens, tokens]: of probabilities, or of what gradients make of them. */
static void mean_of_heads(const attribution_maps *m, uint32_t layer, bool gradients, double *to) {
    const size_t square = (size_t)m->tokens * m->tokens;
    memset(to, 0, square * sizeof *to);
    for (uint32_t h = 0; h < m->heads; h++) {
        const size_t at = ((size_t)layer * m->heads + h) * square;
        for (size_t i = 0; i < square; i++) {
            double p = (double)m->probabilities[at + i], g = gradients ? (double)m->gradients[at + i] : 1;
            to[i] += g > 0 ? p * g / m->heads : 0;
        }
    }
}

/* The first row of the product of all layers' keep * 1 + share * mean, from the last layer to the first. */
static void product(const attribution_maps *m, bool gradients, double keep, double share, double *numbers) {
    const uint32_t n = m->tokens;
    double *mean = allocate((size_t)n * n, sizeof *mean);
    double *row = allocate(n, sizeof *row), *next = allocate(n, sizeof *next);
    row[0] = 1;
    for (uint32_t l = m->layers; l-- > 0;) {
        mean_of_heads(m, l, gradients, mean);
        for (uint32_t j = 0; j < n; j++) {
            next[j] = keep * row[j];
            for (uint32_t i = 0; i < n; i++) {
                next[j] += share * row[i] * mean[(size_t)i * n + j];
            }
        }
        memcpy(row, next, n * sizeof *row);
    }
    memcpy(numbers, row + 1, (n - 1) * sizeof *numbers);
    free(mean);
    free(row);
    free(next);
}

void relevance_rollout(const attribution_maps *m, double *numbers) {
    product(m, false, 0.5, 0.5, numbers);
}

void relevance_by_gradients(const attribution_maps *m, double *numbers) {
    product(m, true, 1, 1, numbers);
}

void relevance_grad_cam(const attribution_maps *m, double *numbers) {
    memset(numbers, 0, (m->tokens - 1) * sizeof *numbers);
    for (uint32_t k = 0; k < m->width; k++) {
        double weight = 0;
        for (uint32_t j = 1; j < m->tokens; j++) {
            weight += (double)m->d_vectors[(size_t)j * m->width + k] / (m->tokens - 1);
        }
        for (uint32_t j = 1; j < m->tokens; j++) {
            numbers[j - 1] += weight * (double)m->vectors[(size_t)j * m->width + k];
        }
    }
    for (uint32_t j = 0; j < m->tokens - 1; j++) {
        numbers[j] = numbers[j] > 0 ? numbers[j] : 0;
    }
}
