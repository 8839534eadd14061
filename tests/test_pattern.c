/* Block maps against the reference, pair by pair: of every kind of term and of random compositions, built by the host
 * and by the device, saved and loaded. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pattern_case.h"
#include "support/app.h"
#include "support/context.h"

/* ---- a map and what it says ------------------------------------------------------------------------------------ */

/* A built map, its blob, and what was asked for. */
typedef struct built {
    vka_pattern *pattern;
    void *blob;
    size_t size;
    vka_pattern_map map;
    char text[2048]; /* the description */
} built;

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

static built build(const context *c, const vka_pattern_desc *desc, vka_pattern_build how) {
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

static void destroy(built *b) {
    vka_pattern_destroy(&b->pattern);
    cr_assert_null(b->pattern);
    free(b->blob);
}

/* ---- a map's walk ---------------------------------------------------------------------------------------------- */

/* The token that a place holds; UINT32_MAX: none. */
static uint32_t token_at(const built *b, uint32_t place, uint32_t tokens) {
    const vka_pattern_map *m = &b->map;
    uint32_t places = m->info.tile_rows * m->info.query_tile;
    if (m->order) {
        return place < places ? m->order[place] : UINT32_MAX;
    }
    return place < tokens ? place : UINT32_MAX;
}

/* Each token has one place. */
static void check_order(const built *b) {
    const vka_pattern_info *i = &b->map.info;
    cr_assert_eq(b->map.order != NULL, i->ordered, "%s", b->text);
    if (!b->map.order) {
        return;
    }
    uint8_t *met = must(calloc(i->queries, 1));
    uint32_t places = i->tile_rows * i->query_tile, count = 0;
    cr_assert_eq(i->queries, i->keys, "%s", b->text);
    for (uint32_t place = 0; place < places; place++) {
        uint32_t token = b->map.order[place];
        cr_assert(token == UINT32_MAX || (token < i->queries && !met[token]), "place %u has token %u; %s", place, token,
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
 * all that there are, and a partial one has not. In an ordered map a place without a token is a key that nobody sees.
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
    check_order(b);
    for (uint32_t head = 0; head < b->map.info.heads; head++) {
        for (uint32_t row = 0; row < b->map.info.tile_rows; row++) {
            walk_row(b, head, row, sees, &n);
        }
    }
    return n;
}

/* ---- checks ---------------------------------------------------------------------------------------------------- */

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
    uint32_t places = i->ordered ? i->tile_rows * i->query_tile : d->queries;
    cr_assert(i->queries == d->queries && i->keys == d->keys && i->heads == (d->heads ? d->heads : 1), "%s", b->text);
    cr_assert(i->query_tile == 16 || i->query_tile == 32 || i->query_tile == 64 || i->query_tile == 128, "%s", b->text);
    cr_assert(i->key_tile == 32 || i->key_tile == 64 || i->key_tile == 128, "%s", b->text);
    cr_assert(!d->query_tile || d->query_tile == i->query_tile, "%s", b->text);
    cr_assert(!d->key_tile || d->key_tile == i->key_tile, "%s", b->text);
    cr_assert_eq(i->tile_rows, (places - 1) / i->query_tile + 1, "%s", b->text);
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

/* To the bit, and in all that is said about them. */
static void expect_same(const built *a, const built *b, const char *what) {
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
    expect_same(b, &again, "loaded");
    destroy(&again);
}

static void check_map(const context *c, const built *b, const vka_pattern_desc *d) {
    size_t pairs = (size_t)b->map.info.heads * d->queries * d->keys;
    uint8_t *sees = must(calloc(pairs, 1));
    counts n = walk(b, sees);
    check_info(b, d, &n);
    check_pairs(b, d, sees);
    check_load(c, b);
    free(sees);
}

/* The host's map is right, the device's is the same. */
static void check(const context *c, const vka_pattern_desc *d) {
    built host = build(c, d, VKA_PATTERN_BUILD_HOST), device = build(c, d, VKA_PATTERN_BUILD_DEVICE);
    check_map(c, &host, d);
    expect_same(&host, &device, "device");
    destroy(&host);
    destroy(&device);
}

/* ---- every kind ------------------------------------------------------------------------------------------------ */

static const uint32_t sizes[][2] = {{1, 1},   {1, 239},   {239, 1},   {17, 33},   {64, 64},   {65, 63},
                                    {16, 32}, {113, 203}, {128, 256}, {300, 129}, {97, 97},   {60, 60},
                                    {96, 96}, {144, 144}, {210, 210}, {343, 343}, {257, 257}, {360, 360}};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void check_kind(const context *c, ref_rng *rng, vka_pattern_kind kind, uint32_t queries, uint32_t keys,
                       uint32_t heads) {
    vka_pattern_desc d;
    pattern_storage s;
    pattern_draw_kind(rng, kind, queries, keys, heads, &s, &d);
    check(c, &d);
    pattern_free(&s);
}

/* Every size, and where it differs, with heads. */
static void check_kinds(vka_pattern_kind kind) {
    bool grid = kind == VKA_PATTERN_NEIGHBORHOOD || kind == VKA_PATTERN_SWIN;
    context c;
    context_open(&c, &config_real);
    ref_rng rng = ref_rng_seed(test_seed() + kind);
    for (uint32_t n = 0; n < 3 * SIZES; n++) {
        const uint32_t *size = sizes[n % SIZES];
        check_kind(&c, &rng, kind, grid ? size[1] : size[0], size[1], kind == VKA_PATTERN_BIGBIRD ? n % 3 : n == 7);
    }
    context_close(&c);
}

#define TEST_KIND(name, kind)                                                                                          \
    Test(pattern, name) {                                                                                              \
        check_kinds(kind);                                                                                             \
    }
TEST_KIND(all, VKA_PATTERN_ALL)
TEST_KIND(causal, VKA_PATTERN_CAUSAL)
TEST_KIND(window, VKA_PATTERN_WINDOW)
TEST_KIND(global, VKA_PATTERN_GLOBAL)
TEST_KIND(fixed, VKA_PATTERN_FIXED)
TEST_KIND(bigbird, VKA_PATTERN_BIGBIRD)
TEST_KIND(prefix, VKA_PATTERN_PREFIX)
TEST_KIND(documents, VKA_PATTERN_DOCUMENTS)
TEST_KIND(neighborhood, VKA_PATTERN_NEIGHBORHOOD)
TEST_KIND(swin, VKA_PATTERN_SWIN)
TEST_KIND(blocks, VKA_PATTERN_BLOCKS)
TEST_KIND(bits, VKA_PATTERN_BITS)
TEST_KIND(chunks, VKA_PATTERN_CHUNKS)

/* ---- compositions ---------------------------------------------------------------------------------------------- */

#define COMPOSITIONS 60

static void compositions(uint32_t part) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < COMPOSITIONS; n++) {
        ref_rng rng = ref_rng_seed(test_seed() * 1000003 + part * COMPOSITIONS + n);
        const uint32_t *size = sizes[ref_rng_below(&rng, SIZES)];
        vka_pattern_desc d;
        pattern_storage s;
        pattern_draw(&rng, size[0], size[1], ref_rng_below(&rng, 4), &s, &d);
        check(&c, &d);
        pattern_free(&s);
    }
    context_close(&c);
}

Test(pattern, compositions_1) {
    compositions(0);
}

Test(pattern, compositions_2) {
    compositions(1);
}

Test(pattern, compositions_3) {
    compositions(2);
}

/* What a generator never draws is tested by nobody. */
Test(pattern, draws_everything) {
    enum { DRAWS = 3000 };
    uint32_t kinds[LAST_PATTERN_KIND + 1] = {0}, intersects = 0, some_heads = 0, none = 0, ranks[4] = {0};
    for (uint32_t n = 0; n < DRAWS; n++) {
        ref_rng rng = ref_rng_seed(n);
        vka_pattern_desc d;
        pattern_storage s;
        pattern_draw(&rng, 60, 60, n % 3, &s, &d);
        none += d.term_count == 0;
        for (uint32_t i = 0; i < d.term_count; i++) {
            kinds[d.terms[i].kind]++;
            intersects += d.terms[i].intersect;
            some_heads += d.terms[i].heads > 0;
            ranks[d.terms[i].kind == VKA_PATTERN_NEIGHBORHOOD ? d.terms[i].grid.rank : 0]++;
        }
        while (d.term_count) { /* what shrinking does */
            uint32_t count = d.term_count;
            pattern_drop(&s, &d, ref_rng_below(&rng, count));
            cr_assert(d.term_count == count - 1 && (!d.term_count || !d.terms[0].intersect));
        }
        pattern_free(&s);
    }
    for (int kind = 0; kind <= LAST_PATTERN_KIND; kind++) {
        cr_expect_gt(kinds[kind], DRAWS / 20, "kind %d: %u of %d", kind, kinds[kind], DRAWS);
    }
    cr_expect(intersects > DRAWS / 4 && some_heads > DRAWS / 10 && none > DRAWS / 200);
    cr_expect(ranks[1] > 20 && ranks[2] > 20 && ranks[3] > 20);
}

/* ---- edges ----------------------------------------------------------------------------------------------------- */

#define TERMS(...)                                                                                                     \
    .terms = (const vka_pattern_term[]){__VA_ARGS__},                                                                  \
    .term_count = sizeof((const vka_pattern_term[]){__VA_ARGS__}) / sizeof(vka_pattern_term)

static vka_pattern_info info_of(const context *c, vka_pattern_desc d) {
    built b = build(c, &d, VKA_PATTERN_BUILD_HOST);
    vka_pattern_info info = b.map.info;
    destroy(&b);
    check(c, &d);
    return info;
}

/* Everything is one full tile after the other; nothing is no tile at all. */
Test(pattern, everything_and_nothing) {
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
Test(pattern, counts_by_hand) {
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
Test(pattern, heads) {
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
Test(pattern, many_terms) {
    vka_pattern_term terms[VKA_MAX_PATTERN_TERMS];
    context c;
    context_open(&c, &config_real);
    for (uint32_t intersect = 0; intersect < 2; intersect++) {
        for (uint32_t i = 0; i < VKA_MAX_PATTERN_TERMS; i++) {
            terms[i] = (vka_pattern_term){VKA_PATTERN_BIGBIRD, .intersect = intersect && i,
                                          .bigbird = {.block = intersect ? 40 - i : 1, .random_blocks = 1, .seed = i}};
        }
        vka_pattern_desc d = {.queries = 150, .keys = 151, .terms = terms, .term_count = VKA_MAX_PATTERN_TERMS};
        check(&c, &d);
    }
    context_close(&c);
}

/* Numbers that 32 bits do not hold the products and sums of. */
Test(pattern, large_numbers) {
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
        check(&c, &d);
    }
    context_close(&c);
}

/* Maps of real sizes, of which the paths' inner loops are made. */
Test(pattern, larger) {
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
    check(&c, &longformer);
    check(&c, &bigbird);
    check(&c, &image);
    check(&c, &swin);
    check(&c, &video);
    context_close(&c);
}

/* A million tokens, of which each sees 65: work follows the tiles that there are. */
Test(pattern, large_and_sparse) {
    enum { TOKENS = 1 << 20 };
    context c;
    context_open(&c, &config_real);
    vka_pattern_desc d = {.queries = TOKENS,
                          .keys = TOKENS,
                          .query_tile = 64,
                          .key_tile = 64,
                          TERMS({VKA_PATTERN_WINDOW, .window = {64, 0}})};
    built host = build(&c, &d, VKA_PATTERN_BUILD_HOST), device = build(&c, &d, VKA_PATTERN_BUILD_DEVICE);
    cr_expect_eq(host.map.info.pairs, (uint64_t)TOKENS * 65 - 64 * 65 / 2);
    cr_expect(host.map.info.live_tiles == 2 * (TOKENS / 64) - 1 && host.map.info.longest_row == 2);
    expect_same(&host, &device, "device");
    destroy(&host);
    destroy(&device);
    context_close(&c);
}

static bool is_ordered(const context *c, vka_pattern_desc d) {
    built b = build(c, &d, VKA_PATTERN_BUILD_HOST);
    bool ordered = b.map.info.ordered;
    destroy(&b);
    check(c, &d);
    return ordered;
}

/* Boxes are for terms that are all about one grid, and for square tiles. */
Test(pattern, when_there_are_boxes) {
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
Test(pattern, boxes_are_denser) {
    context c;
    context_open(&c, &config_real);
    vka_pattern_desc d = {.queries = 24 * 128,
                          .keys = 24 * 128,
                          .query_tile = 64,
                          .key_tile = 64,
                          TERMS({VKA_PATTERN_NEIGHBORHOOD, .grid = {.rank = 2, .size = {24, 128}, .window = {7, 7}}})};
    built boxes = build(&c, &d, VKA_PATTERN_BUILD_HOST);
    d.keep_order = true;
    built rows = build(&c, &d, VKA_PATTERN_BUILD_HOST);
    cr_expect(boxes.map.info.ordered && !rows.map.info.ordered && !rows.map.order);
    cr_expect_eq(boxes.map.info.pairs, rows.map.info.pairs);
    cr_expect_lt(boxes.map.info.live_tiles, rows.map.info.live_tiles);
    destroy(&boxes);
    destroy(&rows);
    context_close(&c);
}

/* ---- devices and threads --------------------------------------------------------------------------------------- */

static void on_device(const device_config *config) {
    context c;
    context_open(&c, config);
    ref_rng rng = ref_rng_seed(test_seed());
    for (int kind = 0; kind <= LAST_PATTERN_KIND; kind++) {
        check_kind(&c, &rng, (vka_pattern_kind)kind, 210, 210, 2);
        check_kind(&c, &rng, (vka_pattern_kind)kind, 144, 144, 0);
    }
    context_close(&c);
}

/* Whatever the device really is: many invocations share a row, and many tiles are looked at together. */
static void as_gpu(void *user, vka_device_caps *caps) {
    (void)user;
    caps->type = VKA_DEVICE_DISCRETE;
}
static const device_config config_gpu = {"gpu", as_gpu};

Test(pattern, gpu) {
    on_device(&config_gpu);
}

/* Rows of more tiles than are looked at together, with gaps: keys that all see, and documents that return. */
static void check_long_rows(const device_config *config) {
    static const uint32_t tokens[] = {0, 1, 40, 1999, 2000, 4990};
    static int32_t ids[5003];
    context c;
    context_open(&c, config);
    for (int i = 0; i < 5003; i++) {
        ids[i] = i / 100 % 7;
    }
    vka_pattern_desc d = {.queries = 50,
                          .keys = 5003,
                          .query_tile = 16,
                          .key_tile = 32,
                          TERMS({VKA_PATTERN_GLOBAL, .global = {tokens, 6, true}},
                                {VKA_PATTERN_DOCUMENTS, .documents = {ids}},
                                {VKA_PATTERN_GLOBAL, .global = {tokens + 2, 1}})};
    check(&c, &d);
    context_close(&c);
}

Test(pattern, long_rows) {
    check_long_rows(&config_real);
}

Test(pattern, long_rows_gpu) {
    check_long_rows(&config_gpu);
}

/* From tiles that share an invocation's turn to tiles that fill the room that there is. */
Test(pattern, gpu_tiles) {
    static const uint32_t tiles[][2] = {{16, 32}, {64, 128}, {128, 128}};
    context c;
    context_open(&c, &config_gpu);
    for (int i = 0; i < 3; i++) {
        vka_pattern_desc d = {
            .queries = 1001,
            .keys = 1030,
            .query_tile = tiles[i][0],
            .key_tile = tiles[i][1],
            TERMS({VKA_PATTERN_WINDOW, .window = {90, 150, 3}}, {VKA_PATTERN_WINDOW, .window = {300, 5}})};
        check(&c, &d);
    }
    context_close(&c);
}

Test(pattern, tiny) {
    on_device(&config_tiny);
}

Test(pattern, no_sub) {
    on_device(&config_no_sub);
}

Test(pattern, staged) {
    on_device(&config_staged);
}

Test(pattern, few_groups) {
    on_device(&config_few_groups);
}

Test(pattern, few_buffers) {
    on_device(&config_few_buffers);
}

/* Without a queue the host builds, where mapped memory is. */
Test(pattern, without_queue) {
    context_require_device();
    app a;
    app_open(&a, VK_API_VERSION_1_1, true);
    vka_import_desc desc = app_import(&a);
    context c = {.config = &config_real};
    desc.queue = VK_NULL_HANDLE;
    desc.narrow = config_staged.narrow;
    EXPECT_OK(vka_device_import(&desc, &c.device));
    vka_pattern_desc d = {.queries = 100, .keys = 70, TERMS({VKA_PATTERN_WINDOW, .window = {3, 4}})};
    vka_pattern *pattern = (vka_pattern *)(void *)&d;
    d.build = VKA_PATTERN_BUILD_DEVICE;
    EXPECT_FAILURE(vka_pattern_create(c.device, &d, &pattern), VKA_UNSUPPORTED, "vka_pattern_create.build");
    cr_expect_null(pattern);
    built automatic = build(&c, &d, VKA_PATTERN_BUILD_AUTO);
    check_map(&c, &automatic, &d);
    destroy(&automatic);
    vka_device_destroy(&c.device);
    app_close(&a);
    context_check("without queue");
}

/* A map that a binding does not see all of. */
Test(pattern, too_large) {
    context c;
    context_open(&c, &config_short);
    vka_pattern_desc d = {.queries = 4000,
                          .keys = 4000,
                          .query_tile = 16,
                          .key_tile = 32,
                          TERMS({VKA_PATTERN_WINDOW, .window = {500, 500}})};
    for (int how = VKA_PATTERN_BUILD_AUTO; how <= VKA_PATTERN_BUILD_HOST; how++) {
        vka_pattern *pattern = (vka_pattern *)(void *)&d;
        d.build = (vka_pattern_build)how;
        EXPECT_FAILURE(vka_pattern_create(c.device, &d, &pattern), VKA_UNSUPPORTED, "vka_pattern_create");
        cr_expect_null(pattern);
    }
    context_close(&c);
}

enum { THREADS = 4, ROUNDS = 3 };

typedef struct work {
    const context *c;
    const vka_pattern_desc *d;
    built b[ROUNDS];
} work;

static void *build_often(void *user) {
    work *w = user;
    for (int i = 0; i < ROUNDS; i++) {
        w->b[i] = build(w->c, w->d, (vka_pattern_build)(i % 3));
    }
    return NULL;
}

Test(pattern, threads) {
    context c;
    context_open(&c, &config_real);
    ref_rng rng = ref_rng_seed(test_seed());
    vka_pattern_desc d;
    pattern_storage s;
    pattern_draw(&rng, 144, 144, 2, &s, &d);
    pthread_t threads[THREADS];
    work works[THREADS];
    for (int i = 0; i < THREADS; i++) {
        works[i] = (work){.c = &c, .d = &d};
        cr_assert_eq(pthread_create(&threads[i], NULL, build_often, &works[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < THREADS * ROUNDS; i++) {
        expect_same(&works[0].b[0], &works[i / ROUNDS].b[i % ROUNDS], "thread");
    }
    for (int i = 0; i < THREADS * ROUNDS; i++) {
        destroy(&works[i / ROUNDS].b[i % ROUNDS]);
    }
    pattern_free(&s);
    context_close(&c);
}
