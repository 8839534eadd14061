/* test_sheet FOLDER: sheets of all heads, pixel by pixel: each weight's cell or patch has its colour, rollout is what
 * its definition says, and labels are there. SPDX-License-Identifier: MIT */
#include "cases.h"
#include "common/png_file.h"
#include "common/program.h"
#include "lens/sheet.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const char program_name[] = "test_sheet";

typedef struct image {
    uint32_t width, height;
    uint8_t *rgb;
} image;

static const int blue[] = {0, 72, 140}, heat[] = {240, 74, 0}, white[] = {255, 255, 255}, black[] = {32, 32, 32};

static double mix(double from, double to, double share) {
    return from + (to - from) * share;
}

static void expect(const image *i, uint32_t x, uint32_t y, const double want[3], const char *what) {
    for (int c = 0; c < 3; c++) {
        double have = i->rgb[((size_t)y * i->width + x) * 3 + (size_t)c];
        if (!(fabs(have - want[c]) <= 2)) {
            fail("%s: channel %d of pixel %u, %u is %g and not %g", what, c, x, y, have, want[c]);
        }
    }
}

/* The definition of rollout: the product of half of each layer's mean and half of the identity, the last layer's first.
 */
static double rolled(const lens *l, uint32_t layer, uint32_t i, uint32_t j) {
    if (layer == 0) {
        double sum = 0;
        for (uint32_t h = 0; h < HEADS; h++) {
            sum += (double)l->probabilities[((size_t)h * l->n + i) * l->m + j] / HEADS;
        }
        return sum / 2 + (i == j ? 0.5 : 0);
    }
    double all = 0;
    for (uint32_t k = 0; k < l->n; k++) {
        double sum = 0;
        for (uint32_t h = 0; h < HEADS; h++) {
            sum += (double)l->probabilities[((size_t)(layer * HEADS + h) * l->n + i) * l->m + k] / HEADS;
        }
        all += (sum / 2 + (i == k ? 0.5 : 0)) * rolled(l, layer - 1, k, j);
    }
    return all;
}

static double weight(const lens *l, const lens_panel *p, uint32_t i, uint32_t j) {
    if (p->layer == LENS_ROLLOUT) {
        return rolled(l, LAYERS - 1, i, j);
    }
    return (double)l->probabilities[((size_t)((uint32_t)p->layer * HEADS + p->head) * l->n + i) * l->m + j];
}

static void check_matrix(const image *im, const lens *l, const lens_sheet *s, const lens_panel *p) {
    for (uint32_t y = 0; y < l->n * s->cell; y++) {
        for (uint32_t x = 0; x < l->m * s->cell; x++) {
            double share = sqrt(weight(l, p, y / s->cell, x / s->cell)), want[3];
            for (int c = 0; c < 3; c++) {
                want[c] = mix(white[c], blue[c], share);
            }
            expect(im, p->x + x, p->y + y, want, "matrix");
        }
    }
}

/* The first token is "a": in front of the first row, and upwards below the first column. */
static void check_labels(const image *im, const lens_sheet *s, const lens_panel *p) {
    static const int a[7] = {0, 0, 14, 1, 15, 17, 15};
    uint32_t left = p->x - 6 - 6 * s->letter, top = p->y + s->cell / 2 - 7 * s->letter / 2;
    uint32_t low = p->y + s->down + 6 + 6 * s->letter - 1, side = p->x + s->cell / 2 - 7 * s->letter / 2;
    for (uint32_t i = 0; i < 7 * s->letter; i++) {
        for (uint32_t j = 0; j < 5 * s->letter; j++) {
            const int *ink = a[i / s->letter] >> (4 - j / s->letter) & 1 ? black : white;
            const double want[3] = {ink[0], ink[1], ink[2]};
            if (p->first) {
                expect(im, left + j, top + i, want, "label of a row");
            }
            expect(im, side + i, low - j, want, "label of a column");
        }
    }
}

/* Two pixels of the sheet in each direction are one of the picture. */
static void check_picture(const image *im, const lens *l, const lens_panel *p) {
    const lens_picture *k = &l->key_picture;
    double most = 0;
    for (uint32_t j = 0; j < PATCHES; j++) {
        most = fmax(most, weight(l, p, p->query, k->first + j));
    }
    for (uint32_t y = 0; y < 2 * k->height; y++) {
        for (uint32_t x = 0; x < 2 * k->width; x++) {
            const uint8_t *from = k->pixels + ((size_t)(y / 2) * k->width + x / 2) * 3;
            uint32_t patch = y / (2 * SIDE) * COLUMNS + x / (2 * SIDE);
            double grey = 0.2126 * from[0] + 0.7152 * from[1] + 0.0722 * from[2], want[3];
            for (int c = 0; c < 3; c++) {
                double share = 0.75 * weight(l, p, p->query, k->first + patch) / most;
                want[c] = mix(grey + (from[c] - grey) / 4, heat[c], share);
            }
            expect(im, p->x + x, p->y + y, want, "picture");
        }
    }
}

static void check_sheet(const char *folder, const char *kind, int layer, uint32_t panels) {
    char path[4096];
    lens l = case_of(kind);
    lens_sheet s;
    image im;
    snprintf(path, sizeof path, "%s/%s%d.png", folder, kind, layer);
    if (!lens_write_png(&l, layer, path) || !lens_sheet_plan(&l, layer, &s) || s.count != panels ||
        !png_file_load(path, &im.width, &im.height, &im.rgb) || im.width != s.width || im.height != s.height) {
        fail("%s: not a sheet of %u panels", path, panels);
    }
    for (uint32_t i = 0; i < s.count; i++) {
        if (s.pictures) {
            check_picture(&im, &l, &s.panels[i]);
        } else {
            check_matrix(&im, &l, &s, &s.panels[i]);
            check_labels(&im, &s, &s.panels[i]);
        }
    }
    printf("ok: %s: %u panels on %u x %u pixels\n", path, s.count, s.width, s.height);
    free(im.rgb);
    lens_sheet_free(&s);
}

static void check_refusals(const char *folder) {
    char path[4096];
    snprintf(path, sizeof path, "%s/refused.png", folder);
    lens l = case_of("patches"), large = case_of("caption");
    l.key_picture.first = 2;
    large.n = large.m = 1 << 14, large.queries = large.keys = NULL, large.key_picture.pixels = NULL;
    if (lens_write_png(&l, 0, path) || errno != EINVAL || lens_write_png(&l, LAYERS, path) || errno != EINVAL ||
        lens_write_png(&large, 0, path) || errno != EFBIG) {
        fail("what is no sheet is not refused");
    }
    l = case_of("texts");
    if (lens_write_png(&l, 0, "/nowhere/sheet.png") || errno != ENOENT) {
        fail("/nowhere can be written");
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fail("usage: test_sheet FOLDER");
    }
    check_sheet(argv[1], "texts", LENS_ALL_LAYERS, LAYERS * HEADS + 1);
    check_sheet(argv[1], "texts", 1, HEADS + 1);
    check_sheet(argv[1], "patches", LENS_ALL_LAYERS, LAYERS * HEADS + 1);
    check_sheet(argv[1], "caption", LENS_ALL_LAYERS, LAYERS * HEADS * 3);
    check_sheet(argv[1], "caption", 0, HEADS * 3);
    check_refusals(argv[1]);
    return 0;
}
