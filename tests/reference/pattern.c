/* Patterns, pair by pair, as their papers and <vkattn/pattern.h> define them.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

/* ---- sequences ------------------------------------------------------------------------------------------------- */

/* Longformer (Beltagy 2020): a step of the window is `dilation` tokens. */
static bool in_window(const vka_pattern_term *t, int64_t p, int64_t j) {
    int64_t dilation = t->window.dilation ? t->window.dilation : 1;
    bool left = t->window.left == VKA_UNBOUNDED || j >= p - t->window.left * dilation;
    bool right = t->window.right == VKA_UNBOUNDED || j <= p + t->window.right * dilation;
    return left && right && (j - p) % dilation == 0;
}

static bool is_global(const vka_pattern_term *t, int64_t token) {
    bool found = false;
    for (uint32_t i = 0; i < t->global.count; i++) {
        found = found || t->global.tokens[i] == token;
    }
    return found;
}

/* Sparse Transformer (Child 2019): the span of p, and the summary blocks at the end of every span. */
static bool in_fixed(const vka_pattern_term *t, int64_t p, int64_t j) {
    int64_t span = t->fixed.span, block = t->fixed.block ? t->fixed.block : 1;
    bool own_span = j / span == p / span;
    bool summary = j % span >= span - t->fixed.last_blocks * block;
    return j <= p && (own_span || summary);
}

static bool same_document(const vka_pattern_term *t, int64_t p, int64_t j) {
    return t->documents.ids[p] == t->documents.ids[j];
}

static bool in_chunks(const vka_pattern_term *t, int64_t p, int64_t j) {
    int64_t chunk = p / t->chunks.size, other = j / t->chunks.size;
    return chunk - t->chunks.before <= other && other <= chunk + t->chunks.after;
}

/* ---- BigBird (Zaheer 2020) ------------------------------------------------------------------------------------- */

typedef struct bigbird {
    int64_t block, random_blocks, global_tokens, query_blocks, key_blocks;
    bool itc; /* else ETC */
    uint32_t head, seed[2];
} bigbird;

static int64_t blocks_of(int64_t tokens, int64_t block) {
    return tokens > 0 ? (tokens + block - 1) / block : 0;
}

static bigbird bigbird_of(const vka_pattern_desc *d, const vka_pattern_term *t, uint32_t head) {
    int64_t global_tokens = t->bigbird.global_tokens, block = t->bigbird.block;
    return (bigbird){
        .block = block,
        .random_blocks = t->bigbird.random_blocks,
        .global_tokens = global_tokens,
        .query_blocks = blocks_of(d->queries - global_tokens, block),
        .key_blocks = blocks_of(d->keys - global_tokens, block),
        .itc = global_tokens == 0,
        .head = d->heads ? head : 0,
        .seed = {(uint32_t)t->bigbird.seed, (uint32_t)(t->bigbird.seed >> 32)},
    };
}

static bool bigbird_drawable(const bigbird *b, int64_t row, int64_t column, const int64_t *drawn, int64_t count) {
    bool drawable = column < row - 1 || column > row + 1;
    if (b->itc && (column == 0 || column == b->key_blocks - 1)) {
        drawable = false;
    }
    for (int64_t i = 0; i < count; i++) {
        drawable = drawable && drawn[i] != column;
    }
    return drawable;
}

/* Number `draw` of a row, after those in `drawn`; -1: there is none left. */
static int64_t bigbird_draw(const bigbird *b, int64_t row, const int64_t *drawn, int64_t draw) {
    uint32_t counter[4] = {(uint32_t)draw / 4, (uint32_t)row, b->head, 0}, words[4];
    uint64_t left = 0;
    for (int64_t column = 0; column < b->key_blocks; column++) {
        left += bigbird_drawable(b, row, column, drawn, draw);
    }
    ref_philox(counter, b->seed, words);
    uint64_t place = words[draw % 4] * left >> 32;
    for (int64_t column = 0; column < b->key_blocks; column++) {
        if (bigbird_drawable(b, row, column, drawn, draw) && place-- == 0) {
            return column;
        }
    }
    return -1;
}

static bool bigbird_random(const bigbird *b, int64_t row, int64_t column) {
    int64_t drawn[64];
    bool found = false;
    for (int64_t draw = 0; draw < b->random_blocks && !found; draw++) {
        drawn[draw] = bigbird_draw(b, row, drawn, draw);
        found = drawn[draw] == column;
    }
    return found;
}

static bool in_bigbird(const bigbird *b, int64_t p, int64_t j) {
    if (p < b->global_tokens || j < b->global_tokens) {
        return true;
    }
    int64_t row = (p - b->global_tokens) / b->block, column = (j - b->global_tokens) / b->block;
    bool window = column >= row - 1 && column <= row + 1;
    bool global = row == 0 || row == b->query_blocks - 1 || column == 0 || column == b->key_blocks - 1;
    return window || (b->itc && global) || bigbird_random(b, row, column);
}

/* ---- grids ----------------------------------------------------------------------------------------------------- */

/* Neighborhood attention along one axis (Hassani 2023; NATTEN's reference mask): tokens of one residue are a line of
 * their own, on which groups of queries have their leader's window. It moves inward at the ends, so that it is whole;
 * a causal one ends at the query. */
static bool in_neighborhood(const vka_pattern_term *t, int axis, int64_t p, int64_t j) {
    int64_t dilation = t->grid.dilation[axis] ? t->grid.dilation[axis] : 1;
    int64_t stride = t->grid.stride[axis] ? t->grid.stride[axis] : 1;
    int64_t window = t->grid.window[axis], residue = p % dilation;
    if (j % dilation != residue) {
        return false;
    }
    int64_t query = p / dilation, key = j / dilation;
    int64_t length = (t->grid.size[axis] - residue + dilation - 1) / dilation;
    int64_t group = query / stride * stride;
    if (t->grid.causal[axis]) {
        int64_t last = group + stride - 1 < length ? group + stride - 1 : length - 1;
        return key > last - window && key <= query;
    }
    int64_t leader = group + stride / 2 < length ? group + stride / 2 : length - 1;
    int64_t before = window / 2, after = before + window % 2 - 1;
    int64_t first = leader < before ? 0 : leader + after >= length ? length - window : leader - before;
    return key >= first && key < first + window;
}

/* Swin (Liu 2021) along one axis: the grid is rolled by the shift and cut into windows; in the last of them the tokens
 * that came from the other end are another region. */
static bool in_swin(const vka_pattern_term *t, int axis, int64_t p, int64_t j) {
    int64_t size = t->grid.size[axis], window = t->grid.window[axis], shift = t->grid.shift[axis];
    int64_t query = (p - shift + size) % size, key = (j - shift + size) % size;
    bool query_wraps = query >= size - shift, key_wraps = key >= size - shift;
    return query / window == key / window && query_wraps == key_wraps;
}

static bool in_grid(const vka_pattern_term *t, int64_t p, int64_t j) {
    bool sees = true;
    for (int axis = (int)t->grid.rank - 1; axis >= 0; axis--) {
        int64_t size = t->grid.size[axis], query = p % size, key = j % size;
        sees =
            sees && (t->kind == VKA_PATTERN_SWIN ? in_swin(t, axis, query, key) : in_neighborhood(t, axis, query, key));
        p /= size;
        j /= size;
    }
    return sees;
}

/* ---- masks ----------------------------------------------------------------------------------------------------- */

static bool in_blocks(const vka_pattern_desc *d, const vka_pattern_term *t, uint32_t head, int64_t p, int64_t j) {
    int64_t rows = blocks_of(d->queries, t->blocks.query_block), columns = blocks_of(d->keys, t->blocks.key_block);
    int64_t mask = t->blocks.per_head ? head - t->first_head : 0;
    int64_t row = p / t->blocks.query_block, column = j / t->blocks.key_block;
    return t->blocks.live[(mask * rows + row) * columns + column] != 0;
}

static bool in_bits(const vka_pattern_desc *d, const vka_pattern_term *t, int64_t p, int64_t j) {
    uint32_t row_words = (d->keys + 31) / 32;
    return t->bits.words[p * row_words + j / 32] >> j % 32 & 1;
}

/* ---- terms ----------------------------------------------------------------------------------------------------- */

static bool keeps(const vka_pattern_desc *d, const vka_pattern_term *t, uint32_t head, int64_t p, int64_t j) {
    bigbird b;
    switch (t->kind) {
    case VKA_PATTERN_ALL:
        return true;
    case VKA_PATTERN_CAUSAL:
        return j <= p;
    case VKA_PATTERN_WINDOW:
        return in_window(t, p, j);
    case VKA_PATTERN_GLOBAL:
        return is_global(t, j) || (!t->global.one_way && is_global(t, p));
    case VKA_PATTERN_FIXED:
        return in_fixed(t, p, j);
    case VKA_PATTERN_BIGBIRD:
        b = bigbird_of(d, t, head);
        return in_bigbird(&b, p, j);
    case VKA_PATTERN_PREFIX:
        return j < t->prefix.length || j <= p;
    case VKA_PATTERN_DOCUMENTS:
        return same_document(t, p, j);
    case VKA_PATTERN_NEIGHBORHOOD:
    case VKA_PATTERN_SWIN:
        return in_grid(t, p, j);
    case VKA_PATTERN_BLOCKS:
        return in_blocks(d, t, head, p, j);
    case VKA_PATTERN_BITS:
        return in_bits(d, t, p, j);
    case VKA_PATTERN_CHUNKS:
        return in_chunks(t, p, j);
    }
    return false;
}

static bool belongs(const vka_pattern_term *t, uint32_t head) {
    return head >= t->first_head && (t->heads == 0 || head - t->first_head < t->heads);
}

bool ref_pattern_sees(const vka_pattern_desc *d, uint32_t head, int64_t p, int64_t j) {
    if (p < 0 || p >= d->queries || j < 0 || j >= d->keys) {
        return false;
    }
    bool any = d->term_count == 0, alternative = false;
    for (uint32_t i = 0; i < d->term_count; i++) {
        const vka_pattern_term *t = &d->terms[i];
        if (!t->intersect) { /* another one begins */
            alternative = belongs(t, head) && keeps(d, t, head, p, j);
        } else if (belongs(t, head)) {
            alternative = alternative && keeps(d, t, head, p, j);
        }
        bool ends = i + 1 == d->term_count || !d->terms[i + 1].intersect;
        any = any || (ends && alternative);
    }
    return any;
}
