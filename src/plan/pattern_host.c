/* Block maps built by the host, row after row.
 * SPDX-License-Identifier: MIT */
#include "plan/pattern_build.h"

#include <string.h>

#include "pattern_terms.h"

typedef struct words {
    uint32_t *at;
    uint64_t count, capacity;
} words;

typedef struct builder {
    const vka__context *ctx;
    const uint32_t *program;
    vka_pattern_info *info;
    uint64_t most; /* words of the map */
    uint32_t *rows;
    words tiles, bits;
} builder;

/* Room for `count` more words; nothing is counted yet. */
static bool reserve(const vka__context *ctx, words *w, uint64_t count) {
    uint64_t need = w->count + count;
    if (need <= w->capacity)
        return true;
    uint64_t capacity = vka__max_u64(need, w->capacity + w->capacity / 2);
    uint32_t *grown = capacity > SIZE_MAX / 4 ? NULL : vka__realloc(ctx, w->at, (size_t)capacity * 4);
    if (!grown)
        return false;
    w->at = grown;
    w->capacity = capacity;
    return true;
}

/* The bits of a tile and their number. `full`: every query that there is sees every key that there is, where a place
 * without a token counts as a key that nobody sees. */
static uint32_t fill_tile(const builder *b, uint32_t head, uint32_t row, uint32_t t, uint32_t *out, bool *full) {
    uint32_t seen = 0, all = UINT32_MAX, first = row * b->info->query_tile;
    for (uint32_t i = 0; i < b->info->query_tile; ++i) {
        bool exists = place_query(b->program, first + i) != VKA_PATTERN_NONE;
        for (uint32_t word = 0; word < b->info->key_tile / 32; ++word) {
            uint32_t j0 = t * b->info->key_tile + 32 * word;
            uint32_t bits = exists ? pattern_word(b->program, head, first + i, j0) : 0;
            all &= exists ? bits | ~existing_keys(b->program, j0) : UINT32_MAX;
            seen += vka__count_bits(bits);
            *out++ = bits;
        }
    }
    *full = all == UINT32_MAX;
    return seen;
}

static bool add_tile(builder *b, uint32_t head, uint32_t row, uint32_t t) {
    vka_pattern_info *info = b->info;
    uint32_t tile_words = info->query_tile * (info->key_tile / 32);
    if (!reserve(b->ctx, &b->tiles, 2) || !reserve(b->ctx, &b->bits, tile_words))
        return false;
    bool full = pattern_is_full(b->program, head, row * info->query_tile, last_place(b->program, row), t);
    uint32_t pairs = full ? tile_queries(b->program, row) * tile_keys(b->program, t)
                          : fill_tile(b, head, row, t, b->bits.at + b->bits.count, &full);
    if (!pairs)
        return true;
    uint32_t *tile = b->tiles.at + b->tiles.count;
    tile[0] = t;
    tile[1] = full ? VKA_PATTERN_FULL : (uint32_t)(b->bits.count / tile_words);
    b->tiles.count += 2;
    b->bits.count += full ? 0 : tile_words;
    info->full_tiles += full;
    info->pairs += pairs;
    return true;
}

static vka_status build_row(builder *b, uint32_t head, uint32_t row) {
    uint32_t i0 = row * b->info->query_tile, i1 = last_place(b->program, row);
    uint64_t before = b->tiles.count;
    for (uint32_t t = pattern_next(b->program, head, i0, i1, 0); t != VKA_PATTERN_NONE;
         t = pattern_next(b->program, head, i0, i1, t + 1)) {
        if (!add_tile(b, head, row, t))
            return VKA_OUT_OF_MEMORY;
        if (b->tiles.count + b->bits.count > b->most)
            return VKA_UNSUPPORTED;
    }
    uint32_t live = (uint32_t)((b->tiles.count - before) / 2);
    b->info->live_tiles += live;
    b->info->longest_row = vka__max_u32(b->info->longest_row, live);
    return VKA_OK;
}

static vka_status build_rows(builder *b) {
    uint32_t *out = b->rows;
    for (uint32_t head = 0; head < b->info->heads; ++head)
        for (uint32_t row = 0; row < b->info->tile_rows; ++row) {
            vka_status status = build_row(b, head, row);
            if (status != VKA_OK)
                return status;
            *++out = (uint32_t)b->info->live_tiles;
        }
    return VKA_OK;
}

/* One part after the other. */
static uint32_t *assemble(const builder *b, const vka__pattern_shape *shape) {
    uint32_t *out = shape->words > SIZE_MAX / 4 ? NULL : vka__alloc(b->ctx, (size_t)shape->words, sizeof *out);
    if (!out)
        return NULL;
    memcpy(out, b->rows, (size_t)shape->tiles_at * 4);
    if (b->tiles.count)
        memcpy(out + shape->tiles_at, b->tiles.at, (size_t)b->tiles.count * 4);
    if (b->bits.count)
        memcpy(out + shape->bits_at, b->bits.at, (size_t)b->bits.count * 4);
    if (shape->info.ordered)
        for (uint32_t place = 0; place < shape->info.tile_rows * shape->info.query_tile; ++place)
            out[shape->order_at + place] = place_query(b->program, place);
    return out;
}

vka_status vka__pattern_build(const vka__context *ctx, const vka__pattern_program *program, uint64_t most,
                              uint32_t **out, vka__pattern_shape *shape) {
    *shape = (vka__pattern_shape){.info = program->info};
    *out = NULL;
    builder b = {.ctx = ctx, .program = program->words, .info = &shape->info, .most = most};
    uint64_t rows = (uint64_t)shape->info.heads * shape->info.tile_rows;
    if (rows >= most)
        return VKA_UNSUPPORTED;
    b.rows = vka__alloc(ctx, (size_t)rows + 1, sizeof *b.rows);
    vka_status status = b.rows ? build_rows(&b) : VKA_OUT_OF_MEMORY;
    if (status == VKA_OK && (!vka__pattern_layout(shape) || shape->words > most))
        status = VKA_UNSUPPORTED;
    if (status == VKA_OK) {
        *out = assemble(&b, shape);
        status = *out ? VKA_OK : VKA_OUT_OF_MEMORY;
    }
    vka__free(ctx, b.rows);
    vka__free(ctx, b.tiles.at);
    vka__free(ctx, b.bits.at);
    return status;
}
