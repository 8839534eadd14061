/* Text and bars as rectangles in mapped memory.
 * SPDX-License-Identifier: MIT */
#ifndef FRAME_OVERLAY_H
#define FRAME_OVERLAY_H

#include <stdint.h>

/* box.vert has the same. */
typedef struct box {
    float left, top, width, height;
    float red, green, blue, opacity;
} box;

enum { MAX_BOXES = 8192, HISTORY = 120 };

typedef struct overlay {
    box *boxes; /* MAX_BOXES */
    uint32_t count;
} overlay;

/* What a frame was made of. */
typedef struct timing {
    float attention, drawing; /* milliseconds on the device */
} timing;

void overlay_box(overlay *o, box b);
/* In letters of 5 x 7 dots, each `dot` pixels wide. */
void overlay_text(overlay *o, float left, float top, float dot, const char *text);
/* A bar for each of the last frames, and a line at the budget, in milliseconds; `next` is the oldest one. */
void overlay_history(overlay *o, float left, float bottom, const timing history[HISTORY], uint32_t next, float budget);

#endif
