/* A sheet of all heads.
 * SPDX-License-Identifier: MIT */
#include "sheet.h"

#include "common/canvas.h"
#include "common/png_file.h"
#include "weights.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MARGIN = 24, BAR = 180, BAR_HEIGHT = 12 };

static const colour black = {32, 32, 32}, soft = {105, 112, 120}, line = {190, 196, 202}, blue = {0, 72, 140},
                    heat = {240, 74, 0};

/* What is drawn: the plan, and weights of the panel that is at hand. */
typedef struct drawing {
    const lens *l;
    const lens_sheet *s;
    float *rollout;
    canvas c;
} drawing;

static const float *weights_of(const drawing *d, const lens_panel *p) {
    size_t size = (size_t)d->l->n * d->l->m;
    return p->layer == LENS_ROLLOUT ? d->rollout
                                    : d->l->probabilities + ((size_t)p->layer * d->l->heads + p->head) * size;
}

/* ---- matrices ---------------------------------------------------------------------------------------------------- */

static double shade(float weight) {
    return sqrt(fmin(1, fmax(0, (double)weight)));
}

static void draw_matrix(drawing *d, const lens_panel *p, const float *w) {
    const lens *l = d->l;
    uint32_t cell = d->s->cell;
    for (uint32_t i = 0; i < l->n; i++) {
        for (uint32_t j = 0; j < l->m; j++) {
            canvas_fill(&d->c, p->x + j * cell, p->y + i * cell, cell, cell, shade(w[(size_t)i * l->m + j]), blue);
        }
    }
}

static void label_matrix(drawing *d, const lens_panel *p) {
    const lens *l = d->l;
    const lens_sheet *s = d->s;
    char label[4 * LENS_LABEL + 3];
    double middle = s->cell / 2.0 - 3.5 * s->letter;
    for (uint32_t i = 0; p->first && l->queries && i < l->n; i++) {
        lens_label(l->queries[i], label);
        canvas_text(&d->c, p->x - 6 - canvas_text_width(label, s->letter), p->y + i * s->cell + middle, s->letter,
                    label, black);
    }
    for (uint32_t j = 0; l->keys && j < l->m; j++) {
        lens_label(l->keys[j], label);
        canvas_text_up(&d->c, p->x + j * s->cell + middle, p->y + s->down + 6 + canvas_text_width(label, s->letter),
                       s->letter, label, black);
    }
}

/* Shades of weights from 0 to 1. */
static void draw_legend(drawing *d) {
    uint32_t x = MARGIN, y = d->c.height - 44;
    for (uint32_t i = 0; i < BAR; i++) {
        canvas_fill(&d->c, x + i, y, 1, BAR_HEIGHT, (double)i / (BAR - 1), blue);
    }
    static const struct {
        double at;
        const char *text;
    } marks[] = {{0, "0"}, {0.5, "0.25"}, {1, "1"}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        double width = canvas_text_width(marks[i].text, 1);
        canvas_text(&d->c, x + marks[i].at * BAR - width * marks[i].at, y + BAR_HEIGHT + 5, 1, marks[i].text, black);
    }
    canvas_text(&d->c, x + BAR + 16, y + 2, 1, "weight; rows look at columns", soft);
}

/* ---- pictures ---------------------------------------------------------------------------------------------------- */

/* The mean of the picture's pixels that one of the sheet covers, in front of white. */
static colour pixel_at(const lens_picture *p, const lens_sheet *s, uint32_t x, uint32_t y) {
    uint64_t x0 = (uint64_t)x * p->width / s->across, x1 = (uint64_t)(x + 1) * p->width / s->across;
    uint64_t y0 = (uint64_t)y * p->height / s->down, y1 = (uint64_t)(y + 1) * p->height / s->down;
    x1 = x1 > x0 ? x1 : x0 + 1, y1 = y1 > y0 ? y1 : y0 + 1;
    double sum[3] = {0};
    for (uint64_t i = y0; i < y1; i++) {
        for (uint64_t j = x0; j < x1; j++) {
            const uint8_t *from = p->pixels + (i * p->width + j) * p->channels;
            double opacity = p->channels == 4 ? from[3] / 255.0 : 1;
            for (int k = 0; k < 3; k++) {
                sum[k] += 255 + (from[k] - 255) * opacity;
            }
        }
    }
    double count = (double)((x1 - x0) * (y1 - y0));
    return (colour){(uint8_t)lrint(sum[0] / count), (uint8_t)lrint(sum[1] / count), (uint8_t)lrint(sum[2] / count)};
}

/* Less of its colours, so that heat stands out. */
static colour pale(colour c) {
    double grey = 0.2126 * c.red + 0.7152 * c.green + 0.0722 * c.blue;
    return (colour){(uint8_t)lrint(grey + (c.red - grey) / 4), (uint8_t)lrint(grey + (c.green - grey) / 4),
                    (uint8_t)lrint(grey + (c.blue - grey) / 4)};
}

/* Returns the largest weight of a patch: full colour. */
static float draw_picture(drawing *d, const lens_panel *p, const float *w) {
    const lens_picture *k = &d->l->key_picture;
    const float *row = w + (size_t)p->query * d->l->m + k->first;
    float most = 0;
    for (uint32_t i = 0; i < k->rows * k->columns; i++) {
        most = row[i] > most ? row[i] : most;
    }
    for (uint32_t y = 0; y < d->s->down; y++) {
        for (uint32_t x = 0; x < d->s->across; x++) {
            uint32_t patch = (uint32_t)((uint64_t)y * k->rows / d->s->down) * k->columns +
                             (uint32_t)((uint64_t)x * k->columns / d->s->across);
            canvas_fill(&d->c, p->x + x, p->y + y, 1, 1, 1, pale(pixel_at(k, d->s, x, y)));
            canvas_fill(&d->c, p->x + x, p->y + y, 1, 1, most > 0 ? 0.75 * fmax(0, (double)(row[patch] / most)) : 0,
                        heat);
        }
    }
    return most;
}

static void label_picture(drawing *d, const lens_panel *p, float most) {
    char text[64];
    if (p->first && d->l->queries) {
        lens_label(d->l->queries[p->query], text);
        canvas_text(&d->c, p->x - 6 - canvas_text_width(text, d->s->letter), p->y + d->s->down / 2 - 7, d->s->letter,
                    text, black);
    }
    snprintf(text, sizeof text, "full colour is %.*f", most < 0.1f ? 4 : 2, (double)most);
    canvas_text(&d->c, p->x, p->y + d->s->down + 6, 1, text, soft);
}

/* ---- the sheet --------------------------------------------------------------------------------------------------- */

static void draw_frame(drawing *d, const lens_panel *p) {
    double x0 = p->x - 0.5, y0 = p->y - 0.5, x1 = p->x + d->s->across + 0.5, y1 = p->y + d->s->down + 0.5;
    canvas_line(&d->c, x0, y0, x1, y0, 1, line);
    canvas_line(&d->c, x0, y1, x1, y1, 1, line);
    canvas_line(&d->c, x0, y0, x0, y1, 1, line);
    canvas_line(&d->c, x1, y0, x1, y1, 1, line);
}

static void draw_panel(drawing *d, const lens_panel *p) {
    char heading[48] = "rolled out";
    if (p->layer != LENS_ROLLOUT) {
        snprintf(heading, sizeof heading, "layer %d head %u", p->layer + 1, p->head + 1);
    }
    uint32_t size = canvas_text_width(heading, 2) <= d->s->across ? 2 : 1;
    canvas_text(&d->c, p->x, p->y - 4 - 7 * size, size, heading, black);
    if (d->s->pictures) {
        label_picture(d, p, draw_picture(d, p, weights_of(d, p)));
    } else {
        draw_matrix(d, p, weights_of(d, p));
        if (d->s->letter) {
            label_matrix(d, p);
        }
    }
    draw_frame(d, p);
}

/* As much of it as there is room for. */
static void draw_title(drawing *d) {
    uint32_t size = canvas_text_width(d->l->title, 3) <= d->c.width - 2 * MARGIN ? 3 : 2;
    canvas_text(&d->c, MARGIN, MARGIN, size, d->l->title, black);
    canvas_fill(&d->c, d->c.width - MARGIN, MARGIN, MARGIN, 7 * size, 1, (colour){255, 255, 255});
}

static bool draw(drawing *d, const char *path) {
    draw_title(d);
    for (uint32_t i = 0; i < d->s->count; i++) {
        draw_panel(d, &d->s->panels[i]);
    }
    if (!d->s->pictures) {
        draw_legend(d);
    }
    errno = EIO; /* where libpng has no reason of its own */
    bool ok = canvas_save(&d->c, path);
    canvas_free(&d->c);
    return ok;
}

bool lens_write_png(const lens *l, int layer, const char *path) {
    if (!lens_pictures_fit(l) || layer < LENS_ALL_LAYERS || layer >= (int)l->layers) {
        errno = EINVAL;
        return false;
    }
    lens_sheet s;
    if (!lens_sheet_plan(l, layer, &s)) {
        return false;
    }
    drawing d = {.l = l, .s = &s};
    bool ok = true;
    if (l->n == l->m) {
        d.rollout = malloc((size_t)l->n * l->n * sizeof *d.rollout);
        ok = d.rollout && lens_rollout(l, d.rollout);
    }
    if (ok) {
        d.c = canvas_create(s.width, s.height);
        ok = draw(&d, path);
    }
    free(d.rollout);
    lens_sheet_free(&s);
    return ok;
}
