/* SPDX-License-Identifier: MIT */
#include "pattern_case.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "support/say.h"

/* What a term is drawn for. */
typedef struct frame {
    ref_rng *g;
    uint32_t queries, keys, heads;
} frame;

static bool chance(ref_rng *g, uint32_t percent) {
    return ref_rng_below(g, 100) < percent;
}

static uint32_t between(ref_rng *g, uint32_t low, uint32_t high) {
    return low + ref_rng_below(g, high - low + 1);
}

static uint32_t positions(const frame *f) {
    return f->queries > f->keys ? f->queries : f->keys;
}

static void *list_of(size_t count, size_t size) {
    void *memory = calloc(count, size);
    cr_assert_not_null(memory, "the test itself is out of memory");
    return memory;
}

/* ---- sequences ------------------------------------------------------------------------------------------------- */

static int32_t draw_bound(const frame *f) {
    if (chance(f->g, 20)) {
        return VKA_UNBOUNDED;
    }
    if (chance(f->g, 4)) {
        return INT32_MAX - 1;
    }
    uint32_t reach = chance(f->g, 60) ? positions(f) / 4 : positions(f);
    return (int32_t)ref_rng_below(f->g, reach + 4) - 3;
}

static void draw_window(const frame *f, vka_pattern_term *t) {
    static const uint32_t dilations[] = {0, 0, 0, 1, 2, 3, 5, 16, 33, UINT32_MAX};
    int32_t left = draw_bound(f), right = draw_bound(f);
    if (chance(f->g, 3)) { /* far away: no query sees any key */
        left = INT32_MIN + 1;
        right = INT32_MAX - 1;
    }
    bool bounded = left != VKA_UNBOUNDED && right != VKA_UNBOUNDED;
    right = bounded && (int64_t)left + right < 0 ? -left : right;
    t->window.left = left;
    t->window.right = right;
    t->window.dilation = dilations[ref_rng_below(f->g, sizeof dilations / sizeof *dilations)];
}

static void *draw_global(const frame *f, vka_pattern_term *t) {
    uint32_t most = positions(f) < 5 ? positions(f) : 5, token = 0;
    uint32_t *tokens = list_of(most, sizeof *tokens);
    t->global.count = between(f->g, 1, most);
    for (uint32_t i = 0; i < t->global.count; i++) {
        uint32_t left = positions(f) - token - (t->global.count - i - 1);
        token += chance(f->g, 30) ? 0 : ref_rng_below(f->g, left); /* runs of neighbors, too */
        tokens[i] = token++;
    }
    t->global.tokens = tokens;
    t->global.one_way = chance(f->g, 30);
    return tokens;
}

static void draw_fixed(const frame *f, vka_pattern_term *t) {
    uint32_t blocks = between(f->g, 1, 6);
    t->fixed.block = chance(f->g, 30) ? 0 : between(f->g, 1, 20);
    t->fixed.span = (t->fixed.block ? t->fixed.block : 1) * blocks;
    t->fixed.last_blocks = ref_rng_below(f->g, blocks + 1);
}

/* Not too many blocks: the reference draws anew for every pair. */
static void draw_bigbird(const frame *f, vka_pattern_term *t) {
    uint32_t least = positions(f) / 50 + 1;
    t->bigbird.block = between(f->g, least, least + (chance(f->g, 50) ? 8 : 70));
    t->bigbird.random_blocks = chance(f->g, 5) ? 64 : ref_rng_below(f->g, 7);
    t->bigbird.seed = ref_rng_u64(f->g);
    t->bigbird.global_tokens = chance(f->g, 50) ? 0 : between(f->g, 1, positions(f) < 9 ? positions(f) : 9);
}

static void *draw_documents(const frame *f, vka_pattern_term *t) {
    int32_t *ids = list_of(positions(f), sizeof *ids);
    bool mixed = chance(f->g, 25);
    for (uint32_t i = 0; i < positions(f); i++) {
        bool begins = i == 0 || chance(f->g, 4);
        ids[i] = mixed ? (int32_t)ref_rng_below(f->g, 5) - 2 : begins ? (int32_t)ref_rng_u64(f->g) : ids[i - 1];
    }
    t->documents.ids = ids;
    return ids;
}

static void draw_chunks(const frame *f, vka_pattern_term *t) {
    t->chunks.size = between(f->g, 1, chance(f->g, 50) ? 9 : positions(f) + 3);
    t->chunks.before = chance(f->g, 5) ? UINT32_MAX : ref_rng_below(f->g, 4);
    t->chunks.after = chance(f->g, 5) ? UINT32_MAX : ref_rng_below(f->g, 4);
}

/* ---- grids ----------------------------------------------------------------------------------------------------- */

static uint32_t draw_divisor(ref_rng *g, uint32_t n) {
    uint32_t divisor = 1, count = 0;
    for (uint32_t i = 1; i <= n; i++) {
        if (n % i == 0 && ref_rng_below(g, ++count) == 0) {
            divisor = i;
        }
    }
    return divisor;
}

static void draw_neighborhood_axis(ref_rng *g, vka_pattern_term *t, uint32_t axis) {
    uint32_t size = t->grid.size[axis], dilation = chance(g, 60) ? 0 : between(g, 1, size < 6 ? size : 6);
    uint32_t most = size / (dilation ? dilation : 1);
    t->grid.dilation[axis] = chance(g, 3) ? size : dilation;
    most = t->grid.dilation[axis] == size ? 1 : most;
    t->grid.window[axis] = between(g, 1, chance(g, 50) && most > 9 ? 9 : most);
    t->grid.stride[axis] = chance(g, 50) ? 0 : between(g, 1, chance(g, 15) ? 2 * size + 3 : t->grid.window[axis]);
    t->grid.causal[axis] = chance(g, 25);
}

static void draw_swin_axis(ref_rng *g, vka_pattern_term *t, uint32_t axis) {
    t->grid.window[axis] = draw_divisor(g, t->grid.size[axis]);
    t->grid.shift[axis] = chance(g, 30) ? 0 : ref_rng_below(g, t->grid.window[axis]);
}

static void draw_grid(const frame *f, vka_pattern_term *t) {
    t->grid.rank = between(f->g, 1, 3);
    uint32_t left = f->queries;
    for (uint32_t axis = 0; axis < t->grid.rank; axis++) {
        t->grid.size[axis] = axis + 1 == t->grid.rank ? left : draw_divisor(f->g, left);
        left /= t->grid.size[axis];
        if (t->kind == VKA_PATTERN_SWIN) {
            draw_swin_axis(f->g, t, axis);
        } else {
            draw_neighborhood_axis(f->g, t, axis);
        }
    }
}

/* ---- masks ----------------------------------------------------------------------------------------------------- */

static void *draw_blocks(const frame *f, vka_pattern_term *t) {
    t->blocks.query_block = between(f->g, 1, chance(f->g, 50) ? 10 : 70);
    t->blocks.key_block = between(f->g, 1, chance(f->g, 50) ? 10 : 70);
    t->blocks.per_head = chance(f->g, 50);
    uint32_t heads = t->heads ? t->heads : (f->heads ? f->heads : 1) - t->first_head;
    size_t rows = (f->queries - 1) / t->blocks.query_block + 1, columns = (f->keys - 1) / t->blocks.key_block + 1;
    size_t count = rows * columns * (t->blocks.per_head ? heads : 1);
    uint32_t percent = ref_rng_below(f->g, 101);
    uint8_t *live = list_of(count, 1);
    for (size_t i = 0; i < count; i++) {
        live[i] = chance(f->g, percent) ? (uint8_t)between(f->g, 1, 255) : 0;
    }
    t->blocks.live = live;
    return live;
}

/* Bits beyond the last key are as any. */
static void *draw_bits(const frame *f, vka_pattern_term *t) {
    size_t count = (size_t)f->queries * ((f->keys + 31) / 32);
    uint32_t *words = list_of(count, sizeof *words), kind = ref_rng_below(f->g, 5);
    for (size_t i = 0; i < count; i++) {
        uint32_t a = (uint32_t)ref_rng_u64(f->g), b = (uint32_t)ref_rng_u64(f->g), few = chance(f->g, 4) ? a & b : 0;
        const uint32_t kinds[] = {a, few, ~few, 0, UINT32_MAX};
        words[i] = kinds[kind];
    }
    t->bits.words = words;
    return words;
}

/* ---- patterns -------------------------------------------------------------------------------------------------- */

/* Which heads it is for is drawn already. */
static void *draw_term(const frame *f, vka_pattern_term *t) {
    switch (t->kind) {
    case VKA_PATTERN_ALL:
    case VKA_PATTERN_CAUSAL:
        break;
    case VKA_PATTERN_WINDOW:
        draw_window(f, t);
        break;
    case VKA_PATTERN_GLOBAL:
        return draw_global(f, t);
    case VKA_PATTERN_FIXED:
        draw_fixed(f, t);
        break;
    case VKA_PATTERN_BIGBIRD:
        draw_bigbird(f, t);
        break;
    case VKA_PATTERN_PREFIX:
        t->prefix.length = chance(f->g, 5) ? UINT32_MAX : ref_rng_below(f->g, positions(f) + 2);
        break;
    case VKA_PATTERN_DOCUMENTS:
        return draw_documents(f, t);
    case VKA_PATTERN_NEIGHBORHOOD:
    case VKA_PATTERN_SWIN:
        draw_grid(f, t);
        break;
    case VKA_PATTERN_BLOCKS:
        return draw_blocks(f, t);
    case VKA_PATTERN_BITS:
        return draw_bits(f, t);
    case VKA_PATTERN_CHUNKS:
        draw_chunks(f, t);
        break;
    }
    return NULL;
}

static vka_pattern_kind draw_kind(const frame *f) {
    vka_pattern_kind kind = (vka_pattern_kind)ref_rng_below(f->g, LAST_PATTERN_KIND + 1);
    bool grid = kind == VKA_PATTERN_NEIGHBORHOOD || kind == VKA_PATTERN_SWIN;
    return grid && f->queries != f->keys ? VKA_PATTERN_CAUSAL : kind;
}

static void draw_heads(const frame *f, vka_pattern_term *t) {
    if (f->heads && chance(f->g, 40)) {
        t->first_head = ref_rng_below(f->g, f->heads);
        t->heads = ref_rng_below(f->g, f->heads - t->first_head + 1);
    }
}

static frame begin(ref_rng *g, uint32_t queries, uint32_t keys, uint32_t heads, pattern_storage *s,
                   vka_pattern_desc *d) {
    static const uint32_t query_tiles[] = {0, 16, 16, 32, 64, 128}, key_tiles[] = {0, 32, 32, 64, 128};
    *s = (pattern_storage){.terms = list_of(VKA_MAX_PATTERN_TERMS, sizeof *s->terms)};
    *d = (vka_pattern_desc){.queries = queries, .keys = keys, .heads = heads, .terms = s->terms};
    d->query_tile = query_tiles[ref_rng_below(g, 6)];
    d->key_tile = key_tiles[ref_rng_below(g, 5)];
    d->keep_order = chance(g, 30);
    return (frame){g, queries, keys, heads};
}

void pattern_draw_kind(ref_rng *g, vka_pattern_kind kind, uint32_t queries, uint32_t keys, uint32_t heads,
                       pattern_storage *s, vka_pattern_desc *d) {
    frame f = begin(g, queries, keys, heads, s, d);
    s->terms[0].kind = kind;
    s->lists[0] = draw_term(&f, &s->terms[0]);
    d->term_count = 1;
}

void pattern_draw(ref_rng *g, uint32_t queries, uint32_t keys, uint32_t heads, pattern_storage *s,
                  vka_pattern_desc *d) {
    frame f = begin(g, queries, keys, heads, s, d);
    uint32_t alternatives = chance(g, 2) ? 0 : between(g, 1, 3);
    for (uint32_t i = 0; i < alternatives; i++) {
        uint32_t terms = chance(g, 50) ? 1 : between(g, 2, 3);
        for (uint32_t n = 0; n < terms; n++) {
            vka_pattern_term *t = &s->terms[d->term_count];
            t->kind = draw_kind(&f);
            t->intersect = n > 0;
            draw_heads(&f, t);
            s->lists[d->term_count++] = draw_term(&f, t);
        }
    }
}

void pattern_drop(pattern_storage *s, vka_pattern_desc *d, uint32_t term) {
    if (term >= d->term_count) {
        return;
    }
    bool began = !s->terms[term].intersect;
    memmove(&s->terms[term], &s->terms[term + 1], (d->term_count - term - 1) * sizeof *s->terms);
    d->term_count--;
    if (began && term < d->term_count) {
        s->terms[term].intersect = false;
    }
}

void pattern_free(pattern_storage *s) {
    for (uint32_t i = 0; i < VKA_MAX_PATTERN_TERMS; i++) {
        free(s->lists[i]);
    }
    free(s->terms);
    *s = (pattern_storage){0};
}

/* ---- in words -------------------------------------------------------------------------------------------------- */

static void say_window(writer *w, const vka_pattern_term *t) {
    say(w, true, " ");
    say(w, t->window.left != VKA_UNBOUNDED, "%d", t->window.left);
    say(w, true, "..");
    say(w, t->window.right != VKA_UNBOUNDED, "%d", t->window.right);
    say(w, t->window.dilation, " dilation %u", t->window.dilation);
}

static void say_tokens(writer *w, const vka_pattern_term *t) {
    for (uint32_t i = 0; i < t->global.count; i++) {
        say(w, true, " %u", t->global.tokens[i]);
    }
    say(w, t->global.one_way, " one way");
}

/* Nothing, where all are zero. */
static void say_axes(writer *w, const char *name, uint32_t rank, const uint32_t *values) {
    bool any = false;
    for (uint32_t axis = 0; axis < rank; axis++) {
        any = any || values[axis];
    }
    for (uint32_t axis = 0; axis < rank; axis++) {
        say(w, any && axis == 0, " %s ", name);
        say(w, any, "%s%u", axis ? "x" : "", values[axis]);
    }
}

static void say_grid(writer *w, const vka_pattern_term *t) {
    uint32_t rank = t->grid.rank, causal[3] = {t->grid.causal[0], t->grid.causal[1], t->grid.causal[2]};
    bool swin = t->kind == VKA_PATTERN_SWIN;
    say_axes(w, "of", rank, t->grid.size);
    say_axes(w, "window", rank, t->grid.window);
    say_axes(w, "stride", swin ? 0 : rank, t->grid.stride);
    say_axes(w, "dilation", swin ? 0 : rank, t->grid.dilation);
    say_axes(w, "causal", swin ? 0 : rank, causal);
    say_axes(w, "shift", swin ? rank : 0, t->grid.shift);
}

static void say_term(writer *w, const vka_pattern_term *t) {
    static const char *const names[] = {"all",       "causal", "window",         "global", "fixed", "bigbird", "prefix",
                                        "documents", "near",   "shifted window", "blocks", "bits",  "chunks"};
    say(w, true, "%s", t->kind <= LAST_PATTERN_KIND ? names[t->kind] : "?");
    if (t->kind == VKA_PATTERN_WINDOW) {
        say_window(w, t);
    } else if (t->kind == VKA_PATTERN_GLOBAL) {
        say_tokens(w, t);
    } else if (t->kind == VKA_PATTERN_NEIGHBORHOOD || t->kind == VKA_PATTERN_SWIN) {
        say_grid(w, t);
    }
    say(w, t->kind == VKA_PATTERN_FIXED, " span %u block %u last %u", t->fixed.span, t->fixed.block,
        t->fixed.last_blocks);
    say(w, t->kind == VKA_PATTERN_BIGBIRD, " block %u random %u seed %#llx global %u", t->bigbird.block,
        t->bigbird.random_blocks, (unsigned long long)t->bigbird.seed, t->bigbird.global_tokens);
    say(w, t->kind == VKA_PATTERN_PREFIX, " %u", t->prefix.length);
    say(w, t->kind == VKA_PATTERN_BLOCKS, " of %ux%u%s", t->blocks.query_block, t->blocks.key_block,
        t->blocks.per_head ? " a head" : "");
    say(w, t->kind == VKA_PATTERN_CHUNKS, " of %u, %u before, %u after", t->chunks.size, t->chunks.before,
        t->chunks.after);
    say(w, t->first_head || t->heads, " (heads %u+%u)", t->first_head, t->heads);
}

const char *pattern_describe(const vka_pattern_desc *d, char *text, size_t size) {
    writer w = {text, size};
    say(&w, true, "%ux%u", d->queries, d->keys);
    say(&w, d->heads, " heads %u", d->heads);
    say(&w, d->query_tile || d->key_tile, " tiles %ux%u", d->query_tile, d->key_tile);
    say(&w, d->keep_order, " in order");
    say(&w, true, ":");
    for (uint32_t i = 0; i < d->term_count; i++) {
        say(&w, true, "%s", i == 0 ? " " : d->terms[i].intersect ? " and " : ", or ");
        say_term(&w, &d->terms[i]);
    }
    return text;
}
