/* SPDX-License-Identifier: MIT */
#include "scenes.h"

#include "common/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LETTERS = 10 };

/* By their ids: 0 is no word, and digits come first. */
static const char words[][LETTERS] = {"",     "zero",  "one",   "two",  "three", "four",  "five",
                                      "six",  "seven", "eight", "nine", "a",     "above", "below",
                                      "left", "right", "of",    "at",   "the",   "top",   "bottom"};

enum { WORDS = sizeof words / sizeof *words };

static const char opposites[][2][LETTERS] = {{"above", "below"}, {"left", "right"}, {"top", "bottom"}};

/* ---- pictures ------------------------------------------------------------------------------------------------ */

scenes scenes_load(const char *path) {
    scenes s = {.digits = digits_load(path)};
    const digits *d = &s.digits;
    for (int c = 0; c < DIGIT_CLASSES; c++) {
        s.lists[0][c] = allocate(d->count, sizeof *s.lists[0][c]);
        s.lists[1][c] = allocate(d->count, sizeof *s.lists[1][c]);
    }
    for (uint32_t i = 0; i < d->count; i++) {
        int judged = i >= d->training, c = d->labels[i];
        s.lists[judged][c][s.counts[judged][c]++] = i;
    }
    for (int c = 0; c < DIGIT_CLASSES; c++) {
        if (!s.counts[0][c] || !s.counts[1][c]) {
            fail("%s: has no %s to %s", path, words[1 + c], s.counts[0][c] ? "judge by" : "learn from");
        }
    }
    return s;
}

void scenes_free(scenes *s) {
    for (int c = 0; c < DIGIT_CLASSES; c++) {
        free(s->lists[0][c]);
        free(s->lists[1][c]);
    }
    digits_free(&s->digits);
    *s = (scenes){0};
}

static void put_digit(const scenes *s, random_state *r, bool judged, uint32_t digit, uint32_t x, uint32_t y,
                      float *pixels) {
    float drawn[DIGIT_PIXELS];
    uint32_t which = s->lists[judged][digit][random_below(r, s->counts[judged][digit])];
    memcpy(drawn, s->digits.pixels[which], sizeof drawn);
    if (!judged) {
        digits_vary(&s->digits, r, which, drawn);
    }
    for (uint32_t row = 0; row < DIGIT_SIDE; row++) {
        memcpy(pixels + (size_t)(y + row) * SCENE_SIDE + x, drawn + (size_t)row * DIGIT_SIDE,
               DIGIT_SIDE * sizeof *pixels);
    }
}

/* Of two digits both are in the same column, or in the same row. */
static void place(random_state *r, uint32_t meaning, uint32_t x[2], uint32_t y[2]) {
    if (meaning < MEANING_PAIRS) {
        const uint32_t across = random_below(r, 2);
        const bool left = meaning >= MEANING_PAIRS / 2;
        x[0] = left ? 0 : across, x[1] = left ? 1 : across;
        y[0] = left ? across : 0, y[1] = left ? across : 1;
        return;
    }
    const uint32_t corner = (meaning - MEANING_PAIRS) / DIGIT_CLASSES;
    x[0] = corner % 2, y[0] = corner / 2;
}

void scenes_draw(const scenes *s, random_state *r, bool judged, uint32_t meaning, scene *to) {
    const bool pair = meaning < MEANING_PAIRS;
    const uint32_t digit[2] = {pair ? meaning / 10 % 10 : meaning % 10, meaning % 10};
    uint32_t x[2], y[2];
    *to = (scene){.meaning = meaning};
    place(r, meaning, x, y);
    for (int i = 0; i < 1 + pair; i++) {
        put_digit(s, r, judged, digit[i], DIGIT_SIDE * x[i], DIGIT_SIDE * y[i], to->pixels);
    }
}

void scene_cut(const scene *s, float *patches) {
    for (int i = 0; i < SCENE_PIXELS; i++) {
        int x = i % SCENE_SIDE, y = i / SCENE_SIDE, patch = y / SCENE_PATCH * SCENE_GRID + x / SCENE_PATCH;
        patches[patch * SCENE_PATCH_PIXELS + y % SCENE_PATCH * SCENE_PATCH + x % SCENE_PATCH] = s->pixels[i];
    }
}

/* ---- captions ------------------------------------------------------------------------------------------------ */

uint32_t scenes_vocabulary(void) {
    return WORDS;
}

bool caption_parse(const char *text, caption *c) {
    char copy[128];
    uint32_t count = 0;
    *c = (caption){{0}};
    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy) {
        return false;
    }
    for (const char *word = strtok(copy, " "); word; word = strtok(NULL, " "), count++) {
        word = strcmp(word, "an") == 0 ? "a" : word;
        int32_t id = WORDS - 1;
        while (id > 0 && strcmp(words[id], word) != 0) {
            id--;
        }
        if (id == 0 || count == CAPTION_WORDS) {
            return false;
        }
        c->words[count] = id;
    }
    return count > 0;
}

caption caption_of(uint32_t meaning, uint32_t kind) {
    static const char *const relations[2][CAPTION_KINDS] = {{"above", "below"}, {"left of", "right of"}};
    static const char *const corners[] = {"top left", "top right", "bottom left", "bottom right"};
    const char *first = words[1 + meaning / 10 % 10], *second = words[1 + meaning % 10];
    char text[64];
    caption c;
    if (meaning < MEANING_PAIRS) {
        snprintf(text, sizeof text, "a %s %s a %s", kind ? second : first,
                 relations[meaning >= MEANING_PAIRS / 2][kind], kind ? first : second);
    } else {
        const char *corner = corners[(meaning - MEANING_PAIRS) / DIGIT_CLASSES];
        snprintf(text, sizeof text, kind ? "at the %s a %s" : "a %s at the %s", kind ? corner : second,
                 kind ? second : corner);
    }
    if (!caption_parse(text, &c)) {
        fail("%s: is no caption", text);
    }
    return c;
}

const char *caption_word(const caption *c, uint32_t at) {
    return words[c->words[at]];
}

void caption_text(const caption *c, char *text, size_t size) {
    size_t length = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < CAPTION_WORDS && c->words[i] && length < size; i++) {
        const bool an = i + 1 < CAPTION_WORDS && strcmp(caption_word(c, i), "a") == 0 &&
                        strcmp(caption_word(c, i + 1), "eight") == 0;
        length +=
            (size_t)snprintf(text + length, size - length, "%s%s%s", i ? " " : "", caption_word(c, i), an ? "n" : "");
    }
}

static bool are_opposites(const char *x, const char *y) {
    for (size_t i = 0; i < sizeof opposites / sizeof *opposites; i++) {
        const char *first = opposites[i][0], *second = opposites[i][1];
        if ((strcmp(x, first) == 0 && strcmp(y, second) == 0) || (strcmp(x, second) == 0 && strcmp(y, first) == 0)) {
            return true;
        }
    }
    return false;
}

static bool is_digit(int32_t id) {
    return id >= 1 && id <= DIGIT_CLASSES;
}

uint32_t caption_others(const caption *c, uint32_t at, caption others[DIGIT_CLASSES - 1]) {
    const int32_t word = c->words[at];
    uint32_t count = 0;
    for (int32_t id = 1; id < WORDS; id++) {
        if (id != word && ((is_digit(word) && is_digit(id)) || are_opposites(words[word], words[id]))) {
            others[count] = *c;
            others[count++].words[at] = id;
        }
    }
    return count;
}
