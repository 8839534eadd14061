/* Block maps built by the host, row after row.
 * SPDX-License-Identifier: MIT */
#include "ops/pattern/build.h"

#include <string.h>

#include "pattern_terms.h"
#include "ops/pattern/tile.h"

typedef struct words {
    uint32_t *at;
    uint64_t count, capacity;
} words;

typedef struct builder {
    const vka__context *ctx;
    vka__tile_row row;
    vka_pattern_info *info;
    uint64_t most; /* words of the map */
    uint32_t *rows;
    words tiles, bits, permutation;
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

/* A tile that is full, or has these bits. */
static void count_tile(builder *b, uint32_t t, bool full, uint32_t pairs, uint32_t tile_words) {
    uint32_t *tile = b->tiles.at + b->tiles.count;
    tile[0] = t;
    tile[1] = full ? VKA_PATTERN_FULL : (uint32_t)(b->bits.count / tile_words);
    b->tiles.count += 2;
    b->bits.count += full ? 0 : tile_words;
    b->info->full_tiles += full;
    b->info->pairs += pairs;
}

/* Full: every query that there is sees every key that there is, where a slot without a token counts as a key that
 * nobody sees. */
static bool add_tile(builder *b, uint32_t t) {
    const vka__tile_row *row = &b->row;
    uint32_t tile_words = b->info->query_tile * (b->info->key_tile / 32);
    if (!reserve(b->ctx, &b->tiles, 2) || !reserve(b->ctx, &b->bits, tile_words))
        return false;
    uint32_t all = row->queries * tile_keys(row->program, t), pairs = all;
    if (!pattern_is_full(row->program, row->head, row->i0, row->i1, t)) {
        uint32_t *bits = b->bits.at + b->bits.count;
        vka__tile_row_words(row, t, bits);
        pairs = 0;
        for (uint32_t i = 0; i < tile_words; ++i)
            pairs += vka__count_bits(bits[i]);
    }
    if (pairs)
        count_tile(b, t, pairs == all, pairs, tile_words);
    return true;
}

static vka_status build_row(builder *b) {
    const vka__tile_row *row = &b->row;
    uint64_t before = b->tiles.count;
    for (uint32_t t = 0; (t = pattern_next(row->program, row->head, row->i0, row->i1, t)) != VKA_PATTERN_NONE; ++t) {
        if (!add_tile(b, t))
            return VKA_OUT_OF_MEMORY;
        if (b->tiles.count + b->bits.count > b->most)
            return VKA_UNSUPPORTED;
    }
    uint32_t live = (uint32_t)((b->tiles.count - before) / 2);
    b->info->live_tiles += live;
    b->info->longest_row = vka__max_u32(b->info->longest_row, live);
    return VKA_OK;
}

static bool add_permutation(builder *b) {
    if (!reserve(b->ctx, &b->permutation, b->info->query_tile))
        return false;
    vka__tile_row_permutation(&b->row, b->permutation.at + b->permutation.count);
    b->permutation.count += b->info->query_tile;
    return true;
}

static vka_status build_rows(builder *b) {
    uint32_t *out = b->rows;
    for (uint32_t head = 0; head < b->info->heads; ++head)
        for (uint32_t row = 0; row < b->info->tile_rows; ++row) {
            vka__tile_row_begin(&b->row, head, row);
            vka_status status = build_row(b);
            if (status == VKA_OK && b->info->ordered && head == 0 && !add_permutation(b))
                status = VKA_OUT_OF_MEMORY;
            if (status != VKA_OK)
                return status;
            *++out = (uint32_t)b->info->live_tiles;
        }
    return VKA_OK;
}

/* One part after the other, in the memory that the bits have, which are most of it. */
static uint32_t *assemble(builder *b, const vka__pattern_shape *shape) {
    if (!reserve(b->ctx, &b->bits, shape->words - b->bits.count))
        return NULL;
    uint32_t *out = b->bits.at;
    memmove(out + shape->bits_at, out, (size_t)b->bits.count * 4);
    memcpy(out, b->rows, (size_t)shape->tiles_at * 4);
    if (b->tiles.count)
        memcpy(out + shape->tiles_at, b->tiles.at, (size_t)b->tiles.count * 4);
    if (b->permutation.count)
        memcpy(out + shape->permutation_at, b->permutation.at, (size_t)b->permutation.count * 4);
    b->bits = (words){0};
    return out;
}

vka_status vka__pattern_build(const vka__context *ctx, const vka__pattern_program *program, uint64_t most,
                              uint32_t **out, vka__pattern_shape *shape) {
    *shape = (vka__pattern_shape){.info = program->info};
    *out = NULL;
    builder b = {.ctx = ctx, .info = &shape->info, .most = most};
    uint64_t rows = (uint64_t)shape->info.heads * shape->info.tile_rows;
    if (rows >= most)
        return VKA_UNSUPPORTED;
    b.rows = vka__alloc(ctx, (size_t)rows + 1, sizeof *b.rows);
    bool begun = vka__tile_row_init(ctx, program->words, &b.row) && b.rows;
    vka_status status = begun ? build_rows(&b) : VKA_OUT_OF_MEMORY;
    if (status == VKA_OK && (!vka__pattern_layout(shape) || shape->words > most))
        status = VKA_UNSUPPORTED;
    if (status == VKA_OK) {
        *out = assemble(&b, shape);
        status = *out ? VKA_OK : VKA_OUT_OF_MEMORY;
    }
    vka__free(ctx, b.rows);
    vka__free(ctx, b.tiles.at);
    vka__free(ctx, b.bits.at);
    vka__free(ctx, b.permutation.at);
    vka__tile_row_free(ctx, &b.row);
    return status;
}
