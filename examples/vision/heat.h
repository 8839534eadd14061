/* Pictures of ink on paper, with a number for each patch as a colour of the paper: white where it is 0, red where it is
 * largest.
 * SPDX-License-Identifier: MIT */
#ifndef VISION_HEAT_H
#define VISION_HEAT_H

#include "common/canvas.h"

typedef struct heat_picture {
    const float *pixels;  /* [side, side]; 0: paper, 1: ink */
    uint32_t side, patch; /* of the picture and of a patch, in pixels */
    uint32_t scale;       /* how wide a pixel is drawn */
} heat_picture;

/* With a frame around it. `numbers`: [side / patch, side / patch], of which the largest is red; NULL: paper is white.
 */
void heat_draw(canvas *c, uint32_t x, uint32_t y, const heat_picture *p, const double *numbers, colour frame);
/* The picture alone, as a page takes it: [side * scale, side * scale] pixels. */
void heat_pixels(const heat_picture *p, uint8_t (*rgb)[3]);
/* A bar of the colours, with its meaning. */
void heat_legend(canvas *c, uint32_t x, uint32_t y);

#endif
