/* Handwritten digits of 8 x 8 pixels (Alpaydin and Kaynak 1998), which tools/fetch-data gets.
 * SPDX-License-Identifier: MIT */
#ifndef TRAIN_VISION_DIGITS_H
#define TRAIN_VISION_DIGITS_H

#include "training/random.h"

#include <stdint.h>

enum { DIGIT_SIDE = 8, DIGIT_PIXELS = 64, DIGIT_CLASSES = 10, PATCH_SIDE = 2, PATCH_PIXELS = 4, PATCHES = 16 };

typedef struct digits {
    float (*pixels)[DIGIT_PIXELS]; /* 0: paper, 1: ink */
    int32_t *labels;
    uint32_t count, training; /* the first ones are to learn from, the others, the last fifth, to be judged by */
} digits;

/* A file that can't be read, or has anything else in it, ends the program with a line that says where. */
digits digits_load(const char *path);
void digits_free(digits *d);

/* A picture, turned, stretched and moved a little. */
void digits_vary(const digits *d, random_state *r, uint32_t which, float pixels[DIGIT_PIXELS]);
/* The same of one to learn from; returns its label. */
int32_t digits_draw(const digits *d, random_state *r, float pixels[DIGIT_PIXELS]);

/* The patches of a picture, row by row, as PATCHES rows of PATCH_PIXELS. */
void digits_cut(const float pixels[DIGIT_PIXELS], float *patches);

/* How many of those to be judged by are nearest to the mean of their digit: what takes no learning. */
double digits_baseline(const digits *d);

#endif
