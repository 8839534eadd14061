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

int32_t digits_draw(const digits *d, random_state *r, float pixels[DIGIT_PIXELS]) {
    uint32_t which = random_below(r, d->training);
    int dx = (int)random_below(r, 3) - 1, dy = (int)random_below(r, 3) - 1;
    for (int y = 0; y < DIGIT_SIDE; y++) {
        for (int x = 0; x < DIGIT_SIDE; x++) {
            int from_x = x + dx, from_y = y + dy;
            bool inside = from_x >= 0 && from_x < DIGIT_SIDE && from_y >= 0 && from_y < DIGIT_SIDE;
            pixels[y * DIGIT_SIDE + x] = inside ? d->pixels[which][from_y * DIGIT_SIDE + from_x] : 0;
        }
    }
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
