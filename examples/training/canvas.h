/* Lines and a few letters in a picture.
 * SPDX-License-Identifier: MIT */
#ifndef TRAINING_CANVAS_H
#define TRAINING_CANVAS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct colour {
    uint8_t red, green, blue;
} colour;

typedef struct canvas {
    uint32_t width, height;
    uint8_t *rgb;
} canvas;

/* White. */
canvas canvas_create(uint32_t width, uint32_t height);
void canvas_free(canvas *c);
bool canvas_save(const canvas *c, const char *path);

/* In pixels from the upper left corner, with smooth edges. */
void canvas_line(canvas *c, double x0, double y0, double x1, double y1, double width, colour ink);

/* From its upper left corner; letters of 5 x 7 dots, each `size` pixels wide. Of letters there are lower-case ones,
 * digits,
 * ".", "-" and ":"; others are blank. */
void canvas_text(canvas *c, double x, double y, uint32_t size, const char *text, colour ink);
uint32_t canvas_text_width(const char *text, uint32_t size);

#endif
