/* The picture as overlapping windows: attention's batch.
 * SPDX-License-Identifier: MIT */
#ifndef DENOISE_WINDOWS_H
#define DENOISE_WINDOWS_H

#include "picture.h"

enum {
    WINDOW_SIDE = 32,                         /* pixels                                                            */
    WINDOW_STEP = 16,                         /* half a window: every pixel lies in four of them                   */
    WINDOW_PIXELS = WINDOW_SIDE * WINDOW_SIDE /* queries and keys of one attention                                 */
};

/* What makes two pixels alike: exp(-|a - b|^2) for their rows of `count` features. */
typedef struct guide {
    uint32_t width, height, count;
    float *features; /* [height][width][count] */
} guide;

guide guide_create(uint32_t width, uint32_t height, uint32_t count);
void guide_free(guide *g);

/* Width of q and k: the features, and one more that brings |k|^2 into the scores. */
uint32_t window_head_dim(const guide *g);

/* How many windows cover the picture; they reach half a window over its borders. */
uint32_t window_count(uint32_t width, uint32_t height);

/* Fills one head: q, k [WINDOW_PIXELS][window_head_dim] and v [WINDOW_PIXELS][3]. Beyond its borders the picture is
 * mirrored. */
void window_gather(const guide *g, const picture *values, uint32_t window, float *q, float *k, float *v);

/* Adds attention's out [WINDOW_PIXELS][3] to the picture, faded towards the window's edges (Hann) so that the windows
 * over a pixel add up to 1 and no seam shows. */
void window_scatter(const float *out, uint32_t window, picture *sum);

#endif
