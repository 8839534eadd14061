/* Descriptions of patterns become programs: an alternative a clause, a described term a group, or two, of terms that
 * the evaluation knows. GLOBAL, for one, is the union of global keys and global queries.
 * SPDX-License-Identifier: MIT */
#include "ops/pattern/build.h"

#include <string.h>

#include "pattern_program.h"

typedef struct compiler {
    const vka_pattern_desc *desc;
    const vka_pattern_info *info;
    const vka_pattern_term *from; /* what is being expanded */
    uint32_t terms[VKA_PROGRAM_MAX_TERMS][VKA_TERM_WORDS];
    uint32_t count, clause, group; /* terms so far; where the last clause and group began */
    vka__pattern_lists lists;      /* their first words are the header's and the terms'   */
} compiler;

/* There is always room. */
_Static_assert(4 * VKA_MAX_PATTERN_TERMS <= VKA_PROGRAM_MAX_TERMS, "a described term becomes at most four");

static uint32_t heads_of(const compiler *k) {
    return k->from->heads ? k->from->heads : k->info->heads - k->from->first_head;
}

/* Terms from here on are a union of their own. */
static void begin_group(compiler *k) {
    k->group = k->count;
}

static uint32_t *add_term(compiler *k, uint32_t kind) {
    uint32_t *term = k->terms[k->count++];
    term[VKA_TERM_KIND] = kind;
    term[VKA_TERM_FIRST_HEAD] = k->from->first_head;
    term[VKA_TERM_HEADS] = heads_of(k);
    ++k->terms[k->clause][VKA_TERM_CLAUSE];
    ++k->terms[k->group][VKA_TERM_GROUP];
    return term;
}

/* Bits 0, step, 2 step, .. */
static uint32_t comb_of(uint32_t step) {
    uint32_t comb = 0;
    for (uint32_t bit = 0; bit < 32; bit += vka__min_u32(step, 32))
        comb |= 1u << bit;
    return comb;
}

/* A bound of a window in tokens; what lies further than any token is brought to where nothing overflows. */
static uint32_t bound_of(int32_t steps, uint32_t dilation) {
    int64_t tokens = steps == VKA_UNBOUNDED ? VKA_PATTERN_LIMIT : (int64_t)steps * dilation;
    if (tokens > VKA_PATTERN_LIMIT)
        tokens = VKA_PATTERN_LIMIT;
    if (tokens < -VKA_PATTERN_LIMIT)
        tokens = -VKA_PATTERN_LIMIT;
    return (uint32_t)(int32_t)tokens;
}

static void add_window(compiler *k, int32_t left, int32_t right, uint32_t dilation) {
    uint32_t step = vka__min_u32(vka__max_u32(dilation, 1), VKA_PATTERN_LIMIT);
    uint32_t *term = add_term(k, VKA_TERM_WINDOW);
    term[VKA_WINDOW_LEFT] = bound_of(left, step);
    term[VKA_WINDOW_RIGHT] = bound_of(right, step);
    term[VKA_WINDOW_DILATION] = step;
    term[VKA_WINDOW_COMB] = comb_of(step);
}

static void add_block_window(compiler *k, uint32_t size, uint32_t before, uint32_t after, uint32_t offset) {
    uint32_t *term = add_term(k, VKA_TERM_BLOCK_WINDOW);
    uint32_t block = vka__min_u32(size, VKA_PATTERN_LIMIT), most = VKA_PATTERN_LIMIT / block + 1;
    term[VKA_BLOCK_SIZE] = block;
    term[VKA_BLOCK_OFFSET] = vka__min_u32(offset, VKA_PATTERN_LIMIT);
    term[VKA_BLOCK_BEFORE] = vka__min_u32(before, most);
    term[VKA_BLOCK_AFTER] = vka__min_u32(after, most);
}

static void add_columns(compiler *k, uint32_t span, uint32_t from) {
    uint32_t *term = add_term(k, VKA_TERM_COLUMNS);
    term[VKA_COLUMNS_SPAN] = span;
    term[VKA_COLUMNS_FROM] = from;
}

/* Ranges that are given by their ends: [begin, end) pairs, ascending. */
static void add_range_pairs(compiler *k, uint32_t kind, const uint32_t (*pairs)[2], uint32_t count) {
    uint32_t *term = add_term(k, kind), used = 0;
    uint32_t at = vka__pattern_list(&k->lists, 2 * (uint64_t)count);
    if (k->lists.failed)
        return;
    uint32_t *range = k->lists.words + at;
    for (uint32_t i = 0; i < count; ++i) {
        if (pairs[i][0] >= pairs[i][1])
            continue;
        if (used && range[2 * used - 1] + 1 >= pairs[i][0]) {
            range[2 * used - 1] = pairs[i][1] - 1;
            continue;
        }
        range[2 * used] = pairs[i][0];
        range[2 * used + 1] = pairs[i][1] - 1;
        ++used;
    }
    term[VKA_RANGES_COUNT] = used;
    term[VKA_RANGES_DATA] = at;
}

/* ---- described terms ------------------------------------------------------------------------------------------- */

static void expand_global(compiler *k, const vka_pattern_term *t) {
    vka__compile_ranges(&k->lists, add_term(k, VKA_TERM_KEYS), t->global.tokens, t->global.count, k->info->keys);
    if (!t->global.one_way)
        vka__compile_ranges(&k->lists, add_term(k, VKA_TERM_QUERIES), t->global.tokens, t->global.count,
                            k->info->queries);
}

/* Two groups: causal, and the own span or columns. */
static void expand_fixed(compiler *k, const vka_pattern_term *t) {
    uint32_t span = vka__min_u32(t->fixed.span, VKA_PATTERN_LIMIT);
    uint32_t last = t->fixed.last_blocks * vka__max_u32(t->fixed.block, 1); /* at most t->fixed.span */
    add_window(k, VKA_UNBOUNDED, 0, 1);
    begin_group(k);
    add_block_window(k, span, 0, 0, 0);
    if (last && t->fixed.span == span) /* otherwise all tokens are one span */
        add_columns(k, span, span - last);
}

/* The tokens that are global among `count`, as pairs [begin, end). */
static void bigbird_globals(const vka_pattern_term *t, uint32_t count, uint32_t pairs[2][2]) {
    uint32_t block = t->bigbird.block, globals = t->bigbird.global_tokens;
    pairs[0][0] = 0;
    pairs[0][1] = vka__min_u32(globals ? globals : block, count);
    pairs[1][0] = (count - 1) / block * block;
    pairs[1][1] = globals ? 0 : count;
}

static void expand_bigbird(compiler *k, const vka_pattern_term *t) {
    uint32_t offset = vka__min_u32(t->bigbird.global_tokens, VKA_PATTERN_LIMIT), pairs[2][2];
    add_block_window(k, t->bigbird.block, 1, 1, offset);
    bigbird_globals(t, k->info->keys, pairs);
    add_range_pairs(k, VKA_TERM_KEYS, (const uint32_t(*)[2])pairs, 2);
    bigbird_globals(t, k->info->queries, pairs);
    add_range_pairs(k, VKA_TERM_QUERIES, (const uint32_t(*)[2])pairs, 2);
    if (!t->bigbird.random_blocks)
        return;
    uint32_t *term = add_term(k, VKA_TERM_BLOCK_LIST);
    term[VKA_BLOCK_SIZE] = vka__min_u32(t->bigbird.block, VKA_PATTERN_LIMIT);
    term[VKA_BLOCK_OFFSET] = offset;
    vka__compile_random_blocks(&k->lists, term, t, k->info, t->first_head, heads_of(k));
}

static void expand_prefix(compiler *k, const vka_pattern_term *t) {
    const uint32_t pair[1][2] = {{0, vka__min_u32(t->prefix.length, k->info->keys)}};
    add_range_pairs(k, VKA_TERM_KEYS, pair, 1);
    add_window(k, VKA_UNBOUNDED, 0, 1);
}

/* Axes that the grid lacks come first and have one token. */
static void expand_grid(compiler *k, const vka_pattern_term *t) {
    bool swin = t->kind == VKA_PATTERN_SWIN;
    uint32_t *term = add_term(k, swin ? VKA_TERM_SWIN : VKA_TERM_NEIGHBORHOOD);
    uint32_t missing = 3 - t->grid.rank, box[3] = {1, 1, 1};
    if (k->info->ordered)
        vka__pattern_box(k->info->query_tile, t->grid.rank, box);
    for (uint32_t i = 0; i < 3; ++i) {
        uint32_t *axis = term + i * VKA_AXIS_WORDS, own = i - missing;
        bool exists = i >= missing;
        uint32_t size = exists ? t->grid.size[own] : 1;
        uint32_t dilation = exists && !swin ? vka__max_u32(t->grid.dilation[own], 1) : 1;
        uint32_t stride = exists && !swin ? vka__max_u32(t->grid.stride[own], 1) : 1;
        axis[VKA_AXIS_SIZE] = size;
        axis[VKA_AXIS_BOX] = box[i];
        axis[VKA_AXIS_WINDOW] = exists ? t->grid.window[own] : 1;
        axis[VKA_AXIS_STRIDE] = vka__min_u32(stride, 2 * size); /* more is one group, too, and its last one leads */
        axis[VKA_AXIS_DILATION] = dilation;
        axis[VKA_AXIS_CAUSAL] = exists && !swin && t->grid.causal[own];
        axis[VKA_AXIS_SHIFT] = exists && swin ? t->grid.shift[own] : 0;
        axis[VKA_AXIS_COMB] = comb_of(dilation);
        axis[VKA_AXIS_LEAD] = exists && k->info->ordered ? vka__pattern_lead(&k->desc->terms[0], own, box[i]) : 0;
    }
}

static void expand(compiler *k, const vka_pattern_term *t) {
    const vka_pattern_info *info = k->info;
    switch (t->kind) {
    case VKA_PATTERN_ALL:
        add_window(k, VKA_UNBOUNDED, VKA_UNBOUNDED, 1);
        break;
    case VKA_PATTERN_CAUSAL:
        add_window(k, VKA_UNBOUNDED, 0, 1);
        break;
    case VKA_PATTERN_WINDOW:
        add_window(k, t->window.left, t->window.right, t->window.dilation);
        break;
    case VKA_PATTERN_GLOBAL:
        expand_global(k, t);
        break;
    case VKA_PATTERN_FIXED:
        expand_fixed(k, t);
        break;
    case VKA_PATTERN_BIGBIRD:
        expand_bigbird(k, t);
        break;
    case VKA_PATTERN_PREFIX:
        expand_prefix(k, t);
        break;
    case VKA_PATTERN_DOCUMENTS:
        vka__compile_documents(&k->lists, add_term(k, VKA_TERM_DOCUMENTS), t->documents.ids, info);
        break;
    case VKA_PATTERN_NEIGHBORHOOD:
    case VKA_PATTERN_SWIN:
        expand_grid(k, t);
        break;
    case VKA_PATTERN_BLOCKS:
        vka__compile_blocks(&k->lists, add_term(k, VKA_TERM_BLOCKS), t, info, heads_of(k));
        break;
    case VKA_PATTERN_BITS:
        vka__compile_bits(&k->lists, add_term(k, VKA_TERM_BITS), t->bits.words, info);
        break;
    case VKA_PATTERN_CHUNKS:
        add_block_window(k, t->chunks.size, t->chunks.before, t->chunks.after, 0);
        break;
    }
}

static void compile_terms(compiler *k) {
    static const vka_pattern_term everything = {.kind = VKA_PATTERN_ALL};
    const vka_pattern_term *terms = k->desc->term_count ? k->desc->terms : &everything;
    for (uint32_t i = 0; i < vka__max_u32(k->desc->term_count, 1) && !k->lists.failed; ++i) {
        k->from = &terms[i];
        k->clause = terms[i].intersect ? k->clause : k->count;
        begin_group(k);
        expand(k, &terms[i]);
    }
}

static void write_terms(const compiler *k) {
    uint32_t *w = k->lists.words;
    w[VKA_PROGRAM_TERMS] = k->count;
    w[VKA_PROGRAM_QUERIES] = k->info->queries;
    w[VKA_PROGRAM_KEYS] = k->info->keys;
    w[VKA_PROGRAM_QUERY_TILE] = k->info->query_tile;
    w[VKA_PROGRAM_KEY_TILE] = k->info->key_tile;
    w[VKA_PROGRAM_ROWS] = k->info->tile_rows;
    w[VKA_PROGRAM_COLUMNS] = k->info->tile_columns;
    w[VKA_PROGRAM_PERMUTED] = k->info->ordered;
    memcpy(w + VKA_PROGRAM_WORDS, k->terms, sizeof k->terms);
}

bool vka__pattern_compile(const vka__context *ctx, const vka_pattern_desc *desc, const vka_pattern_info *info,
                          vka__pattern_program *program) {
    compiler k = {.desc = desc, .info = info, .lists = {.ctx = ctx}};
    *program = (vka__pattern_program){.info = *info};
    vka__pattern_list(&k.lists, VKA_PROGRAM_WORDS + VKA_PROGRAM_MAX_TERMS * VKA_TERM_WORDS);
    compile_terms(&k);
    if (k.lists.failed) {
        vka__free(ctx, k.lists.words);
        return false;
    }
    write_terms(&k);
    program->words = k.lists.words;
    program->count = (uint32_t)k.lists.count;
    return true;
}

void vka__pattern_program_free(const vka__context *ctx, vka__pattern_program *program) {
    vka__free(ctx, program->words);
    *program = (vka__pattern_program){0};
}
