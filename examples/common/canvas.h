/* Lines, areas and letters in a picture.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_CANVAS_H
#define COMMON_CANVAS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct colour {
    uint8_t red, green, blue;
} colour;

typedef struct canvas {
    uint32_t width, height;
    uint8_t *rgb;
} canvas;

/* What lies at a share, 0 to 1, of the way along `count` colours in equal steps, at least two, as red, green and blue.
 */
void colour_along(const double (*colours)[3], int count, double share, double mixed[3]);
colour colour_of(const double rgb[3]);

/* White. */
canvas canvas_create(uint32_t width, uint32_t height);
void canvas_free(canvas *c);
bool canvas_save(const canvas *c, const char *path);

/* In pixels from the upper left corner, with smooth edges. */
void canvas_line(canvas *c, double x0, double y0, double x1, double y1, double width, colour ink);

/* Covers pixels from (x, y) on with this share of the colour. */
void canvas_fill(canvas *c, int64_t x, int64_t y, uint32_t width, uint32_t height, double share, colour ink);

/* UTF-8 from its upper left corner, in letters of 5 x 7 dots and 2 below the line (letters.h), each `size` pixels wide.
 * The second one reads upwards: (x, y) is where its upper left corner would be after a quarter turn to the left, at the
 * bottom of the text.
 */
void canvas_text(canvas *c, double x, double y, uint32_t size, const char *text, colour ink);
void canvas_text_up(canvas *c, double x, double y, uint32_t size, const char *text, colour ink);
uint32_t canvas_text_width(const char *text, uint32_t size);

#endif
