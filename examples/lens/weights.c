/* SPDX-License-Identifier: MIT */
#include "weights.h"

#include <stdlib.h>
#include <string.h>

static bool fits(const lens_picture *p, uint32_t tokens) {
    return p->pixels == NULL || (p->width && p->height && p->rows && p->columns && p->rows <= tokens / p->columns &&
                                 p->first <= tokens - p->rows * p->columns && (p->channels == 3 || p->channels == 4));
}

bool lens_pictures_fit(const lens *l) {
    return fits(&l->query_picture, l->n) && fits(&l->key_picture, l->m);
}

bool lens_is_patch(const lens_picture *p, uint32_t token) {
    return p->pixels && token >= p->first && token - p->first < p->rows * p->columns;
}

void lens_mean(const lens *l, uint32_t layer, float *out) {
    size_t size = (size_t)l->n * l->m;
    const float *p = l->probabilities + layer * l->heads * size;
    for (size_t i = 0; i < size; i++) {
        float sum = 0;
        for (uint32_t h = 0; h < l->heads; h++) {
            sum += p[h * size + i];
        }
        out[i] = sum / (float)l->heads;
    }
}

static void multiply(uint32_t n, const float *a, const float *b, float *out) {
    memset(out, 0, (size_t)n * n * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            for (size_t j = 0; j < n; j++) {
                out[i * n + j] += a[i * n + k] * b[k * n + j];
            }
        }
    }
}

/* Half of each layer is its attention, half what goes around it. */
bool lens_rollout(const lens *l, float *out) {
    size_t n = l->n, size = n * n;
    float *layer = malloc(2 * size * sizeof *layer), *product = layer + size;
    if (layer == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < l->layers; i++) {
        lens_mean(l, i, layer);
        for (size_t k = 0; k < size; k++) {
            layer[k] = layer[k] / 2 + (k % (n + 1) == 0 ? 0.5f : 0);
        }
        if (i) {
            multiply(l->n, layer, out, product);
        }
        memcpy(out, i ? product : layer, size * sizeof *out);
    }
    free(layer);
    return true;
}
