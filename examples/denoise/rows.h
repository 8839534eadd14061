/* What attention gets to see: rows of q and k, and a table of nearness.
 * SPDX-License-Identifier: MIT */
#ifndef DENOISE_ROWS_H
#define DENOISE_ROWS_H

#include <stdint.h>

/* What makes two pixels alike: exp(-|a - b|^2) for their rows of `count` features, and exp(-distance^2 / reach^2). */
typedef struct guide {
    uint32_t width, height, count;
    float *features; /* [height][width][count] */
    float reach;     /* pixels */
} guide;

guide guide_create(uint32_t width, uint32_t height, uint32_t count, float reach);
void guide_free(guide *g);

/* Width of q and k: the features, and one more that brings |k|^2 into the scores. */
uint32_t row_dim(const guide *g);

/* Fills q, k [height * width][row_dim]. */
void fill_rows(const guide *g, float *q, float *k);

/* Fills [2 window - 1][2 window - 1]: what is added to the score of a key that lies so many pixels below and to the
 * right; the pixel itself is in the middle. */
void fill_nearness(const guide *g, uint32_t window, float *table);

#endif
