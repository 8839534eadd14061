/* SPDX-License-Identifier: MIT */
#include "picture.h"

#include "common/program.h"
#include "common/canvas.h"

#include <stdlib.h>
#include <string.h>

enum {
    CELL = 28,
    LETTER = 3,
    LETTER_WIDTH = 5 * LETTER,
    LETTER_HEIGHT = 7 * LETTER,
    MARGIN = 24,
    HEAD = 36,
    SIDE = 36
};
enum { SCALE_WIDTH = 14, SCALE_GAP = 24, SCALE_TEXT = 2, SCALE_ROOM = SCALE_GAP + SCALE_WIDTH + 44, MOST_WIDTH = 1100 };

static const colour ink = {24, 24, 32}, pale = {160, 160, 176}, line = {208, 208, 220};

/* From white over blue to nearly black: lightness falls evenly, so a printed page shows it, too. */
static colour heat(double share) {
    static const double stops[][3] = {{255, 255, 255}, {198, 219, 240}, {107, 164, 212}, {33, 104, 172}, {8, 32, 80}};
    double mixed[3];
    colour_along(stops, sizeof stops / sizeof *stops, share, mixed);
    return colour_of(mixed);
}

/* In the middle of a square; blanks are marked, as one may be looked at. */
static void letter(canvas *c, uint32_t x, uint32_t y, char character) {
    const char text[] = {character == ' ' ? '_' : character, 0};
    canvas_text(c, x + (CELL - LETTER_WIDTH) / 2, y + (CELL - LETTER_HEIGHT) / 2, LETTER, text,
                character == ' ' ? pale : ink);
}

static uint32_t length_of(const char *text) {
    return (uint32_t)strlen(text);
}

static uint32_t height_of(const picture_map *m) {
    return HEAD + length_of(m->rows) * CELL;
}

static void draw_map(canvas *c, uint32_t left, uint32_t top, const picture_map *m) {
    const uint32_t columns = length_of(m->columns), rows = length_of(m->rows);
    const uint32_t x0 = left + SIDE, y0 = top + HEAD, x1 = x0 + columns * CELL, y1 = y0 + rows * CELL;
    for (uint32_t j = 0; j < columns; j++) {
        letter(c, x0 + j * CELL, top, m->columns[j]);
    }
    for (uint32_t i = 0; i < rows; i++) {
        letter(c, left, y0 + i * CELL, m->rows[i]);
        for (uint32_t j = 0; j < columns; j++) {
            canvas_fill(c, x0 + j * CELL, y0 + i * CELL, CELL, CELL, 1, heat((double)m->shares[i * m->stride + j]));
        }
    }
    for (uint32_t i = 0; i <= rows; i++) {
        canvas_fill(c, x0, y0 + i * CELL, x1 - x0 + 1, 1, 1, line);
    }
    for (uint32_t j = 0; j <= columns; j++) {
        canvas_fill(c, x0 + j * CELL, y0, 1, y1 - y0 + 1, 1, line);
    }
}

/* What colours mean. */
static void draw_scale(canvas *c, uint32_t x, uint32_t top, uint32_t bottom) {
    for (uint32_t y = top; y < bottom; y++) {
        canvas_fill(c, x, y, SCALE_WIDTH, 1, 1, heat((double)(bottom - 1 - y) / (bottom - 1 - top)));
    }
    canvas_fill(c, x, top, SCALE_WIDTH, 1, 1, line);
    canvas_fill(c, x, bottom, SCALE_WIDTH, 1, 1, line);
    canvas_fill(c, x, top, 1, bottom - top, 1, line);
    canvas_fill(c, x + SCALE_WIDTH, top, 1, bottom - top + 1, 1, line);
    canvas_text(c, x + SCALE_WIDTH + 8, top, SCALE_TEXT, "1", ink);
    canvas_text(c, x + SCALE_WIDTH + 8, (top + bottom) / 2 - 7, SCALE_TEXT, "0.5", ink);
    canvas_text(c, x + SCALE_WIDTH + 8, bottom - 7 * SCALE_TEXT, SCALE_TEXT, "0", ink);
}

static uint32_t width_of(const picture_map *m) {
    return SIDE + length_of(m->columns) * CELL;
}

typedef struct place {
    uint32_t x, y;
} place;

/* Where the next map goes: beside the one before it, or where that gets too wide in a line of its own. `at` is the
 * right upper corner of the one before. */
static place place_next(place at, const picture_map *m) {
    const bool fits = at.x == 0 || at.x + MARGIN + width_of(m) <= MOST_WIDTH;
    return fits ? (place){at.x + MARGIN, at.y} : (place){MARGIN, at.y + height_of(m) + MARGIN};
}

bool picture_save(const char *path, const picture_map *maps, uint32_t count) {
    place *places = allocate(count, sizeof *places), at = {0, MARGIN};
    uint32_t right = 0;
    for (uint32_t i = 0; i < count; i++) {
        places[i] = place_next(at, &maps[i]);
        at = (place){places[i].x + width_of(&maps[i]), places[i].y};
        right = at.x > right ? at.x : right;
    }
    canvas c = canvas_create(right + SCALE_ROOM + MARGIN, at.y + height_of(maps) + MARGIN);
    draw_scale(&c, right + SCALE_GAP, MARGIN + HEAD, MARGIN + height_of(maps));
    for (uint32_t i = 0; i < count; i++) {
        draw_map(&c, places[i].x, places[i].y, &maps[i]);
    }
    const bool ok = canvas_save(&c, path);
    canvas_free(&c);
    free(places);
    return ok;
}
