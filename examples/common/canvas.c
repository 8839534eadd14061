/* SPDX-License-Identifier: MIT */
#include "canvas.h"

#include "letters.h"
#include "png_file.h"
#include "program.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ADVANCE = LETTER_COLUMNS + 1 };

void colour_along(const double (*colours)[3], int count, double share, double mixed[3]) {
    const double at = fmin(fmax(share, 0), 1) * (count - 1);
    const int first = at < count - 1 ? (int)at : count - 2;
    for (int i = 0; i < 3; i++) {
        mixed[i] = colours[first][i] + (at - first) * (colours[first + 1][i] - colours[first][i]);
    }
}

colour colour_of(const double rgb[3]) {
    return (colour){(uint8_t)lrint(rgb[0]), (uint8_t)lrint(rgb[1]), (uint8_t)lrint(rgb[2])};
}

canvas canvas_create(uint32_t width, uint32_t height) {
    canvas c = {width, height, allocate((size_t)width * height * 3, 1)};
    memset(c.rgb, 255, (size_t)width * height * 3);
    return c;
}

void canvas_free(canvas *c) {
    free(c->rgb);
    *c = (canvas){0};
}

bool canvas_save(const canvas *c, const char *path) {
    return png_file_save(path, c->width, c->height, c->rgb);
}

static uint8_t mix(uint8_t from, uint8_t to, double share) {
    return (uint8_t)lrint(from + (to - from) * share);
}

static void blend(canvas *c, int64_t x, int64_t y, double share, colour ink) {
    if (x >= 0 && y >= 0 && x < c->width && y < c->height) {
        uint8_t *p = c->rgb + ((size_t)y * c->width + (size_t)x) * 3;
        p[0] = mix(p[0], ink.red, share);
        p[1] = mix(p[1], ink.green, share);
        p[2] = mix(p[2], ink.blue, share);
    }
}

/* A pixel's share is how far its centre lies inside the line's edge. */
void canvas_line(canvas *c, double x0, double y0, double x1, double y1, double width, colour ink) {
    double dx = x1 - x0, dy = y1 - y0, squared = dx * dx + dy * dy;
    for (int64_t y = (int64_t)(fmin(y0, y1) - width - 1); y <= (int64_t)(fmax(y0, y1) + width + 1); y++) {
        for (int64_t x = (int64_t)(fmin(x0, x1) - width - 1); x <= (int64_t)(fmax(x0, x1) + width + 1); x++) {
            double px = (double)x + 0.5 - x0, py = (double)y + 0.5 - y0;
            double along = squared > 0 ? fmin(1, fmax(0, (px * dx + py * dy) / squared)) : 0;
            double share = width / 2 + 0.5 - hypot(px - along * dx, py - along * dy);
            if (share > 0) {
                blend(c, x, y, fmin(1, share), ink);
            }
        }
    }
}

/* `at` is how many dots along the line the letter begins; up: the line runs upwards. */
static void draw_letter(canvas *c, int64_t x, int64_t y, uint32_t size, int64_t at, bool up, const uint8_t *rows,
                        colour ink) {
    for (uint32_t i = 0; i < LETTER_ROWS * size; i++) {
        for (uint32_t j = 0; j < LETTER_COLUMNS * size; j++) {
            if (rows[i / size] >> (LETTER_COLUMNS - 1 - j / size) & 1) {
                blend(c, up ? x + i : x + at + j, up ? y - at - j : y + i, 1, ink);
            }
        }
    }
}

static void draw_text(canvas *c, double x, double y, uint32_t size, bool up, const char *text, colour ink) {
    for (int64_t at = 0; *text; at += ADVANCE * size) {
        draw_letter(c, llrint(x), llrint(y), size, at, up, letter_rows(letter_next(&text)), ink);
    }
}

void canvas_text(canvas *c, double x, double y, uint32_t size, const char *text, colour ink) {
    draw_text(c, x, y, size, false, text, ink);
}

void canvas_text_up(canvas *c, double x, double y, uint32_t size, const char *text, colour ink) {
    draw_text(c, x, y - 1, size, true, text, ink);
}

uint32_t canvas_text_width(const char *text, uint32_t size) {
    uint32_t letters = 0;
    for (; *text; letters++) {
        letter_next(&text);
    }
    return letters * ADVANCE * size;
}

void canvas_fill(canvas *c, int64_t x, int64_t y, uint32_t width, uint32_t height, double share, colour ink) {
    for (uint32_t i = 0; i < height; i++) {
        for (uint32_t j = 0; j < width; j++) {
            blend(c, x + j, y + i, share, ink);
        }
    }
}
