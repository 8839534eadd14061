/* Pictures as SVG, and the choice of a format.
 * SPDX-License-Identifier: MIT
 *
 * Cells become one path for each colour, of horizontal strokes one cell thick that are moved relatively: six bytes or
 * so a run of cells. */
#include "picture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHITE 0xffffffu

typedef struct svg {
    bench_picture base;
    FILE *file;
} svg;

static FILE *file_of(bench_picture *p) {
    return ((svg *)p)->file;
}

static void svg_rect(bench_picture *p, double x, double y, double w, double h, uint32_t rgb) {
    fprintf(file_of(p), "<path fill=\"#%06x\" d=\"M%g %gh%gv%gh%gz\"/>\n", rgb, x, y, w, h, -w);
}

/* Runs of cells that are `layer` or above. */
static void stroke(FILE *f, const uint8_t *layers, uint32_t columns, uint32_t rows, uint8_t layer, uint32_t rgb) {
    long at_x = 0, at_y = 0; /* of the pen */
    fprintf(f, "<path stroke=\"#%06x\" d=\"M0 .5", rgb);
    for (uint32_t y = 0; y < rows; y++) {
        const uint8_t *row = layers + (size_t)y * columns;
        for (uint32_t x = 0; x < columns; x++) {
            uint32_t begin = x;
            while (x < columns && row[x] >= layer) {
                x++;
            }
            if (x > begin) {
                long dx = (long)begin - at_x, dy = (long)y - at_y;
                fprintf(f, dy < 0 ? "m%ld%ldh%ld" : "m%ld %ldh%ld", dx, dy, (long)(x - begin));
                at_x = x;
                at_y = y;
            }
        }
    }
    fputs("\"/>\n", f);
}

#define MOST_COLOURS 255

static int by_light(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b, sum_x = 0, sum_y = 0;
    for (int shift = 0; shift < 24; shift += 8) {
        sum_x += x >> shift & 255;
        sum_y += y >> shift & 255;
    }
    return sum_x != sum_y ? (sum_x < sum_y) - (sum_x > sum_y) : (x > y) - (x < y);
}

/* The colours but white, the lightest first; those beyond the most are left out. */
static uint32_t list_colours(const uint32_t *rgb, size_t count, uint32_t colours[MOST_COLOURS]) {
    uint32_t n = 0;
    for (size_t i = 0; i < count && n < MOST_COLOURS; i++) {
        bool known = rgb[i] == WHITE || (i > 0 && rgb[i] == rgb[i - 1]);
        for (uint32_t c = 0; c < n && !known; c++) {
            known = colours[c] == rgb[i];
        }
        if (!known) {
            colours[n++] = rgb[i];
        }
    }
    qsort(colours, n, sizeof *colours, by_light);
    return n;
}

static void svg_cells(bench_picture *p, double x, double y, double cell_w, double cell_h, const uint32_t *rgb,
                      uint32_t columns, uint32_t rows) {
    FILE *f = file_of(p);
    size_t count = (size_t)columns * rows;
    uint32_t colours[MOST_COLOURS], n = list_colours(rgb, count, colours);
    uint8_t *layers = calloc(count, sizeof *layers); /* 1 + the number of a cell's colour */
    fprintf(f, "<g transform=\"translate(%g %g) scale(%g %g)\">\n", x, y, cell_w, cell_h);
    for (uint32_t c = 0; c < n && layers; c++) {
        for (size_t i = 0; i < count; i++) {
            layers[i] = rgb[i] == colours[c] ? (uint8_t)(c + 1) : layers[i];
        }
    }
    for (uint32_t c = 0; c < n && layers; c++) {
        stroke(f, layers, columns, rows, (uint8_t)(c + 1), colours[c]);
    }
    fputs("</g>\n", f);
    free(layers);
}

static void svg_lines(bench_picture *p, double x, double y, double w, double h, double step_x, double step_y,
                      uint32_t rgb) {
    FILE *f = file_of(p);
    fprintf(f, "<path fill=\"none\" shape-rendering=\"auto\" stroke=\"#%06x\" stroke-width=\".5\" d=\"", rgb);
    for (double at = 0; at < w; at += step_x) {
        fprintf(f, "M%g %gv%g", x + at, y, h);
    }
    for (double at = 0; at < h; at += step_y) {
        fprintf(f, "M%g %gh%g", x, y + at, w);
    }
    fprintf(f, "M%g %gv%gh%g\"/>\n", x + w, y, h, -w);
}

static void svg_text(bench_picture *p, double x, double y, const char *text) {
    FILE *f = file_of(p);
    fprintf(f, "<text x=\"%g\" y=\"%g\">", x, y);
    for (; *text; text++) {
        const char *safe = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : NULL;
        safe ? fputs(safe, f) : fputc(*text, f);
    }
    fputs("</text>\n", f);
}

static bool svg_end(bench_picture *p) {
    FILE *f = file_of(p);
    fputs("</svg>\n", f);
    bool ok = !ferror(f);
    ok = fclose(f) == 0 && ok;
    free(p);
    return ok;
}

bench_picture *bench_svg_begin(const char *path, double width, double height) {
    static const bench_painter painter = {svg_rect, svg_cells, svg_lines, svg_text, svg_end};
    svg *s = calloc(1, sizeof *s);
    if (!s || !(s->file = fopen(path, "w"))) {
        free(s);
        return NULL;
    }
    s->base.painter = &painter;
    fprintf(s->file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" width=\"%g\" height=\"%g\" "
            "shape-rendering=\"crispEdges\" font-family=\"monospace\" font-size=\"11\" fill=\"#222\">\n",
            width, height, width, height);
    svg_rect(&s->base, 0, 0, width, height, WHITE);
    return &s->base;
}

static bool ends_in(const char *path, const char *end) {
    size_t n = strlen(path), m = strlen(end);
    return n > m && strcmp(path + n - m, end) == 0;
}

bench_picture *bench_picture_begin(const char *path, double width, double height) {
    bench_picture *p = NULL;
    if (ends_in(path, ".svg")) {
        p = bench_svg_begin(path, width, height);
    } else if (ends_in(path, ".png")) {
#ifdef VKATTN_BENCH_PNG
        p = bench_png_begin(path, width, height);
#else
        fprintf(stderr, "vkattn-bench: %s: built without libpng; .svg works\n", path);
        return NULL;
#endif
    } else {
        fprintf(stderr, "vkattn-bench: %s: a picture is .png or .svg\n", path);
        return NULL;
    }
    if (!p) {
        fprintf(stderr, "vkattn-bench: %s can't be written\n", path);
    }
    return p;
}
