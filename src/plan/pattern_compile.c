/* Descriptions of patterns become programs: a union of intersections of terms that the evaluation knows.
 *
 * A described term is itself a union: GLOBAL sees global keys, or has global queries. So an alternative of described
 * terms is the cross product of their choices. SPDX-License-Identifier: MIT */
#include "plan/pattern.h"

#include <stdio.h>
#include <string.h>

#include "pattern_program.h"

/* An intersection of compiled terms, one of the choices that a described term offers. */
typedef struct choice {
    uint32_t terms;
    uint32_t term[2][VKA_TERM_WORDS];
} choice;

typedef struct choices {
    uint32_t count;
    choice of[4];
} choices;

typedef struct compiler {
    const vka_pattern_desc *desc;
    const vka_pattern_info *info;
    vka__pattern_lists lists; /* of them the first words are the program's header and terms */
    uint32_t terms;
} compiler;

/* ---- compiled terms -------------------------------------------------------------------------------------------- */

static uint32_t *add_term(choice *c, uint32_t kind) {
    uint32_t *term = c->term[c->terms++];
    term[VKA_TERM_KIND] = kind;
    return term;
}

static choice *add_choice(choices *all) {
    return &all->of[all->count++];
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

static void add_window(choice *c, int32_t left, int32_t right, uint32_t dilation) {
    uint32_t step = vka__min_u32(vka__max_u32(dilation, 1), VKA_PATTERN_LIMIT);
    uint32_t *term = add_term(c, VKA_TERM_WINDOW);
    term[VKA_WINDOW_LEFT] = bound_of(left, step);
    term[VKA_WINDOW_RIGHT] = bound_of(right, step);
    term[VKA_WINDOW_DILATION] = step;
    term[VKA_WINDOW_COMB] = comb_of(step);
}

static void add_block_window(choice *c, uint32_t size, uint32_t before, uint32_t after, uint32_t offset) {
    uint32_t *term = add_term(c, VKA_TERM_BLOCK_WINDOW);
    uint32_t block = vka__min_u32(size, VKA_PATTERN_LIMIT), most = VKA_PATTERN_LIMIT / block + 1;
    term[VKA_BLOCK_SIZE] = block;
    term[VKA_BLOCK_OFFSET] = vka__min_u32(offset, VKA_PATTERN_LIMIT);
    term[VKA_BLOCK_BEFORE] = vka__min_u32(before, most);
    term[VKA_BLOCK_AFTER] = vka__min_u32(after, most);
}

static void add_columns(choice *c, uint32_t span, uint32_t from) {
    uint32_t *term = add_term(c, VKA_TERM_COLUMNS);
    term[VKA_COLUMNS_SPAN] = span;
    term[VKA_COLUMNS_FROM] = from;
}

/* Ranges that are given by their ends: [begin, end) pairs, ascending. */
static void add_range_pairs(compiler *k, choice *c, uint32_t kind, const uint32_t (*pairs)[2], uint32_t count) {
    uint32_t *term = add_term(c, kind), used = 0;
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

static uint32_t heads_of(const compiler *k, const vka_pattern_term *t) {
    return t->heads ? t->heads : k->info->heads - t->first_head;
}

static void expand_global(compiler *k, const vka_pattern_term *t, choices *all) {
    vka__compile_ranges(&k->lists, add_term(add_choice(all), VKA_TERM_KEYS), t->global.tokens, t->global.count,
                        k->info->keys);
    if (!t->global.one_way)
        vka__compile_ranges(&k->lists, add_term(add_choice(all), VKA_TERM_QUERIES), t->global.tokens, t->global.count,
                            k->info->queries);
}

static void expand_fixed(const vka_pattern_term *t, choices *all) {
    uint32_t span = vka__min_u32(t->fixed.span, VKA_PATTERN_LIMIT);
    uint64_t last = (uint64_t)t->fixed.last_blocks * vka__max_u32(t->fixed.block, 1);
    choice *own = add_choice(all);
    add_window(own, VKA_UNBOUNDED, 0, 1);
    add_block_window(own, span, 0, 0, 0);
    if (!last || t->fixed.span > VKA_PATTERN_LIMIT) /* nothing, or nothing but the one span */
        return;
    choice *columns = add_choice(all);
    add_window(columns, VKA_UNBOUNDED, 0, 1);
    add_columns(columns, span, span - (uint32_t)last);
}

/* The tokens that are global among `count`, as pairs [begin, end). */
static void bigbird_globals(const vka_pattern_term *t, uint32_t count, uint32_t pairs[2][2]) {
    uint32_t block = t->bigbird.block, globals = t->bigbird.global_tokens;
    pairs[0][0] = 0;
    pairs[0][1] = vka__min_u32(globals ? globals : block, count);
    pairs[1][0] = (count - 1) / block * block;
    pairs[1][1] = globals ? 0 : count;
}

static void expand_bigbird(compiler *k, const vka_pattern_term *t, choices *all) {
    uint32_t offset = vka__min_u32(t->bigbird.global_tokens, VKA_PATTERN_LIMIT), pairs[2][2];
    add_block_window(add_choice(all), t->bigbird.block, 1, 1, offset);
    bigbird_globals(t, k->info->keys, pairs);
    add_range_pairs(k, add_choice(all), VKA_TERM_KEYS, (const uint32_t(*)[2])pairs, 2);
    bigbird_globals(t, k->info->queries, pairs);
    add_range_pairs(k, add_choice(all), VKA_TERM_QUERIES, (const uint32_t(*)[2])pairs, 2);
    if (!t->bigbird.random_blocks)
        return;
    uint32_t *term = add_term(add_choice(all), VKA_TERM_BLOCK_LIST);
    term[VKA_BLOCK_SIZE] = vka__min_u32(t->bigbird.block, VKA_PATTERN_LIMIT);
    term[VKA_BLOCK_OFFSET] = offset;
    vka__compile_random_blocks(&k->lists, term, t, k->info, t->first_head, heads_of(k, t));
}

static void expand_prefix(compiler *k, const vka_pattern_term *t, choices *all) {
    const uint32_t pair[1][2] = {{0, vka__min_u32(t->prefix.length, k->info->keys)}};
    add_range_pairs(k, add_choice(all), VKA_TERM_KEYS, pair, 1);
    add_window(add_choice(all), VKA_UNBOUNDED, 0, 1);
}

/* Axes that the grid lacks come first and have one token. */
static void expand_grid(const compiler *k, const vka_pattern_term *t, choices *all) {
    bool swin = t->kind == VKA_PATTERN_SWIN;
    uint32_t *term = add_term(add_choice(all), swin ? VKA_TERM_SWIN : VKA_TERM_NEIGHBORHOOD);
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
    }
}

static void expand(compiler *k, const vka_pattern_term *t, choices *all) {
    const vka_pattern_info *info = k->info;
    switch (t->kind) {
    case VKA_PATTERN_ALL:
        add_window(add_choice(all), VKA_UNBOUNDED, VKA_UNBOUNDED, 1);
        break;
    case VKA_PATTERN_CAUSAL:
        add_window(add_choice(all), VKA_UNBOUNDED, 0, 1);
        break;
    case VKA_PATTERN_WINDOW:
        add_window(add_choice(all), t->window.left, t->window.right, t->window.dilation);
        break;
    case VKA_PATTERN_GLOBAL:
        expand_global(k, t, all);
        break;
    case VKA_PATTERN_FIXED:
        expand_fixed(t, all);
        break;
    case VKA_PATTERN_BIGBIRD:
        expand_bigbird(k, t, all);
        break;
    case VKA_PATTERN_PREFIX:
        expand_prefix(k, t, all);
        break;
    case VKA_PATTERN_DOCUMENTS:
        vka__compile_documents(&k->lists, add_term(add_choice(all), VKA_TERM_DOCUMENTS), t->documents.ids, info);
        break;
    case VKA_PATTERN_NEIGHBORHOOD:
    case VKA_PATTERN_SWIN:
        expand_grid(k, t, all);
        break;
    case VKA_PATTERN_BLOCKS:
        vka__compile_blocks(&k->lists, add_term(add_choice(all), VKA_TERM_BLOCKS), t, info, heads_of(k, t));
        break;
    case VKA_PATTERN_BITS:
        vka__compile_bits(&k->lists, add_term(add_choice(all), VKA_TERM_BITS), t->bits.words, info);
        break;
    case VKA_PATTERN_CHUNKS:
        add_block_window(add_choice(all), t->chunks.size, t->chunks.before, t->chunks.after, 0);
        break;
    }
    for (uint32_t i = 0; i < all->count; ++i)
        for (uint32_t j = 0; j < all->of[i].terms; ++j) {
            all->of[i].term[j][VKA_TERM_FIRST_HEAD] = t->first_head;
            all->of[i].term[j][VKA_TERM_HEADS] = heads_of(k, t);
        }
}

/* ---- clauses --------------------------------------------------------------------------------------------------- */

/* Appends the intersection of one choice of each described term. */
static bool emit_clause(compiler *k, const choices *all, uint32_t count, const uint32_t *picked) {
    uint32_t length = 0;
    for (uint32_t i = 0; i < count; ++i)
        length += all[i].of[picked[i]].terms;
    if (length > VKA_PROGRAM_MAX_TERMS - k->terms)
        return false;
    uint32_t *out = k->lists.words + VKA_PROGRAM_WORDS + k->terms * VKA_TERM_WORDS, *clause = out;
    for (uint32_t i = 0; i < count; ++i) {
        const choice *c = &all[i].of[picked[i]];
        memcpy(out, c->term, c->terms * sizeof c->term[0]);
        out += c->terms * VKA_TERM_WORDS;
    }
    clause[VKA_TERM_CLAUSE] = length;
    k->terms += length;
    return true;
}

/* An alternative: `count` described terms that are intersected. */
static bool compile_alternative(compiler *k, const vka_pattern_term *terms, uint32_t count) {
    choices all[VKA_MAX_PATTERN_TERMS];
    uint32_t picked[VKA_MAX_PATTERN_TERMS] = {0}, place;
    memset(all, 0, sizeof all);
    for (uint32_t i = 0; i < count; ++i)
        expand(k, &terms[i], &all[i]);
    if (k->lists.failed)
        return true;
    do {
        if (!emit_clause(k, all, count, picked))
            return false;
        for (place = 0; place < count && ++picked[place] == all[place].count; ++place)
            picked[place] = 0;
    } while (place < count);
    return true;
}

static bool compile_terms(compiler *k) {
    static const vka_pattern_term everything = {.kind = VKA_PATTERN_ALL};
    const vka_pattern_term *terms = k->desc->term_count ? k->desc->terms : &everything;
    uint32_t count = vka__max_u32(k->desc->term_count, 1);
    for (uint32_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && terms[end].intersect;)
            ++end;
        if (!compile_alternative(k, terms + begin, end - begin))
            return false;
    }
    return true;
}

static void write_header(const compiler *k) {
    uint32_t *w = k->lists.words;
    w[VKA_PROGRAM_TERMS] = k->terms;
    w[VKA_PROGRAM_QUERIES] = k->info->queries;
    w[VKA_PROGRAM_KEYS] = k->info->keys;
    w[VKA_PROGRAM_QUERY_TILE] = k->info->query_tile;
    w[VKA_PROGRAM_KEY_TILE] = k->info->key_tile;
    w[VKA_PROGRAM_ROWS] = k->info->tile_rows;
    w[VKA_PROGRAM_COLUMNS] = k->info->tile_columns;
    w[VKA_PROGRAM_ORDERED] = k->info->ordered;
}

vka_status vka__pattern_compile(const vka__context *ctx, const vka_pattern_desc *desc, const vka_pattern_info *info,
                                vka__pattern_program *program, vka__refusal *refusal) {
    compiler k = {.desc = desc, .info = info, .lists = {.ctx = ctx}};
    *program = (vka__pattern_program){.info = *info};
    vka__pattern_list(&k.lists, VKA_PROGRAM_WORDS + VKA_PROGRAM_MAX_TERMS * VKA_TERM_WORDS);
    bool fits = k.lists.failed || compile_terms(&k);
    if (k.lists.failed || !fits) {
        vka__free(ctx, k.lists.words);
        refusal->field = "terms";
        snprintf(refusal->reason, sizeof refusal->reason, "expand into more than %d simple ones",
                 VKA_PROGRAM_MAX_TERMS);
        return fits ? VKA_OUT_OF_MEMORY : VKA_UNSUPPORTED;
    }
    write_header(&k);
    program->words = k.lists.words;
    program->count = (uint32_t)k.lists.count;
    return VKA_OK;
}

void vka__pattern_program_free(const vka__context *ctx, vka__pattern_program *program) {
    vka__free(ctx, program->words);
    *program = (vka__pattern_program){0};
}
