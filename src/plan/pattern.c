/* Sizes of block maps: tiles, boxes of a grid, and where a map's parts lie.
 * SPDX-License-Identifier: MIT */
#include "plan/pattern.h"

#include <stdio.h>
#include <string.h>

static bool is_grid(const vka_pattern_term *t) {
    return t->kind == VKA_PATTERN_NEIGHBORHOOD || t->kind == VKA_PATTERN_SWIN;
}

/* Boxes of a grid serve a map in which every term is about that grid. */
static bool is_ordered(const vka_pattern_desc *d) {
    bool ordered = !d->keep_order && d->term_count;
    for (uint32_t i = 0; i < d->term_count && ordered; ++i) {
        const vka_pattern_term *t = &d->terms[i], *first = &d->terms[0];
        ordered = is_grid(t) && t->grid.rank >= 2 && t->grid.rank == first->grid.rank &&
                  !memcmp(t->grid.size, first->grid.size, t->grid.rank * sizeof *t->grid.size);
    }
    return ordered;
}

void vka__pattern_box(uint32_t tile, uint32_t rank, uint32_t box[3]) {
    static const uint32_t planes[3][3] = {{1, 4, 8}, {1, 8, 8}, {1, 8, 16}};
    static const uint32_t cubes[3][3] = {{2, 4, 4}, {4, 4, 4}, {4, 4, 8}};
    int size = tile == 32 ? 0 : tile == 64 ? 1 : 2;
    memcpy(box, rank == 2 ? planes[size] : cubes[size], sizeof planes[0]);
}

static vka_status refuse(vka__refusal *refusal, const char *field, const char *reason) {
    refusal->field = field;
    snprintf(refusal->reason, sizeof refusal->reason, "%s", reason);
    return VKA_INVALID;
}

/* CPUs: little is computed in vain. GPUs: enough work for a workgroup. */
static vka_status choose_tiles(const vka_pattern_desc *d, vka_device_type device, vka_pattern_info *info,
                               vka__refusal *refusal) {
    uint32_t usual = device == VKA_DEVICE_CPU ? 32 : 64;
    info->query_tile = d->query_tile ? d->query_tile : usual;
    info->key_tile = d->key_tile ? d->key_tile : usual;
    if (!info->ordered)
        return VKA_OK;
    if (!d->query_tile && d->key_tile)
        info->query_tile = d->key_tile;
    if (d->query_tile && !d->key_tile)
        info->key_tile = d->query_tile;
    if (info->query_tile < 32)
        return refuse(refusal, "query_tile", "a box of a grid has 32, 64 or 128 tokens, unless keep_order is set");
    if (info->query_tile != info->key_tile)
        return refuse(refusal, "query_tile", "must be key_tile in boxes of a grid, unless keep_order is set");
    return VKA_OK;
}

static vka_status count_boxes(const vka_pattern_desc *d, vka_pattern_info *info, vka__refusal *refusal) {
    uint32_t rank = d->terms[0].grid.rank, box[3];
    uint64_t boxes = 1;
    vka__pattern_box(info->query_tile, rank, box);
    for (uint32_t i = 0; i < rank; ++i)
        boxes *= vka__div_up(d->terms[0].grid.size[i], box[3 - rank + i]);
    if (boxes * info->query_tile > INT32_MAX)
        return refuse(refusal, "keep_order", "must be set: boxes of so thin a grid would have 2^31 places");
    info->tile_rows = info->tile_columns = (uint32_t)boxes;
    return VKA_OK;
}

vka_status vka__pattern_geometry(const vka_pattern_desc *d, vka_device_type device, vka_pattern_info *info,
                                 vka__refusal *refusal) {
    *info = (vka_pattern_info){
        .queries = d->queries, .keys = d->keys, .heads = vka__max_u32(d->heads, 1), .ordered = is_ordered(d)};
    vka_status status = choose_tiles(d, device, info, refusal);
    if (status != VKA_OK)
        return status;
    if (info->ordered)
        return count_boxes(d, info, refusal);
    info->tile_rows = vka__div_up(d->queries, info->query_tile);
    info->tile_columns = vka__div_up(d->keys, info->key_tile);
    return VKA_OK;
}

bool vka__pattern_layout(vka__pattern_shape *s) {
    vka_pattern_info *info = &s->info;
    uint64_t rows = (uint64_t)info->heads * info->tile_rows;
    uint64_t partial = info->live_tiles - info->full_tiles, tile_words = info->query_tile * (info->key_tile / 32);
    uint64_t order = info->ordered ? (uint64_t)info->tile_rows * info->query_tile : 0;
    if (rows > UINT32_MAX || info->live_tiles > UINT32_MAX || partial > UINT32_MAX)
        return false;
    uint64_t bits_at = rows + 1 + 2 * info->live_tiles, order_at = bits_at + partial * tile_words;
    s->words = order_at + order;
    if (s->words > UINT32_MAX)
        return false;
    s->tiles_at = (uint32_t)rows + 1;
    s->bits_at = (uint32_t)bits_at;
    s->order_at = order ? (uint32_t)order_at : 0;
    info->bytes = 4 * s->words;
    info->density = (double)info->pairs / ((double)info->heads * info->queries * info->keys);
    return true;
}
