/* SPDX-License-Identifier: MIT */
#include "digits.h"

#include "common/program.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1000000, LINE = 512, INK = 16 };

/* 64 numbers from 0 to 16, and the digit. */
static bool parse(const char *line, float pixels[DIGIT_PIXELS], int32_t *label) {
    for (int i = 0; i <= DIGIT_PIXELS; i++) {
        char *end;
        long value = strtol(line, &end, 10);
        bool last = i == DIGIT_PIXELS;
        bool separated = last ? *end == '\n' || *end == '\r' || *end == 0 : *end == ',';
        if (end == line || !separated || value < 0 || value > (last ? DIGIT_CLASSES - 1 : INK)) {
            return false;
        }
        if (last) {
            *label = (int32_t)value;
        } else {
            pixels[i] = (float)value / INK;
        }
        line = end + 1;
    }
    return true;
}

static void grow(digits *d, uint32_t capacity) {
    d->pixels = realloc(d->pixels, capacity * sizeof *d->pixels);
    d->labels = realloc(d->labels, capacity * sizeof *d->labels);
    if (d->pixels == NULL || d->labels == NULL) {
        fail("out of memory");
    }
}

digits digits_load(const char *path) {
    digits d = {0};
    char line[LINE];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail("%s: %s", path, strerror(errno));
    }
    for (uint32_t capacity = 0; fgets(line, sizeof line, file); d.count++) {
        if (d.count == capacity) {
            grow(&d, capacity = 2 * capacity + 256);
        }
        if (d.count == MOST || !parse(line, d.pixels[d.count], &d.labels[d.count])) {
            fail("%s: line %" PRIu32 ": is not 64 numbers from 0 to 16 and a digit", path, d.count + 1);
        }
    }
    if (ferror(file)) {
        fail("%s: %s", path, strerror(errno));
    }
    fclose(file);
    d.training = d.count - d.count / 5;
    if (d.count < 10) {
        fail("%s: has %" PRIu32 " pictures, fewer than 10", path, d.count);
    }
    return d;
}

void digits_free(digits *d) {
    free(d->pixels);
    free(d->labels);
    *d = (digits){0};
}

/* From -1 to 1. */
static double draw_real(random_state *r) {
    return random_below(r, 20001) / 10000.0 - 1;
}

/* Between pixels; paper outside. */
static double ink_at(const float *pixels, double x, double y) {
    double ink = 0, left = floor(x), top = floor(y);
    for (int i = 0; i < 4; i++) {
        double column = left + (i & 1), row = top + (i >> 1);
        if (column >= 0 && column < DIGIT_SIDE && row >= 0 && row < DIGIT_SIDE) {
            double share = (1 - fabs(x - column)) * (1 - fabs(y - row));
            ink += share * (double)pixels[(int)row * DIGIT_SIDE + (int)column];
        }
    }
    return ink;
}

void digits_vary(const digits *d, random_state *r, uint32_t which, float pixels[DIGIT_PIXELS]) {
    const double angle = 0.25 * draw_real(r), width = 1 + 0.15 * draw_real(r), height = 1 + 0.15 * draw_real(r);
    const double dx = 0.8 * draw_real(r), dy = 0.8 * draw_real(r), middle = (DIGIT_SIDE - 1) / 2.0;
    for (int i = 0; i < DIGIT_PIXELS; i++) {
        int column = i % DIGIT_SIDE, row = i / DIGIT_SIDE;
        double x = (column - middle) * width, y = (row - middle) * height;
        pixels[i] = (float)ink_at(d->pixels[which], middle + dx + cos(angle) * x - sin(angle) * y,
                                  middle + dy + sin(angle) * x + cos(angle) * y);
    }
}

int32_t digits_draw(const digits *d, random_state *r, float pixels[DIGIT_PIXELS]) {
    const uint32_t which = random_below(r, d->training);
    digits_vary(d, r, which, pixels);
    return d->labels[which];
}

void digits_cut(const float pixels[DIGIT_PIXELS], float *patches) {
    for (int i = 0; i < DIGIT_PIXELS; i++) {
        int x = i % DIGIT_SIDE, y = i / DIGIT_SIDE;
        int patch = y / PATCH_SIDE * (DIGIT_SIDE / PATCH_SIDE) + x / PATCH_SIDE;
        patches[patch * PATCH_PIXELS + y % PATCH_SIDE * PATCH_SIDE + x % PATCH_SIDE] = pixels[i];
    }
}

static double distance(const float *pixels, const double *mean) {
    double sum = 0;
    for (int i = 0; i < DIGIT_PIXELS; i++) {
        sum += ((double)pixels[i] - mean[i]) * ((double)pixels[i] - mean[i]);
    }
    return sum;
}

double digits_baseline(const digits *d) {
    double means[DIGIT_CLASSES][DIGIT_PIXELS] = {{0}}, counts[DIGIT_CLASSES] = {0};
    uint32_t right = 0;
    for (uint32_t i = 0; i < d->training; i++) {
        counts[d->labels[i]]++;
        for (int k = 0; k < DIGIT_PIXELS; k++) {
            means[d->labels[i]][k] += (double)d->pixels[i][k];
        }
    }
    for (int c = 0; c < DIGIT_CLASSES; c++) {
        for (int k = 0; k < DIGIT_PIXELS; k++) {
            means[c][k] /= fmax(counts[c], 1);
        }
    }
    for (uint32_t i = d->training; i < d->count; i++) {
        int best = 0;
        for (int c = 1; c < DIGIT_CLASSES; c++) {
            best = distance(d->pixels[i], means[c]) < distance(d->pixels[i], means[best]) ? c : best;
        }
        right += best == d->labels[i];
    }
    return (double)right / (d->count - d->training);
}
