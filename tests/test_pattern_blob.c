/* Maps as blobs: one that is written by hand, and damaged ones, which are refused, or whose map lies within them.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "pattern_case.h"
#include "support/context.h"

/* ---- the format, see docs/pattern-format.md -------------------------------------------------------------------- */

/* Words of the header. */
enum {
    MAGIC,
    VERSION,
    QUERIES,
    KEYS,
    HEADS,
    QUERY_TILE,
    KEY_TILE,
    TILE_ROWS,
    TILE_COLUMNS,
    PERMUTED,
    LIVE_TILES,
    PARTIAL_TILES,
    CHECKSUM,
    HEADER = 16,
};

static void sign(uint32_t *words, size_t count) {
    uint32_t hash = 0x811c9dc5;
    for (size_t i = HEADER; i < count; i++) {
        hash = (hash ^ words[i]) * 0x01000193;
    }
    words[CHECKSUM] = hash;
}

/* A blob in memory that ends where it ends. */
typedef struct blob {
    uint32_t *words;
    size_t count;
} blob;

static blob blob_make(size_t count) {
    blob b = {malloc(4 * count), count};
    cr_assert_not_null(b.words, "the test itself is out of memory");
    return b;
}

static blob blob_copy(const blob *from) {
    blob b = blob_make(from->count);
    memcpy(b.words, from->words, 4 * from->count);
    return b;
}

static blob saved(const context *c, const vka_pattern_desc *d) {
    vka_pattern *pattern = NULL;
    size_t size = 0;
    EXPECT_OK(vka_pattern_create(c->device, d, &pattern));
    EXPECT_OK(vka_pattern_save(pattern, NULL, &size));
    blob b = blob_make(size / 4);
    EXPECT_OK(vka_pattern_save(pattern, b.words, &size));
    vka_pattern_destroy(&pattern);
    return b;
}

/* Two heads of five by three tiles, of which each row has a full one; 70 and 90 end within their last tiles. */
static blob linear(const context *c) {
    vka_pattern_desc d = {.queries = 70,
                          .keys = 90,
                          .heads = 2,
                          .query_tile = 16,
                          .key_tile = 32,
                          .build = VKA_PATTERN_BUILD_HOST,
                          TERMS({VKA_PATTERN_WINDOW, .window = {VKA_UNBOUNDED, 20}},
                                {VKA_PATTERN_CHUNKS, .first_head = 1, .chunks = {50}})};
    return saved(c, &d);
}

/* Nine by ten tokens in boxes of 32, some of which have holes. */
static blob boxes(const context *c) {
    vka_pattern_desc d = {.queries = 90,
                          .keys = 90,
                          .query_tile = 32,
                          .key_tile = 32,
                          .build = VKA_PATTERN_BUILD_HOST,
                          TERMS({VKA_PATTERN_NEIGHBORHOOD, .grid = {.rank = 2, .size = {9, 10}, .window = {5, 9}}})};
    return saved(c, &d);
}

static vka_pattern_map parsed(const blob *b) {
    vka_pattern_map map;
    EXPECT_OK(vka_pattern_parse(NULL, b->words, 4 * b->count, &map));
    return map;
}

/* Where a part of a map begins, in words of its blob. */
static size_t at(const blob *b, const void *part) {
    return (size_t)((const uint32_t *)part - b->words);
}

/* ---- a map that a caller wrote --------------------------------------------------------------------------------- */

/* Queries 0 .. 15 see keys 0 .. 31; query 16 sees key 35 and query 17 key 32. */
Test(pattern_blob, by_hand) {
    enum { ROWS = HEADER, TILES = ROWS + 3, BITS = TILES + 4, COUNT = BITS + 16 };
    context c;
    context_open(&c, &config_real);
    blob b = blob_make(COUNT);
    memset(b.words, 0, 4 * COUNT);
    static const uint32_t header[] = {0x504b5641, 1, 18, 40, 1, 16, 32, 2, 2, 0, 2, 1};
    static const uint32_t body[] = {0, 1, 2, 0, VKA_PATTERN_FULL, 1, 0, 1u << 3, 1u << 0};
    memcpy(b.words, header, sizeof header);
    memcpy(b.words + ROWS, body, sizeof body);
    sign(b.words, COUNT);
    vka_pattern *pattern = NULL;
    EXPECT_OK(vka_pattern_load(c.device, b.words, 4 * COUNT, &pattern));
    vka_pattern_info info = vka_pattern_get_info(pattern);
    cr_expect(info.pairs == 16 * 32 + 2 && info.live_tiles == 2 && info.full_tiles == 1 && info.longest_row == 1);
    vka_pattern_map map = parsed(&b);
    for (uint32_t p = 0; p < 20; p++) {
        for (uint32_t j = 0; j < 42; j++) {
            bool wanted = (p < 16 && j < 32) || (p == 16 && j == 35) || (p == 17 && j == 32);
            cr_expect_eq(vka_pattern_map_sees(&map, 0, p, j), wanted, "%u, %u", p, j);
        }
    }
    free(b.words);
    vka_pattern_destroy(&pattern);
    context_close(&c);
}

/* ---- damaged ones ---------------------------------------------------------------------------------------------- */

static void refused(const context *c, const blob *b, size_t size, const char *what) {
    vka_pattern_map map;
    vka_pattern *pattern = (vka_pattern *)(void *)&map;
    int64_t blocks = allocator_live();
    log_clear();
    vka_status status = vka_pattern_parse(c->device, b->words, size, &map);
    cr_assert_eq(status, VKA_INVALID, "%s: parse gives %d", what, status);
    EXPECT_FAILURE(vka_pattern_parse(c->device, b->words, size, &map), VKA_INVALID, "vka_pattern_parse.data");
    EXPECT_FAILURE(vka_pattern_load(c->device, b->words, size, &pattern), VKA_INVALID, "vka_pattern_load.data");
    cr_assert(!pattern && allocator_live() == blocks, "%s", what);
}

/* One word is another, and the checksum is right. */
static void damage(const context *c, const blob *good, size_t word, uint32_t value, const char *what) {
    blob b = blob_copy(good);
    cr_assert_lt(word, b.count, "%s", what);
    cr_assert_neq(b.words[word], value, "%s: nothing is damaged", what);
    b.words[word] = value;
    sign(b.words, b.count);
    refused(c, &b, 4 * b.count, what);
    free(b.words);
}

static void damage_header(const context *c, const blob *b) {
    static const struct {
        uint32_t word;
        const char *name;
    } sizes[] = {{QUERIES, "queries"},
                 {KEYS, "keys"},
                 {HEADS, "heads"},
                 {QUERY_TILE, "query_tile"},
                 {KEY_TILE, "key_tile"},
                 {TILE_ROWS, "tile_rows"},
                 {TILE_COLUMNS, "tile_columns"},
                 {LIVE_TILES, "live_tiles"},
                 {PARTIAL_TILES, "partial_tiles"}};
    static const uint32_t values[] = {0, 8, 256, 1u << 28, 1u << 31, UINT32_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t n = 0; n < sizeof values / sizeof *values; n++) {
            damage(c, b, sizes[i].word, values[n], sizes[i].name);
        }
        if (sizes[i].word > KEYS) {
            damage(c, b, sizes[i].word, b->words[sizes[i].word] + 1, sizes[i].name);
            damage(c, b, sizes[i].word, b->words[sizes[i].word] - 1, sizes[i].name);
        }
    }
    damage(c, b, MAGIC, 0x41564b50, "another byte order");
    damage(c, b, VERSION, b->words[VERSION] + 1, "another version");
    damage(c, b, PERMUTED, !b->words[PERMUTED], "a permutation that is there or not");
    damage(c, b, PERMUTED, b->words[PERMUTED] + 2, "ordered is no truth value");
    for (uint32_t word = CHECKSUM + 1; word < HEADER; word++) {
        damage(c, b, word, 1, "a reserved word");
    }
    blob wrong = blob_copy(b);
    wrong.words[CHECKSUM] ^= 1;
    refused(c, &wrong, 4 * wrong.count, "checksum");
    wrong.words[CHECKSUM] ^= 1;
    wrong.words[wrong.count - 1] ^= 0x80000000;
    refused(c, &wrong, 4 * wrong.count, "a bit that the checksum sees");
    free(wrong.words);
}

static void damage_rows(const context *c, const blob *b) {
    vka_pattern_map map = parsed(b);
    size_t rows = at(b, map.rows), last = rows + (size_t)map.info.heads * map.info.tile_rows;
    damage(c, b, rows, 1, "rows do not begin at 0");
    damage(c, b, rows + 1, UINT32_MAX, "a row ends beyond");
    damage(c, b, rows + 1, map.rows[2] + 1, "rows fall");
    damage(c, b, last, (uint32_t)map.info.live_tiles - 1, "rows end early");
    damage(c, b, last, (uint32_t)map.info.live_tiles + 1, "rows end late");
    damage(c, b, last, UINT32_MAX, "rows end far away");
}

/* The first tile of a kind, behind another of its row. */
static size_t find_tile(const vka_pattern_map *map, bool full) {
    for (uint32_t row = 0; row < map->info.heads * map->info.tile_rows; row++) {
        for (uint32_t i = map->rows[row] + 1; i < map->rows[row + 1]; i++) {
            if ((map->tiles[i].partial == VKA_PATTERN_FULL) == full) {
                return i;
            }
        }
    }
    cr_assert_fail("the test's map has no such tile");
    return 0;
}

static void damage_tiles(const context *c, const blob *b) {
    vka_pattern_map map = parsed(b);
    uint32_t partial_tiles = (uint32_t)(map.info.live_tiles - map.info.full_tiles);
    size_t tiles = at(b, map.tiles), i = find_tile(&map, false);
    damage(c, b, tiles + 2 * i, map.tiles[i - 1].column, "a column twice");
    damage(c, b, tiles + 2 * i, map.info.tile_columns, "a column beyond the last");
    damage(c, b, tiles + 2 * i, UINT32_MAX, "a column far away");
    damage(c, b, tiles + 2 * i + 1, partial_tiles, "bits beyond the last");
    damage(c, b, tiles + 2 * i + 1, VKA_PATTERN_FULL - 1, "bits far away");
    damage(c, b, tiles + 2 * i + 1, VKA_PATTERN_FULL, "full, and bits that nobody has");
    damage(c, b, tiles + 2 * i + 1, map.tiles[i].partial + 1, "bits of another tile");
}

Test(pattern_blob, damaged) {
    context c;
    context_open(&c, &config_real);
    blob both[] = {linear(&c), boxes(&c)};
    for (int i = 0; i < 2; i++) {
        damage_header(&c, &both[i]);
        damage_rows(&c, &both[i]);
        damage_tiles(&c, &both[i]);
        free(both[i].words);
    }
    context_close(&c);
}

/* Bits of queries and keys that there are none of would count, and lead out of tensors. */
Test(pattern_blob, bits_beyond) {
    context c;
    context_open(&c, &config_real);
    blob b = linear(&c);
    vka_pattern_map map = parsed(&b);
    size_t bits = at(&b, map.bits);
    for (uint32_t row = 0; row < 5; row++) {
        for (uint32_t i = map.rows[row]; i < map.rows[row + 1]; i++) {
            uint32_t partial = map.tiles[i].partial;
            if (partial == VKA_PATTERN_FULL) {
                continue;
            }
            for (uint32_t y = 0; y < 16; y++) {
                size_t word = bits + 16 * (size_t)partial + y;
                bool exists = 16 * row + y < 70;
                if (!exists) {
                    damage(&c, &b, word, 1, "a query beyond the last");
                } else if (map.tiles[i].column == 2) {
                    damage(&c, &b, word, b.words[word] | 1u << 26, "a key beyond the last");
                }
            }
        }
    }
    free(b.words);
    context_close(&c);
}

Test(pattern_blob, damaged_order) {
    context c;
    context_open(&c, &config_real);
    blob b = boxes(&c);
    vka_pattern_map map = parsed(&b);
    uint32_t slots = map.info.tile_rows * map.info.query_tile, hole = 0;
    size_t permutation = at(&b, map.permutation);
    while (map.permutation[hole] != UINT32_MAX) {
        hole++;
    }
    cr_assert_lt(hole, slots);
    damage(&c, &b, permutation, 90, "a token beyond the last");
    damage(&c, &b, permutation, UINT32_MAX - 1, "a token far away");
    damage(&c, &b, permutation, UINT32_MAX, "a token that has no slot");
    damage(&c, &b, permutation, map.permutation[1], "a token twice instead of another");
    damage(&c, &b, permutation + hole, map.permutation[1], "a token twice");
    free(b.words);
    context_close(&c);
}

/* No length but the whole is enough or too much, and a blob is at home where words are. */
Test(pattern_blob, sizes) {
    context c;
    context_open(&c, &config_real);
    blob whole[] = {linear(&c), boxes(&c)};
    for (int n = 0; n < 2; n++) {
        size_t size = 4 * whole[n].count;
        uint8_t *more = calloc(size + 9, 1);
        for (size_t bytes = 0; bytes < size; bytes++) {
            blob part = {malloc(bytes + !bytes), 0};
            memcpy(part.words, whole[n].words, bytes);
            refused(&c, &part, bytes, "a part");
            free(part.words);
        }
        memcpy(more, whole[n].words, size);
        for (size_t bytes = size + 1; bytes < size + 9; bytes++) {
            refused(&c, &(blob){(uint32_t *)(void *)more, 0}, bytes, "more than all");
        }
        memmove(more + 1, more, size);
        refused(&c, &(blob){(uint32_t *)(void *)(more + 1), 0}, size, "not where words are");
        free(more);
        free(whole[n].words);
    }
    context_close(&c);
}

/* ---- anything -------------------------------------------------------------------------------------------------- */

/* Reads all that a map leads to. */
static uint64_t visit(const vka_pattern_map *map, ref_rng *rng) {
    const vka_pattern_info *info = &map->info;
    uint64_t sum = 0, live = map->rows[(uint64_t)info->heads * info->tile_rows];
    uint32_t line = info->query_tile * (info->key_tile / 32);
    for (uint64_t i = 0; i < live; i++) {
        vka_pattern_tile tile = map->tiles[i];
        cr_assert_lt(tile.column, info->tile_columns);
        for (uint32_t word = 0; tile.partial != VKA_PATTERN_FULL && word < line; word++) {
            sum += map->bits[(size_t)tile.partial * line + word];
        }
    }
    for (uint64_t slot = 0; map->permutation && slot < (uint64_t)info->tile_rows * info->query_tile; slot++) {
        cr_assert(map->permutation[slot] == UINT32_MAX || map->permutation[slot] < info->queries);
    }
    for (int i = 0; i < 50; i++) {
        uint32_t head = ref_rng_below(rng, info->heads), p = ref_rng_below(rng, info->queries);
        sum += vka_pattern_map_sees(map, head, p, ref_rng_below(rng, info->keys));
    }
    return sum;
}

/* Zero, all ones, a bit more or less, what another word is, or anything. */
static uint32_t other_word(ref_rng *rng, const blob *b, size_t word) {
    const uint32_t kinds[] = {0,
                              UINT32_MAX,
                              b->words[word] + 1,
                              b->words[word] - 1,
                              b->words[word] ^ 1u << ref_rng_below(rng, 32),
                              b->words[ref_rng_below(rng, (uint32_t)b->count)],
                              ref_rng_below(rng, 100),
                              (uint32_t)ref_rng_u64(rng)};
    return kinds[ref_rng_below(rng, sizeof kinds / sizeof *kinds)];
}

static void fuzz(const context *c, const blob *good, uint32_t rounds) {
    ref_rng rng = ref_rng_seed(test_seed());
    uint32_t accepted = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        blob b = blob_copy(good);
        uint32_t changes = 1 + ref_rng_below(&rng, 4);
        for (uint32_t i = 0; i < changes; i++) {
            bool head = ref_rng_below(&rng, 3) == 0;
            size_t word = ref_rng_below(&rng, head ? HEADER : (uint32_t)b.count);
            b.words[word] = other_word(&rng, &b, word);
        }
        sign(b.words, b.count);
        vka_pattern_map map;
        log_clear();
        vka_status status = vka_pattern_parse(c->device, b.words, 4 * b.count, &map);
        cr_assert(status == VKA_OK || (status == VKA_INVALID && log_count(VKA_LOG_ERROR) == 1), "round %u: %d", round,
                  status);
        if (status == VKA_OK) {
            accepted++;
            visit(&map, &rng);
        }
        free(b.words);
    }
    cr_expect(accepted > rounds / 100 && accepted < rounds - rounds / 100, "%u of %u are accepted", accepted, rounds);
}

Test(pattern_blob, anything) {
    context c;
    context_open(&c, &config_real);
    blob both[] = {linear(&c), boxes(&c)};
    for (int i = 0; i < 2; i++) {
        fuzz(&c, &both[i], 20000);
        free(both[i].words);
    }
    context_close(&c);
}
