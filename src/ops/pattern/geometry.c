/* Sizes of block maps: tiles, boxes of a grid, and where a map's parts lie.
 * SPDX-License-Identifier: MIT */
#include "ops/pattern/build.h"

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

/* CPUs: little is computed in vain. GPUs: enough work for a workgroup. Of a box, one tile size is the other. */
static void choose_tiles(const vka_pattern_desc *d, vka_device_type device, vka_pattern_info *info) {
    uint32_t usual = device == VKA_DEVICE_CPU ? 32 : 64;
    uint32_t query_usual = info->ordered && d->key_tile ? d->key_tile : usual;
    uint32_t key_usual = info->ordered && d->query_tile >= 32 ? d->query_tile : usual;
    info->query_tile = d->query_tile ? d->query_tile : query_usual;
    info->key_tile = d->key_tile ? d->key_tile : key_usual;
}

uint32_t vka__pattern_lead(const vka_pattern_term *t, uint32_t axis, uint32_t box) {
    return t->kind == VKA_PATTERN_SWIN ? (box - t->grid.shift[axis] % box) % box : 0;
}

/* Boxes that cover the grid; 0 where they would have more slots than fit: a thin grid fills them badly. */
static uint32_t count_boxes(const vka_pattern_term *t, uint32_t tile) {
    uint32_t rank = t->grid.rank, box[3];
    uint64_t boxes = 1;
    vka__pattern_box(tile, rank, box);
    for (uint32_t i = 0; i < rank; ++i)
        boxes *= vka__div_up(vka__pattern_lead(t, i, box[3 - rank + i]) + t->grid.size[i], box[3 - rank + i]);
    return boxes * tile > INT32_MAX ? 0 : (uint32_t)boxes;
}

vka_pattern_info vka__pattern_geometry(const vka_pattern_desc *d, vka_device_type device) {
    vka_pattern_info info = {
        .queries = d->queries, .keys = d->keys, .heads = vka__max_u32(d->heads, 1), .ordered = is_ordered(d)};
    choose_tiles(d, device, &info);
    bool square = info.query_tile == info.key_tile;
    uint32_t boxes = info.ordered && square ? count_boxes(&d->terms[0], info.query_tile) : 0;
    info.ordered = boxes;
    info.tile_rows = boxes ? boxes : vka__div_up(d->queries, info.query_tile);
    info.tile_columns = boxes ? boxes : vka__div_up(d->keys, info.key_tile);
    return info;
}

bool vka__pattern_layout(vka__pattern_shape *s) {
    vka_pattern_info *info = &s->info;
    uint64_t rows = (uint64_t)info->heads * info->tile_rows;
    uint64_t partial = info->live_tiles - info->full_tiles, tile_words = info->query_tile * (info->key_tile / 32);
    uint64_t permutation = info->ordered ? (uint64_t)info->tile_rows * info->query_tile : 0;
    if (rows > UINT32_MAX || info->live_tiles > UINT32_MAX || partial > UINT32_MAX)
        return false;
    uint64_t bits_at = rows + 1 + 2 * info->live_tiles, permutation_at = bits_at + partial * tile_words;
    s->words = permutation_at + permutation;
    if (s->words > UINT32_MAX)
        return false;
    s->tiles_at = (uint32_t)rows + 1;
    s->bits_at = (uint32_t)bits_at;
    s->permutation_at = permutation ? (uint32_t)permutation_at : 0;
    info->bytes = 4 * s->words;
    info->density = (double)info->pairs / ((double)info->heads * info->queries * info->keys);
    return true;
}
