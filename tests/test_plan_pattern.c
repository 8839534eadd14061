/* The host's block maps: what they see is what the patterns' definitions say, pair by pair.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "pattern_case.h"
#include "ops/pattern/build.h"
#include "reference.h"
#include "support/context.h"

typedef struct built {
    vka__context ctx;
    vka__pattern_shape shape;
    uint32_t *words;
} built;

static built build(const vka_pattern_desc *d, vka_device_type type) {
    built b = {0};
    vka__pattern_program program;
    cr_assert_eq(vka__context_init(&b.ctx, "test", &(vka_log){0}, &(vka_allocator){0}), VKA_OK);
    const vka_pattern_info info = vka__pattern_geometry(d, type);
    cr_assert(vka__pattern_compile(&b.ctx, d, &info, &program));
    cr_assert_eq(vka__pattern_build(&b.ctx, &program, UINT32_MAX, &b.words, &b.shape), VKA_OK);
    vka__pattern_program_free(&b.ctx, &program);
    return b;
}

static uint32_t token_at(const built *b, uint64_t slot) {
    return b->shape.permutation_at ? b->words[b->shape.permutation_at + slot] : (uint32_t)slot;
}

/* Does a tile (VKA_PATTERN_FULL, the number of its bits) see a pair of its slots? */
static bool tile_sees(const built *b, uint32_t partial, uint32_t i, uint32_t j) {
    uint32_t words = b->shape.info.key_tile / 32;
    if (partial == VKA_PATTERN_FULL)
        return true;
    uint64_t row = (uint64_t)partial * b->shape.info.query_tile + i;
    return b->words[b->shape.bits_at + row * words + j / 32] >> j % 32 & 1;
}

/* Every pair of a tile, which may be live or not; returns how many are seen. Of a grid's boxes a slot without a token
 * is a key that nobody sees, otherwise what lies beyond the last key does not count. */
static uint64_t check_tile(const built *b, const vka_pattern_desc *d, uint32_t head, uint32_t row, uint32_t column,
                           const uint32_t *tile, const char *what) {
    const vka_pattern_info *info = &b->shape.info;
    uint64_t pairs = 0, tokens = 0;
    for (uint32_t i = 0; i < info->query_tile; i++)
        for (uint32_t j = 0; j < info->key_tile; j++) {
            uint32_t query = token_at(b, (uint64_t)row * info->query_tile + i);
            uint32_t key = token_at(b, (uint64_t)column * info->key_tile + j);
            bool exists = query < info->queries && key < info->keys;
            bool want = exists && ref_pattern_sees(d, head, query, key);
            bool got = tile && tile_sees(b, tile[1], i, j) && (exists || tile[1] != VKA_PATTERN_FULL);
            cr_assert_eq(got, want, "%s: head %u, query %u, key %u", what, head, query, key);
            pairs += want;
            tokens += query < info->queries && (key < info->keys || b->shape.permutation_at);
        }
    cr_assert_eq(pairs > 0, tile != NULL, "%s: head %u, tile %u, %u", what, head, row, column);
    cr_assert(!tile || (pairs == tokens) == (tile[1] == VKA_PATTERN_FULL), "%s: head %u, tile %u, %u", what, head, row,
              column);
    return pairs;
}

static void check_map(const built *b, const vka_pattern_desc *d, const char *what) {
    const vka_pattern_info *info = &b->shape.info;
    uint64_t pairs = 0, full = 0;
    uint32_t partial = 0, row_number = 0, longest = 0;
    cr_assert_eq(b->words[0], 0);
    for (uint32_t head = 0; head < info->heads; head++)
        for (uint32_t row = 0; row < info->tile_rows; row++, row_number++) {
            uint32_t at = b->words[row_number], end = b->words[row_number + 1];
            longest = end - at > longest ? end - at : longest;
            for (uint32_t column = 0; column < info->tile_columns; column++) {
                const uint32_t *tile = &b->words[b->shape.tiles_at + 2 * (uint64_t)at];
                bool live = at < end && tile[0] == column;
                pairs += check_tile(b, d, head, row, column, live ? tile : NULL, what);
                if (live && tile[1] != VKA_PATTERN_FULL)
                    cr_assert_eq(tile[1], partial++, "%s", what);
                full += live && tile[1] == VKA_PATTERN_FULL;
                at += live;
            }
            cr_assert_eq(at, end, "%s", what);
        }
    cr_assert_eq(info->pairs, pairs, "%s", what);
    cr_assert_eq(info->full_tiles, full, "%s", what);
    cr_assert_eq(info->live_tiles, full + partial, "%s", what);
    cr_assert_eq(info->longest_row, longest, "%s", what);
}

static void check_drawn(ref_rng *g, int kind, uint32_t queries, uint32_t keys, uint32_t heads) {
    pattern_storage s;
    vka_pattern_desc d;
    char text[4096], what[4200];
    if (kind < 0)
        pattern_draw(g, queries, keys, heads, &s, &d);
    else
        pattern_draw_kind(g, (vka_pattern_kind)kind, queries, keys, heads, &s, &d);
    snprintf(what, sizeof what, "seed %llu: %s", (unsigned long long)test_seed(), pattern_describe(&d, text, 4096));
    built b = build(&d, ref_rng_below(g, 2) ? VKA_DEVICE_CPU : VKA_DEVICE_DISCRETE);
    check_map(&b, &d, what);
    vka__free(&b.ctx, b.words);
    pattern_free(&s);
}

Test(plan_pattern, kinds) {
    static const uint32_t sizes[] = {1, 36, 77, 120, 210, 240};
    ref_rng g = ref_rng_seed(test_seed());
    for (int kind = 0; kind <= LAST_PATTERN_KIND; kind++)
        for (int i = 0; i < 24; i++) {
            uint32_t queries = sizes[ref_rng_below(&g, 6)];
            bool grid = kind == VKA_PATTERN_NEIGHBORHOOD || kind == VKA_PATTERN_SWIN;
            uint32_t keys = grid || ref_rng_below(&g, 2) ? queries : sizes[ref_rng_below(&g, 6)];
            check_drawn(&g, kind, queries, keys, ref_rng_below(&g, 3));
        }
}

Test(plan_pattern, unions) {
    ref_rng g = ref_rng_seed(test_seed() + 1);
    for (int i = 0; i < 150; i++) {
        uint32_t queries = 1 + ref_rng_below(&g, 260);
        uint32_t keys = ref_rng_below(&g, 2) ? queries : 1 + ref_rng_below(&g, 260);
        check_drawn(&g, -1, queries, keys, ref_rng_below(&g, 3));
    }
}
