/* SPDX-License-Identifier: MIT */
#include "frame/overlay.h"

#include "common/letters.h"

void overlay_box(overlay *o, box b) {
    if (o->count < MAX_BOXES) {
        o->boxes[o->count++] = b;
    }
}

/* A box for each run of dots in a row. */
static void letter(overlay *o, float left, float top, float dot, uint32_t code) {
    const uint8_t *rows = letter_rows(code);
    for (int y = 0; y < LETTER_ROWS; y++) {
        for (int x = 0; x < LETTER_COLUMNS; x++) {
            int begin = x;
            while (x < LETTER_COLUMNS && (rows[y] >> (LETTER_COLUMNS - 1 - x) & 1)) {
                x++;
            }
            if (x > begin) {
                overlay_box(o, (box){left + dot * (float)begin, top + dot * (float)y, dot * (float)(x - begin), dot,
                                     0.92f, 0.94f, 1, 1});
            }
        }
    }
}

void overlay_text(overlay *o, float left, float top, float dot, const char *text) {
    for (; *text; left += dot * (LETTER_COLUMNS + 1)) {
        letter(o, left, top, dot, letter_next(&text));
    }
}

void overlay_history(overlay *o, float left, float bottom, const timing history[HISTORY], uint32_t next, float budget) {
    const float width = 3, room = 80;
    float most = budget > 0.1f ? budget : 0.1f;
    for (int i = 0; i < HISTORY; i++) {
        float sum = history[i].attention + history[i].drawing;
        most = sum > most ? sum : most;
    }
    float scale = room / most;
    overlay_box(o, (box){left - 4, bottom - room - 4, HISTORY * width + 8, room + 8, 0, 0, 0, 0.5f});
    for (uint32_t i = 0; i < HISTORY; i++) {
        const timing *t = &history[(next + i) % HISTORY];
        float x = left + width * (float)i, a = scale * t->attention, d = scale * t->drawing;
        overlay_box(o, (box){x, bottom - a, width - 1, a, 1, 0.62f, 0.2f, 1});
        overlay_box(o, (box){x, bottom - a - d, width - 1, d, 0.3f, 0.6f, 1, 1});
    }
    if (budget > 0) {
        overlay_box(o, (box){left, bottom - scale * budget, HISTORY * width, 1, 1, 1, 1, 0.8f});
    }
}
