/* SPDX-License-Identifier: MIT */
#include "sheet.h"

#include "heat.h"
#include "train-vision/digits.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    SCALE = 9,
    TILE = SCALE * DIGIT_SIDE,
    GAP = 14,
    STEP = TILE + GAP,
    LEFT = 96,
    TOP = 52,
    ROW = TILE + 22,
    BOTTOM = 30,
    GROUP = 12 /* more between groups of columns */
};

static const colour black = {0, 0, 0}, grey = {150, 150, 150}, red = {200, 0, 0};

/* Columns: the picture; heads; attention rolled out; and of both answers two. */
static uint32_t column_x(const sheet *s, uint32_t column) {
    uint32_t groups = (column > 0) + (column > s->heads) + (column > s->heads + 1) + (column > s->heads + 3);
    return LEFT + column * STEP + groups * GROUP;
}

static void title(sheet *s, uint32_t column, double y, const char *text) {
    canvas_text(&s->canvas, column_x(s, column), y, 1, text, black);
}

sheet sheet_create(uint32_t rows, uint32_t heads) {
    sheet s = {.heads = heads};
    s.canvas = canvas_create(column_x(&s, heads + 6) + GROUP, TOP + rows * ROW + BOTTOM);
    title(&s, 0, 36, "picture");
    title(&s, 1, 20, "what heads of the last layer look at");
    for (uint32_t h = 0; h < heads; h++) {
        char text[16];
        snprintf(text, sizeof text, "head %" PRIu32, h + 1);
        title(&s, 1 + h, 36, text);
    }
    title(&s, heads + 1, 20, "all layers");
    title(&s, heads + 1, 36, "rolled out");
    for (uint32_t k = 0; k < 2; k++) {
        title(&s, heads + 2 + 2 * k, 20, k ? "the other answer depends on" : "the answer depends on");
        title(&s, heads + 2 + 2 * k, 36, "Grad-CAM");
        title(&s, heads + 3 + 2 * k, 36, "attention");
    }
    heat_legend(&s.canvas, LEFT, TOP + rows * ROW + 8);
    return s;
}

void sheet_free(sheet *s) {
    canvas_free(&s->canvas);
}

static void tile(sheet *s, uint32_t column, uint32_t row, const sheet_row *r, const double *numbers) {
    const heat_picture p = {.pixels = r->pixels, .side = DIGIT_SIDE, .patch = PATCH_SIDE, .scale = SCALE};
    heat_draw(&s->canvas, column_x(s, column), TOP + row * ROW, &p, numbers, grey);
}

static void labels(sheet *s, uint32_t row, const sheet_row *r) {
    char text[32];
    const double y = TOP + row * ROW;
    snprintf(text, sizeof text, "is %" PRId32, r->is);
    canvas_text(&s->canvas, 8, y + 6, 2, text, black);
    snprintf(text, sizeof text, "read: %" PRId32 "%4.0f %%", r->read[0], 100 * r->share[0]);
    canvas_text(&s->canvas, 8, y + 34, 1, text, r->read[0] == r->is ? black : red);
    snprintf(text, sizeof text, "or:   %" PRId32 "%4.0f %%", r->read[1], 100 * r->share[1]);
    canvas_text(&s->canvas, 8, y + 48, 1, text, black);
}

void sheet_add(sheet *s, uint32_t row, int which, const sheet_row *r, const attribution_maps *m) {
    double numbers[PATCHES];
    char text[16];
    if (which == 0) {
        labels(s, row, r);
        tile(s, 0, row, r, NULL);
        for (uint32_t h = 0; h < m->heads; h++) {
            relevance_of_head(m, m->layers - 1, h, numbers);
            tile(s, 1 + h, row, r, numbers);
        }
        relevance_rollout(m, numbers);
        tile(s, 1 + m->heads, row, r, numbers);
    }
    const uint32_t column = m->heads + 2 + 2 * (uint32_t)which;
    relevance_grad_cam(m, numbers);
    tile(s, column, row, r, numbers);
    relevance_by_gradients(m, numbers);
    tile(s, column + 1, row, r, numbers);
    snprintf(text, sizeof text, "why %" PRId32, r->read[which]);
    canvas_text(&s->canvas, column_x(s, column), TOP + row * ROW + TILE + 5, 1, text, black);
}
