/* SPDX-License-Identifier: MIT */
#include "canvas.h"

#include "common/png_file.h"
#include "common/program.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 5, ROWS = 7, ADVANCE = 6 };

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

/* The rows of letters from the top, five bits each, the leftmost dot the highest bit. */
static const struct glyph {
    char letter;
    uint8_t rows[ROWS];
} glyphs[] = {
    {'0', {14, 17, 19, 21, 25, 17, 14}}, {'1', {4, 12, 4, 4, 4, 4, 14}},    {'2', {14, 17, 1, 2, 4, 8, 31}},
    {'3', {31, 2, 4, 2, 1, 17, 14}},     {'4', {2, 6, 10, 18, 31, 2, 2}},   {'5', {31, 16, 30, 1, 1, 17, 14}},
    {'6', {6, 8, 16, 30, 17, 17, 14}},   {'7', {31, 1, 2, 4, 8, 8, 8}},     {'8', {14, 17, 17, 14, 17, 17, 14}},
    {'9', {14, 17, 17, 15, 1, 2, 12}},   {'.', {0, 0, 0, 0, 0, 12, 12}},    {'-', {0, 0, 0, 31, 0, 0, 0}},
    {':', {0, 12, 12, 0, 12, 12, 0}},    {'a', {0, 0, 14, 1, 15, 17, 15}},  {'b', {16, 16, 22, 25, 17, 17, 30}},
    {'c', {0, 0, 14, 16, 16, 17, 14}},   {'d', {1, 1, 13, 19, 17, 17, 15}}, {'e', {0, 0, 14, 17, 31, 16, 14}},
    {'f', {6, 9, 8, 28, 8, 8, 8}},       {'g', {0, 15, 17, 17, 15, 1, 14}}, {'h', {16, 16, 22, 25, 17, 17, 17}},
    {'i', {4, 0, 12, 4, 4, 4, 14}},      {'j', {2, 0, 6, 2, 2, 18, 12}},    {'k', {16, 16, 18, 20, 24, 20, 18}},
    {'l', {12, 4, 4, 4, 4, 4, 14}},      {'m', {0, 0, 26, 21, 21, 17, 17}}, {'n', {0, 0, 22, 25, 17, 17, 17}},
    {'o', {0, 0, 14, 17, 17, 17, 14}},   {'p', {0, 0, 30, 17, 30, 16, 16}}, {'q', {0, 0, 13, 19, 15, 1, 1}},
    {'r', {0, 0, 22, 25, 16, 16, 16}},   {'s', {0, 0, 14, 16, 14, 1, 30}},  {'t', {8, 8, 28, 8, 8, 9, 6}},
    {'u', {0, 0, 17, 17, 17, 19, 13}},   {'v', {0, 0, 17, 17, 17, 10, 4}},  {'w', {0, 0, 17, 17, 21, 21, 10}},
    {'x', {0, 0, 17, 10, 4, 10, 17}},    {'y', {0, 0, 17, 17, 15, 1, 14}},  {'z', {0, 0, 31, 2, 4, 8, 31}},
};

static void draw_letter(canvas *c, int64_t x, int64_t y, uint32_t size, const struct glyph *g, colour ink) {
    for (uint32_t i = 0; i < ROWS * size; i++) {
        for (uint32_t j = 0; j < COLUMNS * size; j++) {
            if (g->rows[i / size] >> (COLUMNS - 1 - j / size) & 1) {
                blend(c, x + j, y + i, 1, ink);
            }
        }
    }
}

void canvas_text(canvas *c, double x, double y, uint32_t size, const char *text, colour ink) {
    int64_t at = llrint(x);
    for (; *text; text++, at += ADVANCE * size) {
        for (size_t i = 0; i < sizeof glyphs / sizeof *glyphs; i++) {
            if (glyphs[i].letter == *text) {
                draw_letter(c, at, llrint(y), size, &glyphs[i], ink);
            }
        }
    }
}

uint32_t canvas_text_width(const char *text, uint32_t size) {
    return (uint32_t)strlen(text) * ADVANCE * size;
}
