/* Block maps at the edges of what they may be: everything and nothing, the most terms, the largest numbers, many
 * tokens. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "pattern_check.h"

static vka_pattern_info info_of(const context *c, vka_pattern_desc d) {
    built b = built_make(c, &d, VKA_PATTERN_BUILD_HOST);
    vka_pattern_info info = b.map.info;
    built_free(&b);
    pattern_check(c, &d);
    return info;
}

/* Everything is one full tile after the other; nothing is no tile at all. */
Test(pattern_edges, everything_and_nothing) {
    context c;
    context_open(&c, &config_real);
    vka_pattern_desc d = {.queries = 100, .keys = 70, .query_tile = 16, .key_tile = 32};
    vka_pattern_info info = info_of(&c, d);
    cr_expect(info.live_tiles == 7 * 3 && info.full_tiles == 7 * 3 && info.longest_row == 3 && info.pairs == 7000);
    cr_expect(info.density == 1.0 && info.tile_rows == 7 && info.tile_columns == 3 && info.heads == 1);
    vka_pattern_desc nothing = {.queries = 100,
                                .keys = 70,
                                .heads = 3,
                                .query_tile = 64,
                                .key_tile = 64,
                                TERMS({VKA_PATTERN_WINDOW, .window = {-1000, 2000}})};
    info = info_of(&c, nothing);
    cr_expect(info.live_tiles == 0 && info.longest_row == 0 && info.pairs == 0 && info.density == 0.0);
    vka_pattern_desc one = {.queries = 1, .keys = 1};
    info = info_of(&c, one);
    cr_expect(info.live_tiles == 1 && info.full_tiles == 1 && info.pairs == 1);
    context_close(&c);
}

/* A window leaves the diagonal's tiles, and what lies between two of them is never visited. */
Test(pattern_edges, counts_by_hand) {
    context c;
    context_open(&c, &config_real);
    vka_pattern_desc band = {
        .queries = 256, .keys = 256, .query_tile = 64, .key_tile = 64, TERMS({VKA_PATTERN_WINDOW, .window = {63, 0}})};
    vka_pattern_info info = info_of(&c, band);
    cr_expect(info.live_tiles == 7 && info.full_tiles == 0 && info.longest_row == 2);
    cr_expect_eq(info.pairs, 256 * 64 - 64 * 63 / 2);
    vka_pattern_desc causal = {
        .queries = 256, .keys = 256, .query_tile = 64, .key_tile = 64, TERMS({.kind = VKA_PATTERN_CAUSAL})};
    info = info_of(&c, causal);
    cr_expect(info.live_tiles == 10 && info.full_tiles == 6 && info.longest_row == 4 && info.pairs == 256 * 257 / 2);
    context_close(&c);
}

/* Heads of their own: one sees all, one a window, one nothing. */
Test(pattern_edges, heads) {
    context c;
    context_open(&c, &config_real);
    vka_pattern_desc d = {.queries = 130,
                          .keys = 99,
                          .heads = 3,
                          .query_tile = 32,
                          .key_tile = 32,
                          TERMS({VKA_PATTERN_ALL, .heads = 1}, {VKA_PATTERN_WINDOW, .first_head = 1, .heads = 1})};
    vka_pattern_info info = info_of(&c, d);
    cr_expect(info.heads == 3 && info.live_tiles == 5 * 4 + 4 && info.full_tiles == 5 * 4);
    cr_expect_eq(info.pairs, 130 * 99 + 99);
    context_close(&c);
}

/* As many terms as there may be, each of which is a union: one intersection, and one union. */
Test(pattern_edges, many_terms) {
    vka_pattern_term terms[VKA_MAX_PATTERN_TERMS];
    context c;
    context_open(&c, &config_real);
    for (uint32_t intersect = 0; intersect < 2; intersect++) {
        for (uint32_t i = 0; i < VKA_MAX_PATTERN_TERMS; i++) {
            terms[i] = (vka_pattern_term){VKA_PATTERN_BIGBIRD, .intersect = intersect && i,
                                          .bigbird = {.block = intersect ? 40 - i : 1, .random_blocks = 1, .seed = i}};
        }
        vka_pattern_desc d = {.queries = 150, .keys = 151, .terms = terms, .term_count = VKA_MAX_PATTERN_TERMS};
        pattern_check(&c, &d);
    }
    context_close(&c);
}

/* Numbers that 32 bits do not hold the products and sums of. */
Test(pattern_edges, large_numbers) {
    context c;
    context_open(&c, &config_real);
    for (int n = 0; n < 7; n++) {
        vka_pattern_term terms[] = {
            {VKA_PATTERN_WINDOW, .window = {INT32_MAX - 1, INT32_MAX - 1, UINT32_MAX}},
            {VKA_PATTERN_WINDOW, .window = {INT32_MIN, INT32_MAX - 1 + 1, 0}},
            {VKA_PATTERN_WINDOW, .window = {VKA_UNBOUNDED, INT32_MIN, 3}},
            {VKA_PATTERN_CHUNKS, .chunks = {UINT32_MAX, UINT32_MAX, UINT32_MAX}},
            {VKA_PATTERN_CHUNKS, .chunks = {1, UINT32_MAX, 0}},
            {VKA_PATTERN_FIXED, .fixed = {UINT32_MAX, UINT32_MAX, 1}},
            {VKA_PATTERN_BLOCKS, .blocks = {(const uint8_t[]){1}, UINT32_MAX, UINT32_MAX}},
        };
        vka_pattern_desc d = {.queries = 70, .keys = 90, .terms = &terms[n], .term_count = 1};
        pattern_check(&c, &d);
    }
    context_close(&c);
}

/* Maps of real sizes, of which the paths' inner loops are made. */
Test(pattern_edges, larger) {
    static const uint32_t tokens[] = {0, 511, 512, 1022};
    context c;
    context_open(&c, &config_real);
    vka_pattern_desc longformer = {
        .queries = 1023,
        .keys = 1024,
        TERMS({VKA_PATTERN_WINDOW, .window = {64, 64}}, {VKA_PATTERN_GLOBAL, .global = {tokens, 4}})};
    vka_pattern_desc bigbird = {.queries = 1024,
                                .keys = 1024,
                                TERMS({VKA_PATTERN_BIGBIRD, .bigbird = {.block = 64, .random_blocks = 3, .seed = 1}})};
    vka_pattern_desc image = {
        .queries = 32 * 33,
        .keys = 32 * 33,
        TERMS({VKA_PATTERN_NEIGHBORHOOD, .grid = {.rank = 2, .size = {32, 33}, .window = {7, 8}}})};
    vka_pattern_desc swin = {
        .queries = 28 * 35,
        .keys = 28 * 35,
        TERMS({VKA_PATTERN_SWIN, .grid = {.rank = 2, .size = {28, 35}, .window = {7, 7}, .shift = {3, 3}}})};
    vka_pattern_desc video = {
        .queries = 8 * 11 * 12,
        .keys = 8 * 11 * 12,
        TERMS({VKA_PATTERN_NEIGHBORHOOD,
               .grid = {.rank = 3, .size = {8, 11, 12}, .window = {3, 3, 3}, .causal = {true, false, false}}})};
    pattern_check(&c, &longformer);
    pattern_check(&c, &bigbird);
    pattern_check(&c, &image);
    pattern_check(&c, &swin);
    pattern_check(&c, &video);
    context_close(&c);
}

/* A million tokens, of which each sees 65: work follows the tiles that there are. */
Test(pattern_edges, large_and_sparse) {
    enum { TOKENS = 1 << 20 };
    context c;
    context_open(&c, &config_real);
    vka_pattern_desc d = {.queries = TOKENS,
                          .keys = TOKENS,
                          .query_tile = 64,
                          .key_tile = 64,
                          TERMS({VKA_PATTERN_WINDOW, .window = {64, 0}})};
    built host = built_make(&c, &d, VKA_PATTERN_BUILD_HOST), device = built_make(&c, &d, VKA_PATTERN_BUILD_DEVICE);
    cr_expect_eq(host.map.info.pairs, (uint64_t)TOKENS * 65 - 64 * 65 / 2);
    cr_expect(host.map.info.live_tiles == 2 * (TOKENS / 64) - 1 && host.map.info.longest_row == 2);
    built_expect_same(&host, &device, "device");
    built_free(&host);
    built_free(&device);
    context_close(&c);
}
