/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include <string.h>

enum { MOST = PATCHES + 1 };

static const char *const texts[] = {"a", "</script><script>document.title='owned'</script>", "\"\\\n", "caf\xc3\xa9",
                                    "&amp;"};
static const char *const with_class[MOST] = {"class"};
static const char *const with_end[MOST] = {[PATCHES] = "end"};
static const char *const others[] = {"<b>", "y", "z"};
static const float values[MOST] = {0.5f, -0.25f, 0.125f, 0, 0.0625f};
static float p[LAYERS * HEADS * MOST * MOST];
static uint8_t pixels[ROWS * SIDE][COLUMNS * SIDE][3];

static void fill(const lens *l) {
    for (uint32_t row = 0; row < LAYERS * HEADS * l->n; row++) {
        uint32_t layer = row / (HEADS * l->n), head = row / l->n % HEADS;
        for (uint32_t j = 0; j < l->m; j++) {
            p[row * l->m + j] = j == (row % l->n + head + layer) % l->m ? 0.8f : 0.2f / (float)(l->m - 1);
        }
    }
}

/* Something to recognise: a disc in front of a gradient. */
static lens_picture paint(uint32_t first) {
    for (int y = 0; y < ROWS * SIDE; y++) {
        for (int x = 0; x < COLUMNS * SIDE; x++) {
            int dx = x - 45, dy = y - 25;
            bool inside = dx * dx + dy * dy < 300;
            uint8_t behind[] = {40, (uint8_t)(60 + 2 * x), (uint8_t)(90 + 2 * y)}, disc[] = {240, 200, 60};
            memcpy(pixels[y][x], inside ? disc : behind, 3);
        }
    }
    lens_picture picture = {.pixels = pixels[0][0], .width = COLUMNS * SIDE, .height = ROWS * SIDE, .channels = 3};
    picture.rows = ROWS, picture.columns = COLUMNS, picture.first = first;
    return picture;
}

lens case_of(const char *kind) {
    static lens_attribution attributions[2];
    lens l = {.title = kind, .layers = LAYERS, .heads = HEADS, .probabilities = p, .n = 5, .m = 5};
    l.queries = l.keys = texts;
    attributions[0] = (lens_attribution){.of = "f & g", .values = values, .value = 0.9, .baseline = 0.45, .steps = 16};
    attributions[1] = (lens_attribution){
        .of = "other", .tokens = others, .count = 3, .values = values, .value = 1.375, .baseline = 1};
    l.attributions = attributions, l.attribution_count = 2;
    if (strcmp(kind, "patches") == 0) {
        l.n = l.m = MOST;
        l.queries = l.keys = with_class;
        l.query_picture = l.key_picture = paint(1);
    } else if (strcmp(kind, "caption") == 0) {
        l.n = 3, l.m = MOST;
        l.keys = with_end;
        l.key_picture = paint(0);
        l.attribution_count = 0;
    } else {
        l.title = "<b>owned";
    }
    fill(&l);
    return l;
}
