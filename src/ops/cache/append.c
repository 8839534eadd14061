/* vka_cache_append: its description and checks.
 * SPDX-License-Identifier: MIT */
#include "ops/cache/cache.h"

enum { K = VKA__CACHE_K, K_CACHE, K_SCALE, V, V_CACHE, V_SCALE, PAGES, LENGTHS, OFFSETS, NEW, COS, SIN, ARGS };
enum { ROPE_THETA, ROPE_FREQUENCY_SCALE, NUMBERS };

#define DESC(field) offsetof(vka_cache_append_desc, field)
#define I32         VKA__TYPE(VKA_I32)
#define F32         VKA__TYPE(VKA_F32)
/* Tokens are counted in 32-bit integers with room to add. */
#define MAX_TOKENS (1 << 28)

/* S: sequences of the new tokens, 1 where they are packed. B: sequences. E: B + 1. C and W: sequences, or pages of keys
 * and of values. P: capacity, or tokens of a page. Words of a cache that are partly somebody else's are read, too. */
#define TENSOR(name, shape, field, types, flags_, access_)                                                             \
    { name, shape, DESC(field), VKA__NONE, types, .flags = flags_, .access = access_, .extent = VKA__CUSTOM }
static const vka__arg args[ARGS] = {
    [K] = TENSOR("k", "S H T D", k, VKA__FLOATS, 0, VKA__READ),
    [K_CACHE] = TENSOR("k_cache", "C H P D", k_cache, VKA__CACHES, 0, VKA__READ_WRITE),
    [K_SCALE] = TENSOR("k_scale", "C H P", k_scale, F32, VKA__PER_ROW, VKA__WRITE),
    [V] = TENSOR("v", "S H T V", v, VKA__FLOATS, 0, VKA__READ),
    [V_CACHE] = TENSOR("v_cache", "W H P V", v_cache, VKA__CACHES, 0, VKA__READ_WRITE),
    [V_SCALE] = TENSOR("v_scale", "W H P", v_scale, F32, VKA__PER_ROW, VKA__WRITE),
    [PAGES] = TENSOR("page_table", "B M", page_table, I32, 0, VKA__READ),
    [LENGTHS] = TENSOR("lengths", "B", lengths, I32, VKA__LIST, VKA__READ),
    [OFFSETS] = TENSOR("offsets", "E", offsets, I32, VKA__LIST, VKA__READ),
    [NEW] = TENSOR("new_lengths", "B", new_lengths, I32, 0, VKA__WRITE),
    [COS] = TENSOR("rope.cos", NULL, rope.cos, VKA__FLOATS, 0, VKA__READ),
    [SIN] = TENSOR("rope.sin", NULL, rope.sin, VKA__FLOATS, 0, VKA__READ),
};

static const vka__limit limits[] = {{'D', 1, 1024}, {'V', 1, 1024}, {0}};

static const vka__number numbers[NUMBERS] = {
    [ROPE_THETA] = VKA__ROPE_THETA("rope.theta", DESC(rope.theta)),
    [ROPE_FREQUENCY_SCALE] = VKA__ROPE_FREQUENCY_SCALE("rope.frequency_scale", DESC(rope.frequency_scale)),
};

static const vka_cache_append_desc *desc_of(const vka__call *c) {
    return VKA__DESC(c, vka_cache_append_desc);
}

static bool is_list(const vka_integers *list) {
    return list->values || vka__is_present(&list->tensor);
}

/* Keys, or values if there are no keys. */
static uint32_t first_side(const vka__call *c) {
    return vka__call_has(c, K) ? K : V;
}

vka__rotated vka__cache_rotated(const vka__call *c) {
    const vka_tensor *k = vka__call_tensor(c, K);
    return (vka__rotated){k->shape[0], k->shape[2], k->shape[3], "rope", COS, SIN};
}

/* ---- sizes ----------------------------------------------------------------------------------------------------- */

/* Which of new rows, cache and scale are there. */
static vka_status check_presence(const vka__call *c, uint32_t side) {
    bool present = vka__call_has(c, side), i8 = vka__call_has(c, side + 1) && c->view[side + 1].dtype == VKA_I8;
    if (vka__call_has(c, side + 1) != present)
        return present
                   ? vka__call_fail(c, VKA_INVALID, args[side + 1].name, "is required with %s", args[side].name)
                   : vka__call_fail(c, VKA_INVALID, args[side + 1].name, "there is no %s to append", args[side].name);
    if (vka__call_has(c, side + 2) != i8)
        return i8 ? vka__call_fail(c, VKA_INVALID, args[side + 2].name, "is required with an i8 cache")
                  : vka__call_fail(c, VKA_INVALID, args[side + 2].name, "only i8 caches have scales of their own");
    for (uint32_t i = side; i < side + 2 && present; ++i)
        if (vka__call_tensor(c, i)->rank != 4)
            return vka__call_fail(c, VKA_INVALID, args[i].name, "rank is %u, but must be 4: [%s]",
                                  vka__call_tensor(c, i)->rank, i == side ? "B, H, N, D" : "B, H, capacity, D");
    return VKA_OK;
}

static vka_status measure_pages(vka__call *c, vka__cache *p) {
    uint32_t cache = first_side(c) + 1;
    const vka_tensor *t = vka__call_tensor(c, cache), *table = vka__call_tensor(c, PAGES);
    p->capacity = t->shape[2];
    if (!vka__call_has(c, PAGES))
        return VKA_OK;
    p->page = t->shape[2];
    if (!p->page || p->page % 8)
        return vka__call_fail(c, VKA_INVALID, args[cache].name,
                              "shape[2], the page size, is %u, but must be a multiple of 8", p->page);
    if (table->rank != 2)
        return vka__call_fail(c, VKA_INVALID, "page_table", "rank is %u, but must be 2", table->rank);
    if (table->shape[1] > MAX_TOKENS / p->page)
        return vka__call_fail(c, VKA_UNSUPPORTED, "page_table", "its pages have more than %d tokens", MAX_TOKENS);
    p->capacity = table->shape[1] * p->page;
    return VKA_OK;
}

static vka_status sizes(vka__call *c) {
    const vka_cache_append_desc *d = desc_of(c);
    vka__cache *p = VKA__STATE(c, vka__cache);
    bool packed = is_list(&d->offsets);
    if (!vka__call_has(c, K) && !vka__call_has(c, V))
        return vka__call_fail(c, VKA_INVALID, "k", "neither keys nor values are there");
    vka_status status = check_presence(c, K);
    if (status == VKA_OK)
        status = check_presence(c, V);
    if (status != VKA_OK)
        return status;
    if (packed != (d->sequences != 0))
        return vka__call_fail(c, VKA_INVALID, "sequences", "is %u, but there are %s", d->sequences,
                              packed ? "offsets, which count them" : "no offsets");
    if (d->max_len && !packed)
        return vka__call_fail(c, VKA_INVALID, "max_len", "is %u, but there are no offsets", d->max_len);
    const vka_tensor *x = vka__call_tensor(c, first_side(c));
    p->sequences = packed ? d->sequences : x->shape[0];
    p->heads = x->shape[1];
    p->tokens = d->max_len ? vka__min_u32(d->max_len, x->shape[2]) : x->shape[2];
    vka__call_bind_letter(c, 'B', p->sequences);
    vka__call_bind_letter(c, 'E', p->sequences + 1);
    vka__call_bind_letter(c, 'S', packed ? 1 : p->sequences);
    if (!vka__call_has(c, PAGES)) {
        vka__call_bind_letter(c, 'C', p->sequences);
        vka__call_bind_letter(c, 'W', p->sequences);
    }
    return measure_pages(c, p);
}

/* ---- what the host knows --------------------------------------------------------------------------------------- */

/* Host values, which are known now: a wrong one is a mistake and not data. */
static vka_status check_offsets(const vka__call *c, const vka__cache *p) {
    const int32_t *x = c->source[OFFSETS].values;
    uint32_t rows = vka__call_letter(c, 'T');
    for (uint32_t b = 0; x && b < p->sequences; ++b) {
        if (x[b] < 0 || x[b + 1] < x[b] || (uint32_t)x[b + 1] > rows)
            return vka__call_fail(c, VKA_INVALID, "offsets", "sequence %u is %d .. %d of %u rows", b, x[b], x[b + 1],
                                  rows);
        if ((uint32_t)(x[b + 1] - x[b]) > p->tokens)
            return vka__call_fail(c, VKA_INVALID, "offsets", "sequence %u has %d rows, but at most %u were announced",
                                  b, x[b + 1] - x[b], p->tokens);
    }
    return VKA_OK;
}

/* New tokens of a sequence whose lengths and offsets the host knows. */
static uint32_t new_tokens(const vka__call *c, const vka__cache *p, uint32_t sequence) {
    const int32_t *offset = c->source[OFFSETS].values;
    return offset ? (uint32_t)(offset[sequence + 1] - offset[sequence]) : p->tokens;
}

/* Do the tokens fit the cache, and can their positions be counted? The kernel drops, or clamps, what only the device
 * knows. */
static vka_status check_lengths(const vka__call *c, const vka__cache *p) {
    const int32_t *length = c->source[LENGTHS].values;
    if (c->source[LENGTHS].buffer || c->source[OFFSETS].buffer)
        return VKA_OK;
    vka_status status = VKA_OK;
    for (uint32_t b = 0; b < p->sequences && status == VKA_OK; ++b) {
        int64_t have = length ? length[b] : 0, more = new_tokens(c, p, b);
        if (have < 0 || have + more > p->capacity)
            return vka__call_fail(c, VKA_INVALID, "lengths", "sequence %u: %lld and %lld new tokens, but room for %u",
                                  b, (long long)have, (long long)more, p->capacity);
        if (p->rope.enabled)
            status = vka__rope_check_reach(c, "rope.position_offset", &p->rope, have, (uint32_t)more);
    }
    return status;
}

static vka_status check_sizes(const vka__call *c, const vka__cache *p) {
    uint32_t first = first_side(c), rows = vka__call_letter(c, 'T');
    if (rows > MAX_TOKENS || p->capacity > MAX_TOKENS)
        return vka__call_fail(c, VKA_UNSUPPORTED, args[rows > MAX_TOKENS ? first : first + 1].name,
                              "shape[2] is above %d", MAX_TOKENS);
    if ((uint64_t)p->sequences * p->heads > UINT32_MAX / vka__max_u32(p->tokens, 1))
        return vka__call_fail(c, VKA_UNSUPPORTED, args[first].name, "has more than 2^32 - 1 rows");
    return VKA_OK;
}

static vka_status check(vka__call *c) {
    vka__cache *p = VKA__STATE(c, vka__cache);
    const vka__rotated rotated = vka__cache_rotated(c);
    vka_status status = check_sizes(c, p);
    if (status == VKA_OK)
        status = check_offsets(c, p);
    if (status == VKA_OK && desc_of(c)->rotate && !vka__call_has(c, K))
        status = vka__call_fail(c, VKA_INVALID, "rotate", "there is no k");
    if (status == VKA_OK && desc_of(c)->rotate)
        status = vka__rope_check(c, &desc_of(c)->rope, &rotated, &p->rope);
    p->rope.theta = c->number[ROPE_THETA];
    p->rope.frequency_scale = c->number[ROPE_FREQUENCY_SCALE];
    return status == VKA_OK ? check_lengths(c, p) : status;
}

VKA__OPERATION(cache_append, .params_size = sizeof(vka_cache_params), .state_size = sizeof(vka__cache),
               .limits = limits, .sizes = sizes, .check = check, .plan = vka__cache_plan,
               .dispatch = vka__cache_dispatch, .explain = vka__cache_explain);
