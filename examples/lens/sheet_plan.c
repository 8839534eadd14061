/* SPDX-License-Identifier: MIT */
#include "common/canvas.h"
#include "common/letters.h"
#include "sheet.h"
#include "weights.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MARGIN = 24, GAP = 18, TITLE = 44, HEADING = 22, LEGEND = 56, WIDE = 1800, LEAST = 360, PICTURE = 160 };
#define MOST_PIXELS (64u << 20)

void lens_label(const char *text, char label[4 * LENS_LABEL + 3]) {
    const char *end = text ? text : "";
    text = end;
    for (int i = 0; i < LENS_LABEL && *end; i++) {
        letter_next(&end);
    }
    size_t bytes = (size_t)(end - text);
    bytes = bytes < 4 * LENS_LABEL ? bytes : 4 * LENS_LABEL;
    memcpy(label, text, bytes);
    strcpy(label + bytes, *end ? ".." : "");
}

static uint32_t longest(const char *const *texts, uint32_t count, uint32_t letter) {
    uint32_t most = 0;
    for (uint32_t i = 0; texts && i < count; i++) {
        char label[4 * LENS_LABEL + 3];
        lens_label(texts[i], label);
        uint32_t width = canvas_text_width(label, letter);
        most = width > most ? width : most;
    }
    return most;
}

/* Panels of matrices: the larger the fewer tokens there are. */
static void size_matrices(const lens *l, uint32_t cell, lens_sheet *s) {
    s->cell = cell;
    s->letter = cell >= 16 ? 2 : cell >= 9 ? 1 : 0;
    s->across = l->m * cell, s->down = l->n * cell;
    s->left = s->letter ? longest(l->queries, l->n, s->letter) + 6 : 0;
    s->below = s->letter ? longest(l->keys, l->m, s->letter) + 6 : 0;
}

static void size_pictures(const lens *l, lens_sheet *s) {
    const lens_picture *p = &l->key_picture;
    s->letter = 2;
    s->across = PICTURE;
    s->down = (uint32_t)((uint64_t)PICTURE * p->height / p->width);
    s->down = s->down < 1 ? 1 : s->down > 4 * PICTURE ? 4 * PICTURE : s->down;
    s->left = longest(l->queries, l->n, s->letter) + 6;
    s->below = HEADING;
}

/* Places the panels of a layer's heads for one query, or for all of a matrix, in as many lines as they need. Returns
 * where what follows begins. */
static uint32_t place(lens_sheet *s, int layer, uint32_t heads, uint32_t query, uint32_t y) {
    uint32_t room = WIDE - 2 * MARGIN - s->left, columns = (room + GAP) / (s->across + GAP);
    columns = columns < 1 ? 1 : columns;
    for (uint32_t h = 0; h < heads; h++) {
        uint32_t column = h % columns, x = MARGIN + s->left + column * (s->across + GAP);
        y += h == 0 || column ? 0 : s->down + s->below + GAP + HEADING;
        if (s->panels) {
            s->panels[s->count] = (lens_panel){layer, h, query, x, y + HEADING, column == 0};
        }
        s->count++;
        s->width = x + s->across + MARGIN > s->width ? x + s->across + MARGIN : s->width;
    }
    return y + HEADING + s->down + s->below + GAP;
}

static void place_all(const lens *l, int layer, lens_sheet *s) {
    uint32_t y = MARGIN + TITLE;
    int last = layer == LENS_ALL_LAYERS ? (int)l->layers - 1 : layer;
    s->count = s->width = 0;
    for (int i = layer == LENS_ALL_LAYERS ? 0 : layer; i <= last; i++) {
        for (uint32_t q = 0; q < (s->pictures ? l->n : 1); q++) {
            y = s->pictures && lens_is_patch(&l->query_picture, q) ? y : place(s, i, l->heads, q, y);
        }
    }
    for (uint32_t q = 0; l->layers > 1 && l->n == l->m && q < (s->pictures ? l->n : 1); q++) {
        y = s->pictures && lens_is_patch(&l->query_picture, q) ? y : place(s, LENS_ROLLOUT, 1, q, y);
    }
    s->width = s->width > LEAST ? s->width : LEAST;
    s->height = y + LEGEND;
}

static bool has_texts(const lens *l) {
    for (uint32_t i = 0; i < l->n; i++) {
        if (!lens_is_patch(&l->query_picture, i)) {
            return true;
        }
    }
    return false;
}

bool lens_sheet_plan(const lens *l, int layer, lens_sheet *s) {
    static const uint32_t cells[] = {24, 16, 12, 9, 4, 2, 1};
    *s = (lens_sheet){.pictures = l->key_picture.pixels && has_texts(l)};
    uint64_t area = UINT64_MAX;
    for (size_t i = 0; i < sizeof cells / sizeof *cells && area > MOST_PIXELS; i++) {
        uint64_t side = (uint64_t)(l->n > l->m ? l->n : l->m) * cells[i];
        if (s->pictures) {
            size_pictures(l, s);
        } else if (side <= (cells[i] > 9 ? 420 : cells[i] == 9 ? 1200 : 4096)) {
            size_matrices(l, cells[i], s);
        } else {
            continue;
        }
        place_all(l, layer, s);
        area = (uint64_t)s->width * s->height;
    }
    if (area > MOST_PIXELS) {
        errno = EFBIG;
        return false;
    }
    s->panels = calloc(s->count ? s->count : 1, sizeof *s->panels);
    if (s->panels == NULL) {
        return false;
    }
    place_all(l, layer, s);
    return true;
}

void lens_sheet_free(lens_sheet *s) {
    free(s->panels);
    *s = (lens_sheet){0};
}
