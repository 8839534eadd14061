/* Words of tiles, for the host: the evaluation of pattern_terms.h, whose parts are used where several words share them.
 *
 * Terms that a tile has nothing of are left out, and queries that a term treats alike are asked once. Words of a grid's
 * boxes are products of what each axis sees.
 * SPDX-License-Identifier: MIT */
#include "ops/pattern/tile.h"

#include <string.h>

#include "pattern_terms.h"

/* ---- rows of tiles --------------------------------------------------------------------------------------------- */

static bool is_grid(const uint32_t *program, uint32_t term) {
    uint32_t kind = VKA_OF(term, VKA_TERM_KIND);
    return kind == VKA_TERM_NEIGHBORHOOD || kind == VKA_TERM_SWIN;
}

static vka__row_sees *sees_of(const vka__tile_row *r, uint32_t term) {
    return r->sees + (term - VKA_PROGRAM_WORDS) / VKA_TERM_WORDS;
}

static grid_point add_points(grid_point a, grid_point b) {
    return (grid_point){.z = a.z + b.z, .y = a.y + b.y, .x = a.x + b.x};
}

/* Where a box begins; all grids of an ordered map have the same ones. */
static grid_point box_origin(const vka__tile_row *r, uint32_t box) {
    const grid_axes g = grid_of(r->program, VKA_PROGRAM_WORDS);
    grid_point p = box_point(g, box);
    return (grid_point){.z = p.z * g.z.box, .y = p.y * g.y.box, .x = p.x * g.x.box};
}

bool vka__tile_row_init(const vka__context *ctx, const uint32_t *program, vka__tile_row *r) {
    *r = (vka__tile_row){.program = program, .ordered = VKA_HEAD(VKA_PROGRAM_PERMUTED) != 0};
    bool grids = false;
    for (uint32_t term = VKA_PROGRAM_WORDS; term < terms_end(program, VKA_PROGRAM_WORDS); term += VKA_TERM_WORDS)
        grids = grids || is_grid(program, term);
    if (r->ordered)
        for (uint32_t slot = 0; slot < VKA_HEAD(VKA_PROGRAM_QUERY_TILE); ++slot)
            r->inside[slot] = slot_point(grid_of(program, VKA_PROGRAM_WORDS), slot);
    r->sees = grids ? vka__alloc(ctx, VKA_HEAD(VKA_PROGRAM_TERMS), sizeof *r->sees) : NULL;
    return r->sees || !grids;
}

void vka__tile_row_free(const vka__context *ctx, vka__tile_row *r) {
    vka__free(ctx, r->sees);
}

/* What the queries of a box that begins at coordinate x see along an axis. */
static void see_axis(grid_axis a, int32_t x, axis_keys *keys) {
    for (int32_t end = x + a.box; x < end; ++x)
        *keys++ = axis_has(a, x) ? axis_sees(a, x) : (axis_keys){.lo = 0, .hi = -1};
}

static void see_grid(vka__tile_row *r, uint32_t term) {
    const grid_axes g = grid_of(r->program, term);
    vka__row_sees *sees = sees_of(r, term);
    if (r->ordered) {
        see_axis(g.z, r->origin.z, sees->box.z);
        see_axis(g.y, r->origin.y, sees->box.y);
        see_axis(g.x, r->origin.x, sees->box.x);
    } else
        for (uint32_t i = r->i0; i <= r->i1; ++i)
            sees->slot[i - r->i0] = grid_sees(g, slot_point(g, i));
}

void vka__tile_row_begin(vka__tile_row *r, uint32_t head, uint32_t row) {
    const uint32_t *program = r->program;
    r->head = head;
    r->i0 = row * VKA_HEAD(VKA_PROGRAM_QUERY_TILE);
    r->i1 = last_place(program, row);
    r->queries = tile_queries(program, row);
    if (r->ordered)
        r->origin = box_origin(r, row);
    for (uint32_t term = VKA_PROGRAM_WORDS; r->sees && term < terms_end(program, VKA_PROGRAM_WORDS);
         term += VKA_TERM_WORDS)
        if (is_grid(program, term))
            see_grid(r, term);
}

void vka__tile_row_permutation(const vka__tile_row *r, uint32_t *permutation) {
    const grid_axes g = grid_of(r->program, VKA_PROGRAM_WORDS);
    for (uint32_t slot = r->i0; slot <= r->i1; ++slot)
        *permutation++ = point_token(g, add_points(r->origin, r->inside[slot - r->i0]));
}

/* ---- terms ----------------------------------------------------------------------------------------------------- */

/* A tile of keys, of the row. Terms unite their words with those that are there already. */
typedef struct keys_tile {
    const vka__tile_row *row;
    uint32_t t, j0, width; /* its number, its first key, words of a query */
} keys_tile;

static void add_box_words(const keys_tile *tile, uint32_t term, uint32_t *restrict words) {
    const vka__tile_row *r = tile->row;
    const vka__row_sees *sees = sees_of(r, term);
    const grid_axes g = grid_of(r->program, term);
    const grid_point origin = box_origin(r, tile->t);
    for (uint32_t w = 0; w < tile->width; ++w) {
        const grid_point p = add_points(origin, r->inside[32 * w]);
        uint32_t line[VKA_BOX_MOST], *out = words + w;
        for (int32_t x = 0; x < g.x.box; ++x)
            line[x] = box_line(g, sees->box.x[x], p.x);
        for (int32_t z = 0; z < g.z.box; ++z)
            for (int32_t y = 0; y < g.y.box; ++y) {
                uint32_t lines = box_lines(g, sees->box.z[z], sees->box.y[y], p);
                for (int32_t x = 0; x < g.x.box; ++x, out += tile->width)
                    *out |= lines * line[x];
            }
    }
}

static void add_grid_words(const keys_tile *tile, uint32_t term, uint32_t *restrict words) {
    const vka__tile_row *r = tile->row;
    const vka__row_sees *sees = sees_of(r, term);
    const grid_axes g = grid_of(r->program, term);
    for (uint32_t w = 0; w < tile->width; ++w) {
        const grid_point p = slot_point(g, tile->j0 + 32 * w);
        for (uint32_t i = 0; i <= r->i1 - r->i0; ++i)
            words[i * tile->width + w] |= token_word(g, sees->slot[i], p);
    }
}

static void add_window_words(const keys_tile *tile, uint32_t term, uint32_t *restrict words) {
    const vka__tile_row *r = tile->row;
    const uint32_t *restrict program = r->program;
    for (uint32_t w = 0; w < tile->width; ++w)
        for (uint32_t i = r->i0; i <= r->i1; ++i)
            words[(i - r->i0) * tile->width + w] |= window_word(program, term, i, tile->j0 + 32 * w);
}

/* The last of the queries from i on, one after the other, that see the same keys for certain. */
static uint32_t last_alike(const uint32_t *program, uint32_t term, uint32_t i) {
    uint32_t kind = VKA_OF(term, VKA_TERM_KIND), size, offset = 0;
    if (kind == VKA_TERM_KEYS || kind == VKA_TERM_COLUMNS)
        return UINT32_MAX;
    if (kind == VKA_TERM_BLOCK_WINDOW || kind == VKA_TERM_BLOCK_LIST) {
        size = VKA_OF(term, VKA_BLOCK_SIZE);
        offset = VKA_OF(term, VKA_BLOCK_OFFSET);
    } else if (kind == VKA_TERM_BLOCKS)
        size = VKA_OF(term, VKA_BLOCKS_QUERY_BLOCK);
    else
        return i;
    return i < offset ? offset - 1 : i + size - 1 - (i - offset) % size;
}

static void add_term_words(const keys_tile *tile, uint32_t term, uint32_t *words) {
    const vka__tile_row *r = tile->row;
    for (uint32_t i = r->i0, last; i <= r->i1; i = last + 1) {
        last = vka__min_u32(last_alike(r->program, term, i), r->i1);
        uint32_t word[VKA_TILE_MOST / 32];
        for (uint32_t w = 0; w < tile->width; ++w)
            word[w] = term_word(r->program, term, r->head, i, tile->j0 + 32 * w);
        for (uint32_t k = i; k <= last; ++k)
            for (uint32_t w = 0; w < tile->width; ++w)
                *words++ |= word[w];
    }
}

/* ---- tiles ----------------------------------------------------------------------------------------------------- */

/* The only term of a pattern is why its tiles are looked at. */
static bool may_see(const keys_tile *tile, uint32_t term) {
    const vka__tile_row *r = tile->row;
    const uint32_t *program = r->program;
    return VKA_HEAD(VKA_PROGRAM_TERMS) == 1 || term_next(program, term, r->head, r->i0, r->i1, tile->t) == tile->t;
}

static void add_group_words(const keys_tile *tile, uint32_t group, uint32_t *words) {
    const uint32_t *program = tile->row->program;
    uint32_t end = group_end(program, group);
    for (uint32_t term = group; term < end; term += VKA_TERM_WORDS) {
        if (!may_see(tile, term))
            continue;
        if (VKA_OF(term, VKA_TERM_KIND) == VKA_TERM_WINDOW)
            add_window_words(tile, term, words);
        else if (!is_grid(program, term))
            add_term_words(tile, term, words);
        else if (tile->row->ordered)
            add_box_words(tile, term, words);
        else
            add_grid_words(tile, term, words);
    }
}

/* The union of a clause's first group, intersected with the others. */
static void add_clause_words(const keys_tile *tile, uint32_t clause, uint32_t count, uint32_t *words) {
    const uint32_t *program = tile->row->program;
    uint32_t end = clause_end(program, clause);
    uint32_t all[VKA_TILE_MOST_WORDS], one[VKA_TILE_MOST_WORDS];
    memset(all, 0, count * sizeof *all);
    add_group_words(tile, clause, all);
    for (uint32_t group = group_end(program, clause); group < end; group = group_end(program, group)) {
        if (!group_is_for(program, group, tile->row->head))
            continue;
        memset(one, 0, count * sizeof *one);
        add_group_words(tile, group, one);
        for (uint32_t i = 0; i < count; ++i)
            all[i] &= one[i];
    }
    for (uint32_t i = 0; i < count; ++i)
        words[i] |= all[i];
}

void vka__tile_row_words(const vka__tile_row *r, uint32_t t, uint32_t *words) {
    const uint32_t *program = r->program;
    uint32_t end = terms_end(program, VKA_PROGRAM_WORDS), key_tile = VKA_HEAD(VKA_PROGRAM_KEY_TILE);
    const keys_tile tile = {.row = r, .t = t, .j0 = t * key_tile, .width = key_tile / 32};
    uint32_t count = VKA_HEAD(VKA_PROGRAM_QUERY_TILE) * tile.width;
    memset(words, 0, count * sizeof *words);
    for (uint32_t clause = VKA_PROGRAM_WORDS; clause < end; clause = clause_end(program, clause)) {
        if (!group_is_for(program, clause, r->head))
            continue;
        if (group_end(program, clause) == clause_end(program, clause))
            add_group_words(&tile, clause, words);
        else
            add_clause_words(&tile, clause, count, words);
    }
    for (uint32_t w = 0; w < tile.width; ++w) {
        uint32_t existing = existing_keys(program, tile.j0 + 32 * w);
        for (uint32_t i = w; existing != UINT32_MAX && i < count; i += tile.width)
            words[i] &= existing;
    }
}
