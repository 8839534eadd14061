/* SPDX-License-Identifier: MIT */
#include "curve.h"

#include "common/canvas.h"
#include "common/program.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 960, HEIGHT = 560, LEFT = 84, RIGHT = 28, TOP = 28, BOTTOM = 64, LETTER = 2 };

static const colour black = {32, 32, 32}, grey = {222, 222, 222}, blue = {120, 170, 220}, red = {200, 40, 40},
                    green = {40, 130, 60};

/* What the picture shows, in steps and losses. */
typedef struct range {
    double steps, least, most;
} range;

void curve_add(curve *c, uint32_t step, float loss) {
    if (c->count == c->capacity) {
        curve_point *points = allocate(c->capacity = 2 * c->capacity + 64, sizeof *points);
        if (c->count) {
            memcpy(points, c->points, c->count * sizeof *points);
        }
        free(c->points);
        c->points = points;
    }
    c->points[c->count++] = (curve_point){(float)step, loss};
}

void curve_free(curve *c) {
    free(c->points);
    *c = (curve){0};
}

static void include(range *r, double step, double loss) {
    if (isfinite(loss)) {
        r->steps = fmax(r->steps, step);
        r->least = fmin(r->least, loss);
        r->most = fmax(r->most, loss);
    }
}

static range range_of(const curve *training, const curve *validation, float level) {
    const curve *const both[] = {training, validation};
    range r = {1, HUGE_VAL, -HUGE_VAL};
    for (int k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < both[k]->count; i++) {
            include(&r, (double)both[k]->points[i].step, (double)both[k]->points[i].loss);
        }
    }
    if (level != 0) {
        include(&r, 0, (double)level);
    }
    if (!(r.least < r.most)) {
        r = (range){r.steps, isfinite(r.least) ? r.least - 1 : 0, isfinite(r.most) ? r.most + 1 : 1};
    }
    double margin = (r.most - r.least) / 20;
    return (range){r.steps, r.least - margin, r.most + margin};
}

static double column(const range *r, double step) {
    return LEFT + step / r->steps * (WIDTH - LEFT - RIGHT);
}

static double row(const range *r, double loss) {
    return HEIGHT - BOTTOM - (loss - r->least) / (r->most - r->least) * (HEIGHT - TOP - BOTTOM);
}

/* 1, 2 or 5 times a power of ten, so that there are about `count` of them. */
static double distance_of_ticks(double span, double count) {
    double power = pow(10, floor(log10(span / count))), times = span / count / power;
    return power * (times < 1.5 ? 1 : times < 3.5 ? 2 : times < 7.5 ? 5 : 10);
}

static void draw_axes(canvas *c, const range *r) {
    char text[32];
    double apart = distance_of_ticks(r->most - r->least, 6);
    int digits = apart < 0.01 ? 3 : apart < 0.1 ? 2 : apart < 1 ? 1 : 0;
    for (double at = ceil(r->least / apart) * apart; at <= r->most; at += apart) {
        canvas_line(c, LEFT, row(r, at), WIDTH - RIGHT, row(r, at), 1, grey);
        snprintf(text, sizeof text, "%.*f", digits, fabs(at) < apart / 2 ? 0 : at); /* not -0.0 */
        canvas_text(c, LEFT - 10 - canvas_text_width(text, LETTER), row(r, at) - 3.5 * LETTER, LETTER, text, black);
    }
    apart = fmax(1, distance_of_ticks(r->steps, 8));
    for (double at = 0; at <= r->steps; at += apart) {
        canvas_line(c, column(r, at), TOP, column(r, at), HEIGHT - BOTTOM, 1, grey);
        snprintf(text, sizeof text, "%.0f", at);
        canvas_text(c, column(r, at) - canvas_text_width(text, LETTER) / 2.0, HEIGHT - BOTTOM + 10, LETTER, text,
                    black);
    }
    canvas_line(c, LEFT, TOP, LEFT, HEIGHT - BOTTOM, 1.5, black);
    canvas_line(c, LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, 1.5, black);
    canvas_text(c, WIDTH - RIGHT - canvas_text_width("step", LETTER), HEIGHT - 28, LETTER, "step", black);
    canvas_text(c, 12, TOP - 20, LETTER, "loss", black);
}

static void draw_curve(canvas *c, const range *r, const curve *v, double width, colour ink) {
    for (uint32_t i = 1; i < v->count; i++) {
        const curve_point *a = &v->points[i - 1], *b = &v->points[i];
        if (isfinite(a->loss) && isfinite(b->loss)) {
            canvas_line(c, column(r, (double)a->step), row(r, (double)a->loss), column(r, (double)b->step),
                        row(r, (double)b->loss), width, ink);
        }
    }
}

static void draw_names(canvas *c, const char *const names[3], const colour colours[3], const double widths[3]) {
    for (int i = 0, at = 0; i < 3; i++) {
        double x = WIDTH - RIGHT - 250, y = TOP + 20 + 24 * at;
        if (names[i]) {
            canvas_line(c, x, y, x + 30, y, widths[i], colours[i]);
            canvas_text(c, x + 42, y - 3.5 * LETTER, LETTER, names[i], black);
            at++;
        }
    }
}

bool curve_draw(const char *path, const curve *training, const curve *validation, float level, const char *label) {
    const range r = range_of(training, validation, level);
    const char *const names[] = {training->count ? "training" : NULL, validation->count ? "validation" : NULL,
                                 level != 0 ? label : NULL};
    canvas c = canvas_create(WIDTH, HEIGHT);
    draw_axes(&c, &r);
    if (level != 0) {
        canvas_line(&c, LEFT, row(&r, (double)level), WIDTH - RIGHT, row(&r, (double)level), 1.5, green);
    }
    draw_curve(&c, &r, training, 1, blue);
    draw_curve(&c, &r, validation, 2.5, red);
    draw_names(&c, names, (colour[]){blue, red, green}, (double[]){1, 2.5, 1.5});
    bool ok = canvas_save(&c, path);
    canvas_free(&c);
    return ok;
}
