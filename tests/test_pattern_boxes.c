/* Block maps whose tiles are boxes of a grid: when there are any, and that they are worth it.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "pattern_check.h"

static bool is_ordered(const context *c, vka_pattern_desc d) {
    built b = built_make(c, &d, VKA_PATTERN_BUILD_HOST);
    bool ordered = b.map.info.ordered;
    built_free(&b);
    pattern_check(c, &d);
    return ordered;
}

/* Boxes are for terms that are all about one grid, and for square tiles. */
Test(pattern_boxes, when_there_are_boxes) {
#define GRID(...)                                                                                                      \
    {                                                                                                                  \
        VKA_PATTERN_NEIGHBORHOOD, .grid = {.rank = 2, .size = {10, 12}, __VA_ARGS__ }                                  \
    }
    context c;
    context_open(&c, &config_real);
    vka_pattern_desc two = {.queries = 120, .keys = 120, TERMS(GRID(.window = {3, 3}), GRID(.window = {1, 12}))};
    cr_expect(is_ordered(&c, two));
    two.query_tile = 128;
    cr_expect(is_ordered(&c, two));
    two.key_tile = 64;
    cr_expect(!is_ordered(&c, two));
    two.key_tile = 128;
    two.keep_order = true;
    cr_expect(!is_ordered(&c, two));
    vka_pattern_desc small = {.queries = 120, .keys = 120, .query_tile = 16, TERMS(GRID(.window = {3, 3}))};
    cr_expect(!is_ordered(&c, small));
    vka_pattern_desc mixed = {
        .queries = 120, .keys = 120, TERMS(GRID(.window = {3, 3}), {.kind = VKA_PATTERN_CAUSAL, .intersect = true})};
    cr_expect(!is_ordered(&c, mixed));
    vka_pattern_desc other = {
        .queries = 120,
        .keys = 120,
        TERMS(GRID(.window = {3, 3}), {VKA_PATTERN_SWIN, .grid = {.rank = 2, .size = {12, 10}, .window = {3, 5}}})};
    cr_expect(!is_ordered(&c, other));
    vka_pattern_desc line = {
        .queries = 120, .keys = 120, TERMS({VKA_PATTERN_SWIN, .grid = {.rank = 1, .size = {120}, .window = {10}}})};
    cr_expect(!is_ordered(&c, line));
    context_close(&c);
}

/* Boxes are worth their order where lines are longer than tiles: tiles hold neighbors, so there are fewer of them. */
Test(pattern_boxes, boxes_are_denser) {
    context c;
    context_open(&c, &config_real);
    vka_pattern_desc d = {.queries = 24 * 128,
                          .keys = 24 * 128,
                          .query_tile = 64,
                          .key_tile = 64,
                          TERMS({VKA_PATTERN_NEIGHBORHOOD, .grid = {.rank = 2, .size = {24, 128}, .window = {7, 7}}})};
    built boxes = built_make(&c, &d, VKA_PATTERN_BUILD_HOST);
    d.keep_order = true;
    built rows = built_make(&c, &d, VKA_PATTERN_BUILD_HOST);
    cr_expect(boxes.map.info.ordered && !rows.map.info.ordered && !rows.map.permutation);
    cr_expect_eq(boxes.map.info.pairs, rows.map.info.pairs);
    cr_expect_lt(boxes.map.info.live_tiles, rows.map.info.live_tiles);
    built_free(&boxes);
    built_free(&rows);
    context_close(&c);
}
