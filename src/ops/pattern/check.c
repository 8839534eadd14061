/* Checks of descriptions of patterns.
 * SPDX-License-Identifier: MIT */
#include "ops/pattern/object.h"

#include <stdarg.h>
#include <stdio.h>

/* A term and where it stands. */
typedef struct place {
    const vka__check *check;
    const vka_pattern_desc *desc;
    const vka_pattern_term *term;
} place;

/* Logs "function.terms[2].window.dilation: ..". */
static vka_status refuse(const place *p, const char *field, const char *format, ...) VKA_PRINTF(3, 4);
static vka_status refuse(const place *p, const char *field, const char *format, ...) {
    char name[64], message[200];
    snprintf(name, sizeof name, "terms[%u].%s", (unsigned)(p->term - p->desc->terms), field);
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return vka__check_fail(p->check, VKA_INVALID, name, "%s", message);
}

/* A required number of tokens. */
static vka_status check_positive(const place *p, const char *field, uint32_t value) {
    return value ? VKA_OK : refuse(p, field, "is 0, but must be 1 or more");
}

static vka_status check_required(const place *p, const char *field, const void *list) {
    return list ? VKA_OK : refuse(p, field, "must not be NULL");
}

/* ---- kinds ----------------------------------------------------------------------------------------------------- */

static vka_status check_window(const place *p) {
    int32_t left = p->term->window.left, right = p->term->window.right;
    if (left != VKA_UNBOUNDED && right != VKA_UNBOUNDED && (int64_t)left + right < 0)
        return refuse(p, "window.left", "%d and right %d keep nothing", left, right);
    return VKA_OK;
}

static vka_status check_global(const place *p) {
    const uint32_t *tokens = p->term->global.tokens, count = p->term->global.count;
    uint32_t size = vka__max_u32(p->desc->queries, p->desc->keys);
    if (!tokens && count)
        return check_required(p, "global.tokens", NULL);
    for (uint32_t i = 0; i < count; ++i) {
        if (i && tokens[i] <= tokens[i - 1])
            return refuse(p, "global.tokens", "must ascend, but %u stands behind %u", tokens[i], tokens[i - 1]);
        if (tokens[i] >= size)
            return refuse(p, "global.tokens", "%u is not below %u", tokens[i], size);
    }
    return VKA_OK;
}

static vka_status check_fixed(const place *p) {
    uint32_t span = p->term->fixed.span, block = vka__max_u32(p->term->fixed.block, 1);
    vka_status status = check_positive(p, "fixed.span", span);
    if (status != VKA_OK)
        return status;
    if (span % block)
        return refuse(p, "fixed.span", "%u is not a multiple of block, %u", span, block);
    if (p->term->fixed.last_blocks > span / block)
        return refuse(p, "fixed.last_blocks", "%u are more than a span has: %u", p->term->fixed.last_blocks,
                      span / block);
    return VKA_OK;
}

static vka_status check_bigbird(const place *p) {
    if (p->term->bigbird.random_blocks > 64)
        return refuse(p, "bigbird.random_blocks", "%u is above 64", p->term->bigbird.random_blocks);
    return check_positive(p, "bigbird.block", p->term->bigbird.block);
}

static vka_status check_blocks(const place *p) {
    vka_status status = check_required(p, "blocks.live", p->term->blocks.live);
    if (status == VKA_OK)
        status = check_positive(p, "blocks.query_block", p->term->blocks.query_block);
    if (status == VKA_OK)
        status = check_positive(p, "blocks.key_block", p->term->blocks.key_block);
    return status;
}

static vka_status check_axis(const place *p, uint32_t axis) {
    const vka_pattern_term *t = p->term;
    bool swin = t->kind == VKA_PATTERN_SWIN;
    uint32_t size = t->grid.size[axis], window = t->grid.window[axis], shift = t->grid.shift[axis];
    uint32_t dilation = swin ? 1 : vka__max_u32(t->grid.dilation[axis], 1);
    char field[24];
    snprintf(field, sizeof field, "grid.window[%u]", axis);
    if (!window || window > size / dilation)
        return refuse(p, field, "is %u, but must be 1 .. %u, which is size / dilation", window, size / dilation);
    if (swin && size % window)
        return refuse(p, field, "%u does not divide the size %u", window, size);
    snprintf(field, sizeof field, "grid.shift[%u]", axis);
    if (swin && shift >= window)
        return refuse(p, field, "%u is not below the window %u", shift, window);
    return VKA_OK;
}

static vka_status check_grid(const place *p) {
    const vka_pattern_desc *d = p->desc;
    const vka_pattern_term *t = p->term;
    if (t->grid.rank < 1 || t->grid.rank > 3)
        return refuse(p, "grid.rank", "%u is not 1 .. 3", t->grid.rank);
    uint64_t tokens = 1;
    for (uint32_t i = 0; i < t->grid.rank && tokens <= d->queries; ++i)
        tokens *= t->grid.size[i];
    if (tokens != d->queries || tokens != d->keys)
        return refuse(p, "grid.size", "its product must be queries and keys, %u and %u", d->queries, d->keys);
    vka_status status = VKA_OK;
    for (uint32_t i = 0; i < t->grid.rank && status == VKA_OK; ++i)
        status = check_axis(p, i);
    return status;
}

static vka_status check_kind(const place *p) {
    switch (p->term->kind) {
    case VKA_PATTERN_ALL:
    case VKA_PATTERN_CAUSAL:
    case VKA_PATTERN_PREFIX:
        return VKA_OK;
    case VKA_PATTERN_WINDOW:
        return check_window(p);
    case VKA_PATTERN_GLOBAL:
        return check_global(p);
    case VKA_PATTERN_FIXED:
        return check_fixed(p);
    case VKA_PATTERN_BIGBIRD:
        return check_bigbird(p);
    case VKA_PATTERN_DOCUMENTS:
        return check_required(p, "documents.ids", p->term->documents.ids);
    case VKA_PATTERN_NEIGHBORHOOD:
    case VKA_PATTERN_SWIN:
        return check_grid(p);
    case VKA_PATTERN_BLOCKS:
        return check_blocks(p);
    case VKA_PATTERN_BITS:
        return check_required(p, "bits.words", p->term->bits.words);
    case VKA_PATTERN_CHUNKS:
        return check_positive(p, "chunks.size", p->term->chunks.size);
    }
    return refuse(p, "kind", "%d is not a vka_pattern_kind", (int)p->term->kind);
}

/* ---- the description ------------------------------------------------------------------------------------------- */

static vka_status check_heads(const place *p) {
    uint32_t heads = p->desc->heads, first = p->term->first_head, count = p->term->heads;
    if (!heads && (first || count))
        return refuse(p, first ? "first_head" : "heads", "is %u, but the pattern has one map for all heads",
                      first ? first : count);
    if (heads && first >= heads)
        return refuse(p, "first_head", "%u is not below heads, %u", first, heads);
    if (heads && count > heads - first)
        return refuse(p, "heads", "%u from %u on are more than the pattern's %u", count, first, heads);
    return VKA_OK;
}

static vka_status check_terms(const vka__check *c, const vka_pattern_desc *d) {
    if (d->term_count > VKA_MAX_PATTERN_TERMS)
        return vka__check_fail(c, VKA_INVALID, "term_count", "%u is above %d", d->term_count, VKA_MAX_PATTERN_TERMS);
    if (d->term_count && !d->terms)
        return vka__check_fail(c, VKA_INVALID, "terms", "must not be NULL");
    for (uint32_t i = 0; i < d->term_count; ++i) {
        const place p = {c, d, &d->terms[i]};
        vka_status status = check_heads(&p);
        if (status == VKA_OK && !i && p.term->intersect)
            status = refuse(&p, "intersect", "is true, but there is no term before it");
        if (status == VKA_OK)
            status = check_kind(&p);
        if (status != VKA_OK)
            return status;
    }
    return VKA_OK;
}

static bool one_of(uint32_t value, const uint32_t *list, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i)
        if (value == list[i])
            return true;
    return false;
}

vka_status vka__pattern_check(const vka__check *c, const vka_pattern_desc *d) {
    static const uint32_t tiles[] = {0, 16, 32, 64, 128};
    if (!d)
        return vka__check_fail(c, VKA_INVALID, "desc", "must not be NULL");
    if (!d->queries || d->queries >= VKA_PATTERN_LIMIT)
        return vka__check_fail(c, VKA_INVALID, "queries", "is %u, but must be 1 .. 2^28 - 1", d->queries);
    if (!d->keys || d->keys >= VKA_PATTERN_LIMIT)
        return vka__check_fail(c, VKA_INVALID, "keys", "is %u, but must be 1 .. 2^28 - 1", d->keys);
    if (!one_of(d->query_tile, tiles, 5))
        return vka__check_fail(c, VKA_INVALID, "query_tile", "%u is not 0, 16, 32, 64 or 128", d->query_tile);
    if (d->key_tile == 16 || !one_of(d->key_tile, tiles, 5))
        return vka__check_fail(c, VKA_INVALID, "key_tile", "%u is not 0, 32, 64 or 128", d->key_tile);
    if ((unsigned)d->build > VKA_PATTERN_BUILD_HOST)
        return vka__check_fail(c, VKA_INVALID, "build", "%d is not a vka_pattern_build", (int)d->build);
    return check_terms(c, d);
}
