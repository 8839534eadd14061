/* Built block maps, held against the reference pair by pair.
 * SPDX-License-Identifier: MIT */
#include "pattern_check.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* ---- a map and what it says ------------------------------------------------------------------------------------- */

static void *must(void *memory) {
    cr_assert_not_null(memory, "the test itself is out of memory");
    return memory;
}

static void save(built *b) {
    EXPECT_OK(vka_pattern_save(b->pattern, NULL, &b->size));
    b->blob = must(malloc(b->size));
    size_t size = b->size;
    memset(b->blob, 0xee, size);
    EXPECT_OK(vka_pattern_save(b->pattern, b->blob, &size));
    cr_assert_eq(size, b->size, "%s", b->text);
    EXPECT_OK(vka_pattern_parse(NULL, b->blob, b->size, &b->map));
}

built built_make(const context *c, const vka_pattern_desc *desc, vka_pattern_build how) {
    vka_pattern_desc d = *desc;
    built b = {0};
    d.build = how;
    pattern_describe(desc, b.text, sizeof b.text);
    log_clear();
    vka_status status = vka_pattern_create(c->device, &d, &b.pattern);
    cr_assert_eq(status, VKA_OK, "status %d, %s; %s", status, log_last(VKA_LOG_ERROR).message, b.text);
    save(&b);
    return b;
}

void built_free(built *b) {
    vka_pattern_destroy(&b->pattern);
    cr_assert_null(b->pattern);
    free(b->blob);
}

/* ---- a map's walk ----------------------------------------------------------------------------------------------- */

/* The token that a slot holds; UINT32_MAX: none. */
static uint32_t token_at(const built *b, uint32_t slot, uint32_t tokens) {
    const vka_pattern_map *m = &b->map;
    uint32_t slots = m->info.tile_rows * m->info.query_tile;
    if (m->permutation) {
        return slot < slots ? m->permutation[slot] : UINT32_MAX;
    }
    return slot < tokens ? slot : UINT32_MAX;
}

/* Each token has one slot. */
static void check_permutation(const built *b) {
    const vka_pattern_info *i = &b->map.info;
    cr_assert_eq(b->map.permutation != NULL, i->ordered, "%s", b->text);
    if (!b->map.permutation) {
        return;
    }
    uint8_t *met = must(calloc(i->queries, 1));
    uint32_t slots = i->tile_rows * i->query_tile, count = 0;
    cr_assert_eq(i->queries, i->keys, "%s", b->text);
    for (uint32_t slot = 0; slot < slots; slot++) {
        uint32_t token = b->map.permutation[slot];
        cr_assert(token == UINT32_MAX || (token < i->queries && !met[token]), "slot %u has token %u; %s", slot, token,
                  b->text);
        if (token != UINT32_MAX) {
            met[token] = 1;
            count++;
        }
    }
    cr_assert_eq(count, i->queries, "%s", b->text);
    free(met);
}

/* What a walk finds. */
typedef struct counts {
    uint64_t live, full, partial, pairs;
    uint32_t longest;
} counts;

typedef struct tile_place {
    uint32_t head, row, column;
} tile_place;

/* The pairs of one tile that the map says are seen, into `sees` [heads, queries, keys]. A tile has some; a full one has
 * all that there are, and a partial one has not. In an ordered map a slot without a token is a key that nobody sees.
 */
static void walk_tile(const built *b, tile_place at, uint32_t bits, uint8_t *sees, counts *n) {
    const vka_pattern_info *i = &b->map.info;
    uint32_t words = i->key_tile / 32;
    uint64_t pairs = 0, seen = 0;
    for (uint32_t y = 0; y < i->query_tile; y++) {
        uint32_t query = token_at(b, at.row * i->query_tile + y, i->queries);
        const uint32_t *line =
            bits == VKA_PATTERN_FULL ? NULL : b->map.bits + ((size_t)bits * i->query_tile + y) * words;
        for (uint32_t x = 0; x < i->key_tile; x++) {
            uint32_t key = token_at(b, at.column * i->key_tile + x, i->keys);
            bool set = !line || (line[x / 32] >> x % 32 & 1);
            bool exists = query != UINT32_MAX && key != UINT32_MAX;
            cr_assert(exists || !line || !set, "head %u tile %u, %u has bits of pairs that do not exist; %s", at.head,
                      at.row, at.column, b->text);
            pairs += query != UINT32_MAX && (exists || i->ordered);
            if (exists) {
                seen += set;
                sees[((size_t)at.head * i->queries + query) * i->keys + key] += set;
            }
        }
    }
    cr_assert_gt(seen, 0, "head %u tile %u, %u is empty; %s", at.head, at.row, at.column, b->text);
    cr_assert_eq(bits == VKA_PATTERN_FULL, seen == pairs, "head %u tile %u, %u sees %llu of %llu pairs; %s", at.head,
                 at.row, at.column, (unsigned long long)seen, (unsigned long long)pairs, b->text);
    n->pairs += seen;
}

static void walk_row(const built *b, uint32_t head, uint32_t row, uint8_t *sees, counts *n) {
    const vka_pattern_info *i = &b->map.info;
    const uint32_t *rows = b->map.rows + (size_t)head * i->tile_rows + row;
    uint32_t after = 0;
    cr_assert(rows[0] == n->live && rows[1] >= rows[0], "row %u begins at %u; %s", row, rows[0], b->text);
    for (uint32_t at = rows[0]; at < rows[1]; at++) {
        vka_pattern_tile tile = b->map.tiles[at];
        bool full = tile.partial == VKA_PATTERN_FULL;
        cr_assert(tile.column >= after && tile.column < i->tile_columns, "row %u has column %u after %u; %s", row,
                  tile.column, after, b->text);
        cr_assert(full || tile.partial == n->partial, "row %u column %u has bits %u, not %llu; %s", row, tile.column,
                  tile.partial, (unsigned long long)n->partial, b->text);
        after = tile.column + 1;
        n->live++;
        n->full += full;
        n->partial += !full;
        walk_tile(b, (tile_place){head, row, tile.column}, tile.partial, sees, n);
    }
    n->longest = rows[1] - rows[0] > n->longest ? rows[1] - rows[0] : n->longest;
}

static counts walk(const built *b, uint8_t *sees) {
    counts n = {0};
    check_permutation(b);
    for (uint32_t head = 0; head < b->map.info.heads; head++) {
        for (uint32_t row = 0; row < b->map.info.tile_rows; row++) {
            walk_row(b, head, row, sees, &n);
        }
    }
    return n;
}

/* ---- checks ----------------------------------------------------------------------------------------------------- */

/* A map knows of itself what its blob says; whoever built it counted right. */
static bool same_info(const vka_pattern_info *a, const vka_pattern_info *b) {
    return a->queries == b->queries && a->keys == b->keys && a->heads == b->heads && a->query_tile == b->query_tile &&
           a->key_tile == b->key_tile && a->tile_rows == b->tile_rows && a->tile_columns == b->tile_columns &&
           a->longest_row == b->longest_row && a->ordered == b->ordered && a->live_tiles == b->live_tiles &&
           a->full_tiles == b->full_tiles && a->pairs == b->pairs && a->bytes == b->bytes && a->density == b->density;
}

static void check_info(const built *b, const vka_pattern_desc *d, const counts *n) {
    vka_pattern_info got = vka_pattern_get_info(b->pattern);
    const vka_pattern_info *i = &b->map.info;
    double pairs = (double)i->heads * (double)d->queries * (double)d->keys;
    uint32_t slots = i->ordered ? i->tile_rows * i->query_tile : d->queries;
    cr_assert(i->queries == d->queries && i->keys == d->keys && i->heads == (d->heads ? d->heads : 1), "%s", b->text);
    cr_assert(i->query_tile == 16 || i->query_tile == 32 || i->query_tile == 64 || i->query_tile == 128, "%s", b->text);
    cr_assert(i->key_tile == 32 || i->key_tile == 64 || i->key_tile == 128, "%s", b->text);
    cr_assert(!d->query_tile || d->query_tile == i->query_tile, "%s", b->text);
    cr_assert(!d->key_tile || d->key_tile == i->key_tile, "%s", b->text);
    cr_assert_eq(i->tile_rows, (slots - 1) / i->query_tile + 1, "%s", b->text);
    cr_assert_geq((uint64_t)i->tile_columns * i->key_tile, d->keys, "%s", b->text);
    cr_assert(!d->keep_order || !i->ordered, "%s", b->text);
    cr_assert_eq(i->live_tiles, n->live, "%s", b->text);
    cr_assert_eq(i->full_tiles, n->full, "%s", b->text);
    cr_assert_eq(i->longest_row, n->longest, "%s", b->text);
    cr_assert_eq(i->pairs, n->pairs, "%s", b->text);
    cr_assert(i->density == (double)n->pairs / pairs, "%s", b->text);
    cr_assert_geq(i->bytes, 4 * ((uint64_t)i->heads * i->tile_rows + 1 + 2 * n->live), "%s", b->text);
    cr_assert(same_info(&got, i), "the map says something else than its blob; %s", b->text);
}

/* Every pair of every head is as in the reference. The search, which is slow, has its turn in small maps and now and
 * then. */
static void check_pairs(const built *b, const vka_pattern_desc *d, const uint8_t *sees) {
    uint64_t pairs = (uint64_t)b->map.info.heads * d->queries * d->keys, step = pairs / 50000 + 1;
    for (uint64_t at = 0; at < pairs; at++) {
        uint32_t j = (uint32_t)(at % d->keys), p = (uint32_t)(at / d->keys % d->queries);
        uint32_t head = (uint32_t)(at / d->keys / d->queries);
        bool wanted = ref_pattern_sees(d, head, p, j);
        cr_assert_eq(sees[at], wanted, "head %u query %u %s key %u; %s", head, p, wanted ? "does not see" : "sees", j,
                     b->text);
        cr_assert(at % step || vka_pattern_map_sees(&b->map, head, p, j) == wanted, "map_sees: head %u, %u, %u; %s",
                  head, p, j, b->text);
    }
    cr_assert(d->heads < 2 || !vka_pattern_map_sees(&b->map, d->heads, 0, 0), "%s", b->text);
    cr_assert(!vka_pattern_map_sees(&b->map, 0, d->queries, 0), "%s", b->text);
    cr_assert(!vka_pattern_map_sees(&b->map, 0, 0, d->keys), "%s", b->text);
}

void built_expect_same(const built *a, const built *b, const char *what) {
    vka_pattern_info is = vka_pattern_get_info(a->pattern), other = vka_pattern_get_info(b->pattern);
    cr_assert(same_info(&is, &other), "%s: %llu tiles, %llu pairs, not %llu, %llu, or more; %s", what,
              (unsigned long long)other.live_tiles, (unsigned long long)other.pairs, (unsigned long long)is.live_tiles,
              (unsigned long long)is.pairs, a->text);
    cr_assert_eq(a->size, b->size, "%s: %zu bytes, not %zu; %s", what, b->size, a->size, a->text);
    for (size_t i = 0; i < a->size; i++) {
        cr_assert_eq(((uint8_t *)a->blob)[i], ((uint8_t *)b->blob)[i], "%s: byte %zu of %zu differs; %s", what, i,
                     a->size, a->text);
    }
}

static void check_load(const context *c, const built *b) {
    built again = {0};
    memcpy(again.text, b->text, sizeof again.text);
    EXPECT_OK(vka_pattern_load(c->device, b->blob, b->size, &again.pattern));
    save(&again);
    built_expect_same(b, &again, "loaded");
    built_free(&again);
}

void built_check(const context *c, const built *b, const vka_pattern_desc *d) {
    size_t pairs = (size_t)b->map.info.heads * d->queries * d->keys;
    uint8_t *sees = must(calloc(pairs, 1));
    counts n = walk(b, sees);
    check_info(b, d, &n);
    check_pairs(b, d, sees);
    check_load(c, b);
    free(sees);
}

void pattern_check(const context *c, const vka_pattern_desc *d) {
    built host = built_make(c, d, VKA_PATTERN_BUILD_HOST), device = built_make(c, d, VKA_PATTERN_BUILD_DEVICE);
    built_check(c, &host, d);
    built_expect_same(&host, &device, "device");
    built_free(&host);
    built_free(&device);
}

void pattern_check_kind(const context *c, ref_rng *rng, vka_pattern_kind kind, uint32_t queries, uint32_t keys,
                        uint32_t heads) {
    vka_pattern_desc d;
    pattern_storage s;
    pattern_draw_kind(rng, kind, queries, keys, heads, &s, &d);
    pattern_check(c, &d);
    pattern_free(&s);
}
