/* Block maps as blobs: docs/pattern-format.md has the format.
 * SPDX-License-Identifier: MIT */
#include "ops/pattern/object.h"

#include <stdlib.h>
#include <string.h>

#define BLOB_MAGIC   0x504b5641u /* "AVKP" in memory */
#define BLOB_VERSION 1u

typedef struct header {
    uint32_t magic, version;
    uint32_t queries, keys, heads;
    uint32_t query_tile, key_tile;
    uint32_t tile_rows, tile_columns;
    uint32_t ordered; /* 0 or 1 */
    uint32_t live_tiles, partial_tiles;
    uint32_t checksum; /* of the words behind the header */
    uint32_t reserved[3];
} header;

/* FNV-1a over words instead of bytes. */
static uint32_t checksum_of(const uint32_t *words, uint64_t count) {
    uint32_t hash = 0x811c9dc5u;
    for (uint64_t i = 0; i < count; ++i)
        hash = (hash ^ words[i]) * 0x01000193u;
    return hash;
}

/* ---- checks ---------------------------------------------------------------------------------------------------- */

/* A blob that is being checked; the first rule that it breaks has a name. */
typedef struct blob {
    vka__pattern_shape *shape;
    const uint32_t *rows, *tiles, *bits, *permutation;
    uint32_t partial_tiles;
    const char *broken;
} blob;

static bool require(blob *b, bool holds, const char *rule) {
    if (!holds && !b->broken)
        b->broken = rule;
    return holds;
}

static bool is_tile(uint32_t tokens) {
    return tokens == 32 || tokens == 64 || tokens == 128;
}

static uint32_t tiles_of(uint32_t tokens, uint32_t tile) {
    return tile ? vka__div_up(tokens, tile) : 0;
}

static bool check_header(blob *b, const header *h, size_t size) {
    bool whole = size >= sizeof *h;
    if (!require(b, whole && h->magic == BLOB_MAGIC, "it is no pattern of a machine of this byte order") ||
        !require(b, h->version == BLOB_VERSION, "its version is unknown"))
        return false;
    bool square = h->queries == h->keys && h->query_tile == h->key_tile && h->tile_rows == h->tile_columns &&
                  h->query_tile >= 32 && (uint64_t)h->tile_rows * h->query_tile <= INT32_MAX;
    bool linear =
        h->tile_rows == tiles_of(h->queries, h->query_tile) && h->tile_columns == tiles_of(h->keys, h->key_tile);
    return require(b, h->queries && h->queries < VKA_PATTERN_LIMIT, "queries are not 1 .. 2^28 - 1") &&
           require(b, h->keys && h->keys < VKA_PATTERN_LIMIT, "keys are not 1 .. 2^28 - 1") &&
           require(b, h->heads, "there are no heads") &&
           require(b, is_tile(h->query_tile) || h->query_tile == 16, "query_tile is not 16, 32, 64 or 128") &&
           require(b, is_tile(h->key_tile), "key_tile is not 32, 64 or 128") &&
           require(b, h->ordered <= 1, "ordered is not 0 or 1") &&
           require(b, h->ordered ? square : linear, "tile_rows and tile_columns don't fit queries and keys") &&
           require(b, h->partial_tiles <= h->live_tiles, "there are more partial tiles than live ones") &&
           require(b, !(h->reserved[0] | h->reserved[1] | h->reserved[2]), "reserved words are not 0");
}

static bool check_size(blob *b, const header *h, size_t size, const uint32_t *words) {
    vka__pattern_shape *s = b->shape;
    s->info = (vka_pattern_info){
        .queries = h->queries,
        .keys = h->keys,
        .heads = h->heads,
        .query_tile = h->query_tile,
        .key_tile = h->key_tile,
        .tile_rows = h->tile_rows,
        .tile_columns = h->tile_columns,
        .ordered = h->ordered,
        .live_tiles = h->live_tiles,
        .full_tiles = h->live_tiles - h->partial_tiles,
    };
    if (!require(b, vka__pattern_layout(s), "it would have more than 2^32 words") ||
        !require(b, (size - sizeof *h) / 4 == s->words && size % 4 == 0, "its size is not what its header says") ||
        !require(b, checksum_of(words, s->words) == h->checksum, "its checksum is wrong"))
        return false;
    b->rows = words;
    b->tiles = words + s->tiles_at;
    b->bits = words + s->bits_at;
    b->permutation = s->permutation_at ? words + s->permutation_at : NULL;
    return true;
}

static bool check_rows(blob *b) {
    vka_pattern_info *info = &b->shape->info;
    uint64_t rows = (uint64_t)info->heads * info->tile_rows;
    bool good = b->rows[0] == 0;
    for (uint64_t row = 0; row < rows && good; ++row) {
        good = b->rows[row] <= b->rows[row + 1];
        if (good)
            info->longest_row = vka__max_u32(info->longest_row, b->rows[row + 1] - b->rows[row]);
    }
    return require(b, good && b->rows[rows] == info->live_tiles, "its rows do not go from 0 to the live tiles");
}

/* Each token once; `seen` has a bit for each. */
static bool check_permutation(blob *b, uint32_t *seen) {
    const vka_pattern_info *info = &b->shape->info;
    uint32_t placed = 0;
    bool good = true;
    for (uint32_t slot = 0; slot < info->tile_rows * info->query_tile && good; ++slot) {
        uint32_t token = b->permutation[slot];
        if (token == UINT32_MAX)
            continue;
        good = token < info->queries && !(seen[token / 32] >> token % 32 & 1);
        if (good)
            seen[token / 32] |= 1u << token % 32;
        placed += good;
    }
    return require(b, good && placed == info->queries, "its permutation does not have each token once");
}

/* A word of the slots from `slot` on that have a token. */
static uint32_t tokens_in_word(const blob *b, uint64_t slot, uint32_t tokens) {
    if (!b->permutation) {
        uint64_t left = slot < tokens ? tokens - slot : 0;
        return left >= 32 ? UINT32_MAX : (1u << left) - 1;
    }
    uint32_t word = 0;
    for (uint32_t i = 0; i < 32; ++i)
        word |= (uint32_t)(b->permutation[slot + i] != UINT32_MAX) << i;
    return word;
}

static bool query_exists(const blob *b, uint64_t slot) {
    return b->permutation ? b->permutation[slot] != UINT32_MAX : slot < b->shape->info.queries;
}

/* Places from `first` on that have a token. */
static uint32_t tokens_in_tile(const blob *b, uint64_t first, uint32_t tile, uint32_t tokens) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < tile; i += 32)
        count += vka__count_bits(tokens_in_word(b, first + i, tokens) &
                                 (tile - i < 32 ? (1u << (tile - i)) - 1 : UINT32_MAX));
    return count;
}

/* The pairs of a full tile. False: a key's slot has no token; kernels don't look. */
static bool add_full_tile(blob *b, uint64_t first_query, uint64_t first_key) {
    vka_pattern_info *info = &b->shape->info;
    uint32_t queries = tokens_in_tile(b, first_query, info->query_tile, info->queries);
    uint32_t keys = tokens_in_tile(b, first_key, info->key_tile, info->keys);
    info->pairs += (uint64_t)queries * keys;
    return !b->permutation || keys == info->key_tile;
}

/* The pairs of a partial tile. False: bits are set of what is no token. */
static bool add_partial_tile(blob *b, uint64_t first_query, uint64_t first_key, const uint32_t *bits) {
    vka_pattern_info *info = &b->shape->info;
    uint32_t words = info->key_tile / 32, keys[4];
    for (uint32_t w = 0; w < words; ++w)
        keys[w] = tokens_in_word(b, first_key + 32 * w, info->keys);
    for (uint32_t i = 0; i < info->query_tile; ++i) {
        bool exists = query_exists(b, first_query + i);
        for (uint32_t w = 0; w < words; ++w, ++bits) {
            if (*bits & ~(exists ? keys[w] : 0))
                return false;
            info->pairs += vka__count_bits(*bits);
        }
    }
    return true;
}

static bool add_tile(blob *b, uint32_t row, uint32_t column, uint32_t partial) {
    const vka_pattern_info *info = &b->shape->info;
    uint64_t first_query = (uint64_t)row * info->query_tile, first_key = (uint64_t)column * info->key_tile;
    if (partial == VKA_PATTERN_FULL)
        return add_full_tile(b, first_query, first_key);
    return add_partial_tile(b, first_query, first_key,
                            b->bits + (uint64_t)partial * info->query_tile * (info->key_tile / 32));
}

static bool check_tiles(blob *b) {
    const vka_pattern_info *info = &b->shape->info;
    uint64_t rows = (uint64_t)info->heads * info->tile_rows;
    uint32_t partials = 0;
    for (uint64_t row = 0; row < rows; ++row)
        for (uint32_t i = b->rows[row]; i < b->rows[row + 1]; ++i) {
            uint32_t column = b->tiles[2 * (uint64_t)i], partial = b->tiles[2 * (uint64_t)i + 1];
            bool ascends = i == b->rows[row] || b->tiles[2 * (uint64_t)i - 2] < column;
            if (!require(b, ascends && column < info->tile_columns, "columns of a row don't ascend below the last") ||
                !require(b, partial == VKA_PATTERN_FULL || (partial == partials && partial < b->partial_tiles),
                         "partial tiles are not numbered one after the other"))
                return false;
            partials += partial != VKA_PATTERN_FULL;
            if (!require(b, add_tile(b, (uint32_t)(row % info->tile_rows), column, partial),
                         "a tile has bits of what is no token"))
                return false;
        }
    return require(b, partials == b->partial_tiles, "the number of partial tiles is wrong");
}

vka_status vka__pattern_parse(const vka__context *ctx, const char *function, const void *data, size_t size,
                              vka__pattern_shape *shape, const uint32_t **words) {
    *shape = (vka__pattern_shape){0};
    blob b = {.shape = shape};
    const header *h = data;
    if (!data || (uintptr_t)data % 4) {
        b.broken = data ? "it does not lie at a multiple of 4 bytes" : "it is NULL";
        return vka__fail(ctx, VKA_INVALID, function, "the blob is refused: %s", b.broken);
    }
    bool good = check_header(&b, h, size);
    *words = good ? (const uint32_t *)(h + 1) : NULL;
    b.partial_tiles = good ? h->partial_tiles : 0;
    good = good && check_size(&b, h, size, *words) && check_rows(&b);
    if (good && b.permutation) {
        uint32_t *seen = vka__alloc(ctx, vka__div_up(h->queries, 32), sizeof *seen);
        if (!seen)
            return vka__fail(ctx, VKA_OUT_OF_MEMORY, function, "no host memory");
        good = check_permutation(&b, seen);
        vka__free(ctx, seen);
    }
    good = good && check_tiles(&b);
    if (!good)
        return vka__fail(ctx, VKA_INVALID, function, "the blob is refused: %s", b.broken);
    vka__pattern_layout(shape); /* its density, of the pairs that were counted */
    return VKA_OK;
}

/* ---- public ---------------------------------------------------------------------------------------------------- */

vka_status vka_pattern_parse(const vka_device *device, const void *data, size_t size, vka_pattern_map *map) {
    vka__context silent;
    vka__context_init(&silent, "vka_pattern_parse", &(vka_log){0}, &(vka_allocator){0});
    const vka__context *ctx = device ? vka__device_context(device) : &silent;
    if (!map)
        return vka__fail(ctx, VKA_INVALID, "vka_pattern_parse.map", "must not be NULL");
    vka__pattern_shape shape;
    const uint32_t *words;
    vka_status status = vka__pattern_parse(ctx, "vka_pattern_parse.data", data, size, &shape, &words);
    *map = (vka_pattern_map){0};
    if (status != VKA_OK)
        return status;
    *map = (vka_pattern_map){
        .info = shape.info,
        .rows = words,
        .tiles = (const vka_pattern_tile *)(words + shape.tiles_at),
        .bits = words + shape.bits_at,
        .permutation = shape.permutation_at ? words + shape.permutation_at : NULL,
    };
    return VKA_OK;
}

vka_status vka_pattern_save(const vka_pattern *pattern, void *data, size_t *size) {
    if (!pattern)
        return vka__fail(NULL, VKA_INVALID, "vka_pattern_save.pattern", "must not be NULL");
    const vka__context *ctx = vka__device_context(vka__pattern_device(pattern));
    const vka__pattern_shape *s = vka__pattern_shape_of(pattern);
    if (!size)
        return vka__fail(ctx, VKA_INVALID, "vka_pattern_save.size", "must not be NULL");
    uint64_t bytes = sizeof(header) + 4 * s->words;
    if (bytes > SIZE_MAX)
        return vka__fail(ctx, VKA_OUT_OF_MEMORY, "vka_pattern_save", "no host memory has %llu bytes",
                         (unsigned long long)bytes);
    size_t capacity = *size;
    *size = (size_t)bytes;
    if (!data)
        return VKA_OK;
    if (capacity < bytes)
        return vka__fail(ctx, VKA_INVALID, "vka_pattern_save.size", "is %zu, but %llu are needed", capacity,
                         (unsigned long long)bytes);
    /* The destination may lie anywhere; the checksum wants words. */
    uint32_t *words = vka__alloc(ctx, (size_t)s->words, sizeof *words);
    if (!words)
        return vka__fail(ctx, VKA_OUT_OF_MEMORY, "vka_pattern_save", "no host memory");
    vka_status status = vka_buffer_read(vka__pattern_buffer(pattern), 0, words, 4 * s->words);
    const header h = {
        .magic = BLOB_MAGIC,
        .version = BLOB_VERSION,
        .queries = s->info.queries,
        .keys = s->info.keys,
        .heads = s->info.heads,
        .query_tile = s->info.query_tile,
        .key_tile = s->info.key_tile,
        .tile_rows = s->info.tile_rows,
        .tile_columns = s->info.tile_columns,
        .ordered = s->info.ordered,
        .live_tiles = (uint32_t)s->info.live_tiles,
        .partial_tiles = (uint32_t)(s->info.live_tiles - s->info.full_tiles),
        .checksum = status == VKA_OK ? checksum_of(words, s->words) : 0,
    };
    if (status == VKA_OK) {
        memcpy(data, &h, sizeof h);
        memcpy((char *)data + sizeof h, words, (size_t)s->words * 4);
    }
    vka__free(ctx, words);
    return status;
}

/* Where a token is; UINT32_MAX: nowhere. */
static uint32_t place_of(const vka_pattern_map *map, uint32_t token, uint32_t tokens) {
    if (token >= tokens)
        return UINT32_MAX;
    if (!map->permutation)
        return token;
    uint32_t slot = 0, slots = map->info.tile_rows * map->info.query_tile;
    while (slot < slots && map->permutation[slot] != token)
        ++slot;
    return slot < slots ? slot : UINT32_MAX;
}

static int compare_columns(const void *key, const void *tile) {
    uint32_t a = *(const uint32_t *)key, b = ((const vka_pattern_tile *)tile)->column;
    return a < b ? -1 : a > b;
}

bool vka_pattern_map_sees(const vka_pattern_map *map, uint32_t head, uint32_t query, uint32_t key) {
    if (!map || !map->rows)
        return false;
    const vka_pattern_info *info = &map->info;
    uint32_t i = place_of(map, query, info->queries), j = place_of(map, key, info->keys);
    if (i == UINT32_MAX || j == UINT32_MAX || (info->heads > 1 && head >= info->heads))
        return false;
    uint64_t row = (info->heads > 1 ? (uint64_t)head * info->tile_rows : 0) + i / info->query_tile;
    uint32_t column = j / info->key_tile, words = info->key_tile / 32;
    const vka_pattern_tile *tile = bsearch(&column, map->tiles + map->rows[row], map->rows[row + 1] - map->rows[row],
                                           sizeof *tile, compare_columns);
    if (!tile || tile->partial == VKA_PATTERN_FULL)
        return tile;
    uint64_t line = (uint64_t)tile->partial * info->query_tile + i % info->query_tile;
    return map->bits[line * words + j % info->key_tile / 32] >> j % 32 & 1;
}
