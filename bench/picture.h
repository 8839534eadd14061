/* vkattn-bench: pictures made of rectangles, cells and text, as SVG or PNG.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_BENCH_PICTURE_H
#define VKATTN_BENCH_PICTURE_H

#include <stdbool.h>
#include <stdint.h>

/* Lengths are pixels of an SVG, from the top left corner; a PNG has two for each. Colours are 0xrrggbb. */
#define BENCH_TEXT_WIDTH 6.6 /* of a character, at most */

typedef struct bench_picture bench_picture;

/* What a format can do: each as the function of the same name below. */
typedef struct bench_painter {
    void (*rect)(bench_picture *p, double x, double y, double w, double h, uint32_t rgb);
    void (*cells)(bench_picture *p, double x, double y, double cell_w, double cell_h, const uint32_t *rgb,
                  uint32_t columns, uint32_t rows);
    void (*lines)(bench_picture *p, double x, double y, double w, double h, double step_x, double step_y, uint32_t rgb);
    void (*text)(bench_picture *p, double x, double y, const char *text);
    bool (*end)(bench_picture *p); /* frees it */
} bench_painter;

struct bench_picture {
    const bench_painter *painter;
};

/* Begins a white picture. NULL: can't be written. */
bench_picture *bench_svg_begin(const char *path, double width, double height);
/* Only where libpng is. */
bench_picture *bench_png_begin(const char *path, double width, double height);

/* By the end of its name; NULL: the reason went to stderr. */
bench_picture *bench_picture_begin(const char *path, double width, double height);

static inline void bench_picture_rect(bench_picture *p, double x, double y, double w, double h, uint32_t rgb) {
    p->painter->rect(p, x, y, w, h, rgb);
}

/* A raster, rows from the top. White cells are left out. */
static inline void bench_picture_cells(bench_picture *p, double x, double y, double cell_w, double cell_h,
                                       const uint32_t *rgb, uint32_t columns, uint32_t rows) {
    p->painter->cells(p, x, y, cell_w, cell_h, rgb, columns, rows);
}

/* Thin lines around and through a box, the first at its left and top. */
static inline void bench_picture_lines(bench_picture *p, double x, double y, double w, double h, double step_x,
                                       double step_y, uint32_t rgb) {
    p->painter->lines(p, x, y, w, h, step_x, step_y, rgb);
}

/* ASCII, begins at x, stands on y. */
static inline void bench_picture_text(bench_picture *p, double x, double y, const char *text) {
    p->painter->text(p, x, y, text);
}

/* Writes and frees it. false: it can't be written. */
static inline bool bench_picture_end(bench_picture *p) {
    return p->painter->end(p);
}

#endif
