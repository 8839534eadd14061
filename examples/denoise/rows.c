/* Non-local means as attention.
 * SPDX-License-Identifier: MIT
 *
 * Non-local means (Buades, Coll and Morel 2005) replaces each pixel a by a mean of the pixels b around it, weighted by
 * exp(-|a - b|^2) of their features, and
 *
 *   -|a - b|^2  =  2 a.b - |b|^2 - |a|^2
 *
 * where |a|^2 is the same for all keys of a query: softmax does not see it. So q = [2a, 1], k = [b, -|b|^2], scale 1.
 * Where a pixel lies is a feature, too, but one that a table of differences says exactly. */
#include "rows.h"

#include "common/program.h"

#include <stdlib.h>

guide guide_create(uint32_t width, uint32_t height, uint32_t count, float reach) {
    return (guide){width, height, count, allocate((size_t)width * height * count, sizeof(float)), reach};
}

void guide_free(guide *g) {
    free(g->features);
    *g = (guide){0};
}

uint32_t row_dim(const guide *g) {
    return g->count + 1;
}

/* Scores are differences of large numbers when features lie far from zero. Distances don't change when all features are
 * moved by the same amount, so their mean is moved to zero. */
static void mean_features(const guide *g, float *mean) {
    size_t pixels = (size_t)g->width * g->height;
    for (uint32_t f = 0; f < g->count; f++) {
        double sum = 0;
        for (size_t i = 0; i < pixels; i++) {
            sum += (double)g->features[i * g->count + f];
        }
        mean[f] = (float)(sum / (double)pixels);
    }
}

void fill_rows(const guide *g, float *q, float *k) {
    float *mean = allocate(g->count, sizeof(float));
    mean_features(g, mean);
    for (size_t i = 0; i < (size_t)g->width * g->height; i++) {
        float square = 0;
        for (uint32_t f = 0; f < g->count; f++) {
            float a = g->features[i * g->count + f] - mean[f];
            *q++ = 2 * a;
            *k++ = a;
            square += a * a;
        }
        *q++ = 1;
        *k++ = -square;
    }
    free(mean);
}

void fill_nearness(const guide *g, uint32_t window, float *table) {
    int most = (int)window - 1;
    for (int y = -most; y <= most; y++) {
        for (int x = -most; x <= most; x++) {
            *table++ = -(float)(x * x + y * y) / (g->reach * g->reach);
        }
    }
}
