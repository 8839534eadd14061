/* Cutting a picture into overlapping windows for attention, and blending the results.
 * SPDX-License-Identifier: MIT
 *
 * Non-local means (Buades, Coll and Morel 2005) is attention. It replaces each pixel a by a mean of all pixels b,
 * weighted by exp(-|a - b|^2) of their features, and
 *
 *   -|a - b|^2  =  2 a.b - |b|^2 - |a|^2
 *
 * where |a|^2 is the same for all keys of a query: softmax does not see it. So q = [2a, 1], k = [b, -|b|^2], scale 1.
 */
#include "windows.h"

#include <math.h>
#include <stdlib.h>

guide guide_create(uint32_t width, uint32_t height, uint32_t count) {
    return (guide){width, height, count, allocate((size_t)width * height * count, sizeof(float))};
}

void guide_free(guide *g) {
    free(g->features);
    *g = (guide){0};
}

uint32_t window_head_dim(const guide *g) {
    return g->count + 1;
}

static uint32_t windows_along(uint32_t length) {
    return (length + WINDOW_STEP - 1) / WINDOW_STEP + 1;
}

uint32_t window_count(uint32_t width, uint32_t height) {
    return windows_along(width) * windows_along(height);
}

/* Left or top pixel of a window, negative for the first. */
static void window_corner(uint32_t width, uint32_t window, int64_t *x, int64_t *y) {
    *x = ((int64_t)(window % windows_along(width)) - 1) * WINDOW_STEP;
    *y = ((int64_t)(window / windows_along(width)) - 1) * WINDOW_STEP;
}

/* Mirrors a coordinate at the borders until it lies inside: -1 is 0, -2 is 1, length is length - 1. */
static size_t mirrored(int64_t x, uint32_t length) {
    int64_t period = 2 * (int64_t)length;
    x = ((x % period) + period) % period;
    return (size_t)(x < length ? x : period - 1 - x);
}

/* Scores are differences of large numbers when features lie far from zero. Distances don't change when all features of
 * a window are moved by the same amount, so move their mean to zero. */
static void mean_features(const guide *g, int64_t x0, int64_t y0, float *mean) {
    for (uint32_t f = 0; f < g->count; f++) {
        double sum = 0;
        for (int i = 0; i < WINDOW_PIXELS; i++) {
            size_t x = mirrored(x0 + i % WINDOW_SIDE, g->width), y = mirrored(y0 + i / WINDOW_SIDE, g->height);
            sum += (double)g->features[(y * g->width + x) * g->count + f];
        }
        mean[f] = (float)(sum / WINDOW_PIXELS);
    }
}

void window_gather(const guide *g, const picture *values, uint32_t window, float *q, float *k, float *v) {
    float *mean = allocate(g->count, sizeof(float));
    int64_t x0, y0;
    window_corner(g->width, window, &x0, &y0);
    mean_features(g, x0, y0, mean);
    for (int i = 0; i < WINDOW_PIXELS; i++) {
        size_t x = mirrored(x0 + i % WINDOW_SIDE, g->width), y = mirrored(y0 + i / WINDOW_SIDE, g->height);
        size_t pixel = y * g->width + x;
        float square = 0;
        for (uint32_t f = 0; f < g->count; f++) {
            float a = g->features[pixel * g->count + f] - mean[f];
            *q++ = 2 * a;
            *k++ = a;
            square += a * a;
        }
        *q++ = 1;
        *k++ = -square;
        for (int c = 0; c < 3; c++) {
            *v++ = values->rgb[pixel * 3 + (size_t)c];
        }
    }
    free(mean);
}

/* sin^2: two of them, half a period apart, add up to 1. */
static float fade(int i) {
    float s = sinf(3.14159265f * ((float)i + 0.5f) / WINDOW_SIDE);
    return s * s;
}

void window_scatter(const float *out, uint32_t window, picture *sum) {
    int64_t x0, y0;
    window_corner(sum->width, window, &x0, &y0);
    for (int i = 0; i < WINDOW_PIXELS; i++) {
        int64_t x = x0 + i % WINDOW_SIDE, y = y0 + i / WINDOW_SIDE;
        if (x < 0 || x >= sum->width || y < 0 || y >= sum->height) {
            continue;
        }
        float weight = fade(i % WINDOW_SIDE) * fade(i / WINDOW_SIDE);
        for (int c = 0; c < 3; c++) {
            sum->rgb[(size_t)(y * sum->width + x) * 3 + (size_t)c] += weight * out[3 * i + c];
        }
    }
}
