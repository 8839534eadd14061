/* A sheet of digits: a row for each picture, with what the heads of the last layer see, attention rolled out, and what
 * two answers depend on.
 * SPDX-License-Identifier: MIT */
#ifndef VISION_SHEET_H
#define VISION_SHEET_H

#include "relevance.h"
#include "common/canvas.h"

typedef struct sheet {
    canvas canvas;
    uint32_t heads;
} sheet;

typedef struct sheet_row {
    const float *pixels;
    int32_t is, read[2]; /* the digit; the answer and another one */
    double share[2];     /* how probable those are */
} sheet_row;

/* White, with titles. */
sheet sheet_create(uint32_t rows, uint32_t heads);
void sheet_free(sheet *s);

/* Draws what gradients of answer `which` say; and with the first answer, what does not depend on gradients. */
void sheet_add(sheet *s, uint32_t row, int which, const sheet_row *r, const attribution_maps *m);

#endif
