/* vka_cache_append: a kernel for keys, one for values, and one for the new lengths.
 * SPDX-License-Identifier: MIT */
#include <vkattn/cache.h>

#include "ops/rope/options.h"
#include "params/cache.h"

/* The tensors. Behind the new keys, and the new values, lie their cache and its scales. */
enum { K, K_CACHE, K_SCALE, V, V_CACHE, V_SCALE, PAGES, LENGTHS, OFFSETS, NEW, COS, SIN, ARGS };
enum { CACHE = K_CACHE - K, SCALE = K_SCALE - K };
enum { ROPE_THETA, ROPE_FREQUENCY_SCALE, NUMBERS };
enum { SEQUENCES, HEADS, TOKENS }; /* dimensions of what is appended */

#define DESC(field) offsetof(vka_cache_append_desc, field)
#define I32         VKA__TYPE(VKA_I32)
/* Tokens are counted in 32-bit integers with room to add. */
#define MAX_TOKENS (1 << 28)

/* S: sequences of the new tokens, 1 where they are packed. B: sequences. E: B + 1. C and W: sequences, or pages of keys
 * and of values. P: capacity, or tokens of a page. Words of a cache that are partly somebody else's are read, too. */
#define TENSOR(field, shape, types, f, a, b, e)                                                                        \
    { #field, shape, DESC(field), VKA__NONE, types, .flags = f, .access = a, .binding = b, .extent = e }
static const vka__arg args[ARGS] = {
    [K] = TENSOR(k, "S H T D", VKA__FLOATS, 0, VKA__READ, VKA_BIND_X, VKA__CUSTOM),
    [K_CACHE] = TENSOR(k_cache, "C H P D", VKA__CACHES, 0, VKA__READ_WRITE, VKA_BIND_CACHE, VKA__CUSTOM),
    [K_SCALE] = TENSOR(k_scale, "C H P", VKA__TYPE(VKA_F32), VKA__PER_ROW, VKA__WRITE, VKA_BIND_SCALE, VKA__CUSTOM),
    [V] = TENSOR(v, "S H T V", VKA__FLOATS, 0, VKA__READ, VKA_BIND_X, VKA__CUSTOM),
    [V_CACHE] = TENSOR(v_cache, "W H P V", VKA__CACHES, 0, VKA__READ_WRITE, VKA_BIND_CACHE, VKA__CUSTOM),
    [V_SCALE] = TENSOR(v_scale, "W H P", VKA__TYPE(VKA_F32), VKA__PER_ROW, VKA__WRITE, VKA_BIND_SCALE, VKA__CUSTOM),
    [PAGES] = TENSOR(page_table, "B M", I32, 0, VKA__READ, VKA_BIND_PAGE_TABLE, VKA__ALL),
    [LENGTHS] = TENSOR(lengths, "B", I32, VKA__LIST, VKA__READ, VKA_BIND_LENGTHS, VKA__ALL),
    [OFFSETS] = TENSOR(offsets, "E", I32, VKA__LIST, VKA__READ, VKA_BIND_OFFSETS, VKA__ALL),
    [NEW] = TENSOR(new_lengths, "B", I32, 0, VKA__WRITE, VKA_BIND_NEW, VKA__ALL),
    [COS] = TENSOR(rope.cos, NULL, VKA__FLOATS, 0, VKA__READ, VKA_BIND_COS, VKA__ALL),
    [SIN] = TENSOR(rope.sin, NULL, VKA__FLOATS, 0, VKA__READ, VKA_BIND_SIN, VKA__ALL),
};

static const vka__limit limits[] = {{'D', 1, 1024}, {'V', 1, 1024}, {0}};
static const vka__number numbers[NUMBERS] = {
    [ROPE_THETA] = VKA__ROPE_THETA("rope.theta", DESC(rope.theta)),
    [ROPE_FREQUENCY_SCALE] = VKA__ROPE_FREQUENCY_SCALE("rope.frequency_scale", DESC(rope.frequency_scale)),
};

/* A kernel for keys or values. A dispatch does a box of (sequence, head, new token) for a range of places. */
typedef struct pass {
    vka__rows rows;
    uint32_t places;        /* pages, or tokens that a sequence has room for     */
    uint32_t range, ranges; /* places of a dispatch; how many ranges there are   */
    uint32_t key;           /* among the call's                                  */
    uint64_t dispatches;
} pass;

typedef struct state {
    uint32_t shape[3]; /* sequences, heads, and the most new tokens of a sequence */
    uint32_t capacity;
    uint32_t page; /* rows of a page; 0: not paged */
    vka__rope rope;
    pass keys, values;
    uint32_t advance_key;    /* of the kernel that writes new lengths */
    uint32_t advance_groups; /* 0: not wanted */
} state;

static const state *state_of(const vka__call *c) {
    return (const state *)(const void *)c->state;
}

/* Keys, or values if there are no keys. */
static uint32_t first_side(const vka__call *c) {
    return vka__call_has(c, K) ? K : V;
}

/* ---- sizes ----------------------------------------------------------------------------------------------------- */

/* Which of new rows `x`, their cache and its scales are there. */
static vka_status check_presence(const vka__call *c, uint32_t x) {
    bool present = vka__call_has(c, x), i8 = c->view[x + CACHE].dtype == VKA_I8;
    if (vka__call_has(c, x + CACHE) != present)
        return vka__call_fail(c, VKA_INVALID, args[x + CACHE].name,
                              present ? "is required with %s" : "there is no %s to append", args[x].name);
    if (vka__call_has(c, x + SCALE) != i8)
        return vka__call_fail(c, VKA_INVALID, args[x + SCALE].name,
                              i8 ? "is required with an i8 cache" : "only i8 caches have scales of their own");
    for (uint32_t i = x; i <= x + CACHE && present; ++i)
        if (vka__call_tensor(c, i)->rank != 4)
            return vka__call_fail(c, VKA_INVALID, args[i].name, "rank is %u, but must be 4: [%s]",
                                  vka__call_tensor(c, i)->rank, i == x ? "B, H, N, D" : "B, H, capacity, D");
    return VKA_OK;
}

static vka_status measure_pages(vka__call *c, state *s) {
    uint32_t cache = first_side(c) + CACHE;
    const vka_tensor *table = vka__call_tensor(c, PAGES);
    s->capacity = vka__call_tensor(c, cache)->shape[2];
    if (!vka__call_has(c, PAGES))
        return VKA_OK;
    s->page = s->capacity;
    if (!s->page || s->page % 8)
        return vka__call_fail(c, VKA_INVALID, args[cache].name,
                              "shape[2], the page size, is %u, but must be a multiple of 8", s->page);
    if (table->rank != 2)
        return vka__call_fail(c, VKA_INVALID, "page_table", "rank is %u, but must be 2", table->rank);
    if (table->shape[1] > MAX_TOKENS / s->page)
        return vka__call_fail(c, VKA_UNSUPPORTED, "page_table", "its pages have more than %d tokens", MAX_TOKENS);
    s->capacity = table->shape[1] * s->page;
    return VKA_OK;
}

static vka_status sizes(vka__call *c) {
    const vka_cache_append_desc *d = VKA__DESC(c, vka_cache_append_desc);
    state *s = VKA__STATE(c, state);
    bool packed = vka__is_list(&d->offsets);
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
    const uint32_t *x = vka__call_tensor(c, first_side(c))->shape, sequences = packed ? d->sequences : x[0];
    s->shape[SEQUENCES] = sequences;
    s->shape[HEADS] = x[1];
    s->shape[TOKENS] = d->max_len ? vka__min_u32(d->max_len, x[2]) : x[2];
    vka__call_bind_letter(c, 'B', sequences);
    vka__call_bind_letter(c, 'E', sequences + 1);
    vka__call_bind_letter(c, 'S', packed ? 1 : sequences);
    if (!vka__call_has(c, PAGES)) {
        vka__call_bind_letter(c, 'C', sequences);
        vka__call_bind_letter(c, 'W', sequences);
    }
    return measure_pages(c, s);
}

/* ---- what the host knows --------------------------------------------------------------------------------------- */

/* Do the tokens fit the cache, and have they positions? What only the device knows, the kernel drops, or clamps. */
static vka_status check_lengths(const vka__call *c, const state *s) {
    const int32_t *length = c->source[LENGTHS].values, *offset = c->source[OFFSETS].values;
    if (c->source[LENGTHS].buffer || c->source[OFFSETS].buffer)
        return VKA_OK;
    vka_status status = VKA_OK;
    for (uint32_t b = 0; b < s->shape[SEQUENCES] && status == VKA_OK; ++b) {
        int64_t have = length ? length[b] : 0;
        int64_t more = offset ? (int64_t)offset[b + 1] - offset[b] : s->shape[TOKENS];
        if (have < 0 || have + more > s->capacity)
            return vka__call_fail(c, VKA_INVALID, "lengths", "sequence %u: %lld and %lld new tokens, but room for %u",
                                  b, (long long)have, (long long)more, s->capacity);
        if (s->rope.enabled)
            status = vka__rope_check_reach(c, "rope.position_offset", &s->rope, have, (uint32_t)more);
    }
    return status;
}

static vka_status check_rope(const vka__call *c, vka__rope *rope) {
    const vka_cache_append_desc *d = VKA__DESC(c, vka_cache_append_desc);
    const uint32_t *k = d->k.shape;
    const vka__rotated rotated = {k[0], k[2], k[3], "rope", COS, SIN, ROPE_THETA, ROPE_FREQUENCY_SCALE};
    if (d->rotate && !vka__call_has(c, K))
        return vka__call_fail(c, VKA_INVALID, "rotate", "there is no k");
    return d->rotate ? vka__rope_check(c, &d->rope, &rotated, rope) : VKA_OK;
}

static vka_status check(vka__call *c) {
    state *s = VKA__STATE(c, state);
    uint32_t first = first_side(c), rows = vka__call_letter(c, 'T');
    if (rows > MAX_TOKENS || s->capacity > MAX_TOKENS)
        return vka__call_fail(c, VKA_UNSUPPORTED, args[rows > MAX_TOKENS ? first : first + CACHE].name,
                              "shape[2] is above %d", MAX_TOKENS);
    vka_status status = vka__call_check_rows(c, first, s->shape);
    if (status == VKA_OK)
        status = vka__call_check_list(c, OFFSETS, true, s->shape[SEQUENCES], rows, s->shape[TOKENS]);
    if (status == VKA_OK)
        status = check_rope(c, &s->rope);
    return status == VKA_OK ? check_lengths(c, s) : status;
}

/* ---- kernels --------------------------------------------------------------------------------------------------- */

static bool rotates(const vka__call *c, uint32_t x) {
    return x == K && state_of(c)->rope.enabled;
}

static uint32_t list_flags(const vka__call *c) {
    return (vka__call_has(c, LENGTHS) ? VKA_FLAG_LENGTHS : 0) | (vka__call_has(c, OFFSETS) ? VKA_FLAG_OFFSETS : 0);
}

static uint32_t flags_of(const vka__call *c, uint32_t x) {
    const vka__rope *rope = &state_of(c)->rope;
    bool x_vec4 = vka__view_vec4(&c->view[x]), cache_vec4 = vka__view_vec4(&c->view[x + CACHE]);
    uint32_t flags = list_flags(c) | (x_vec4 ? VKA_FLAG_X_VEC4 : 0) | (cache_vec4 ? VKA_FLAG_CACHE_VEC4 : 0);
    if (rotates(c, x))
        flags |= vka__rope_flags(rope) | (x_vec4 && rope->pairs % 4 == 0 ? VKA_FLAG_ROPE_VEC4 : 0);
    return flags;
}

static void choose_kernel(vka__call *c, uint32_t x, pass *p) {
    uint32_t cols = c->view[x + CACHE].shape[3], team;
    p->rows = vka__rows_of(state_of(c)->shape, 1, vka__row_teams(c->caps, cols, &team));
    p->key = c->key_count;
    vka__pipeline_key *key = vka__call_add_key(c, VKA__cache_append, p->rows.group * team);
    key->spec[VKA_SPEC_TC] = team;
    key->spec[VKA_SPEC_D] = cols;
    key->spec[VKA_SPEC_PAGE] = state_of(c)->page;
    key->spec[VKA_SPEC_FLAGS] = flags_of(c, x);
    key->spec[VKA_SPEC_TYPES] = vka__call_type(c, x, VKA_ROLE_X) | vka__call_type(c, x + CACHE, VKA_ROLE_CACHE) |
                                (rotates(c, x) ? vka__call_type(c, COS, VKA_ROLE_TABLE) : 0);
}

/* ---- boxes ------------------------------------------------------------------------------------------------------ */

/* What is bound for a box and a range: of new rows, where packed ones of all sequences lie together, and of a cache,
 * or its scales. */
typedef struct bound {
    uint32_t x[3], cache[3];
} bound;

static bound begin_of(const vka__call *c, const uint32_t box[3], uint32_t range) {
    bool packed = vka__call_has(c, OFFSETS), paged = state_of(c)->page;
    return (bound){.x = {packed ? 0 : box[0], box[1], packed ? 0 : box[2]},
                   .cache = {paged ? range : box[0], box[1], paged ? 0 : range}};
}

static bound size_of(const vka__call *c, const uint32_t box[3], uint32_t range) {
    bool packed = vka__call_has(c, OFFSETS);
    uint32_t page = state_of(c)->page;
    return (bound){.x = {packed ? 1 : box[0], box[1], packed ? vka__call_letter(c, 'T') : box[2]},
                   .cache = {page ? range : box[0], box[1], page ? page : range}};
}

/* Shortens the box until a binding sees it of new rows. */
static bool cut_rows(const vka__call *c, const vka__view *x, uint32_t box[3]) {
    bound size = size_of(c, box, 0);
    if (!vka__call_has(c, OFFSETS))
        return vka__cut_to_binding(c->caps, x, VKA__DIMS_ALL, box);
    bool fits = vka__cut_to_binding(c->caps, x, 1u << HEADS, size.x);
    box[1] = size.x[1];
    return fits;
}

/* Likewise of a cache or its scales: whole pages, or all tokens of a sequence unless those of one head are too many. */
static bool cut_cache(const vka__call *c, const vka__view *cache, pass *p) {
    uint32_t page = state_of(c)->page, *box = p->rows.part;
    bound size = size_of(c, box, p->range);
    if (!cache->present)
        return true;
    bool fits = vka__cut_to_binding(c->caps, cache, 1u << SEQUENCES | 1u << HEADS, size.cache) ||
                (!page && vka__cut_to_binding(c->caps, cache, VKA__DIMS_ALL, size.cache));
    box[0] = page ? box[0] : size.cache[0];
    box[1] = size.cache[1];
    p->range = size.cache[page ? 0 : 2];
    return fits;
}

static bool choose_boxes(vka__call *c, uint32_t x, pass *p) {
    const state *s = state_of(c);
    p->range = p->places = c->view[x + CACHE].shape[s->page ? 0 : 2];
    if (!cut_rows(c, &c->view[x], p->rows.part))
        return vka__refuse_span(c->caps, args[x].name, vka__call_has(c, OFFSETS) ? "one head" : "one row", &c->refusal);
    for (uint32_t i = x + CACHE; i <= x + SCALE; ++i)
        if (!cut_cache(c, &c->view[i], p))
            return vka__refuse_span(c->caps, args[i].name, s->page ? "one page" : "one key", &c->refusal);
    vka__rows_cut(c->caps, &p->rows);
    p->ranges = vka__div_up(p->places, p->range);
    p->range = vka__div_up(p->places, p->ranges);
    p->dispatches = vka__volume(p->rows.parts) * p->ranges;
    return true;
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

static bool plan_side(vka__call *c, uint32_t x, pass *p) {
    vka_cache_params *params = VKA__PARAMS(c, vka_cache_params);
    const vka__view *v = &c->view[x];
    if (!state_of(c)->shape[TOKENS] || !vka__view_extent(&v[0], 0) || !vka__view_extent(&v[CACHE], 0))
        return true; /* nothing to store, or nowhere */
    choose_kernel(c, x, p);
    if (!choose_boxes(c, x, p))
        return false;
    const bound size = size_of(c, p->rows.part, p->range);
    params->x[x == V] = vka__box_strides(&v[0], size.x);
    params->cache[x == V] = vka__box_strides(&v[CACHE], size.cache);
    params->scale[x == V] = vka__box_strides(&v[SCALE], size.cache);
    params->rows = v->shape[2];
    return true;
}

static void plan_advance(vka__call *c, state *s) {
    uint32_t group = vka__min_u32(64, c->caps->max_invocations);
    s->advance_key = c->key_count;
    vka__call_add_key(c, VKA__cache_lengths, group)->spec[VKA_SPEC_FLAGS] = list_flags(c);
    s->advance_groups = vka__min_u32(vka__div_up(s->shape[SEQUENCES], group), c->caps->max_groups[0]);
}

static bool plan(vka__call *c) {
    state *s = VKA__STATE(c, state);
    vka_cache_params *params = VKA__PARAMS(c, vka_cache_params);
    if (!s->shape[SEQUENCES])
        return true;
    if (!vka__call_sees_whole(c) || !plan_side(c, K, &s->keys) || !plan_side(c, V, &s->values))
        return false;
    if (vka__call_has(c, NEW))
        plan_advance(c, s);
    vka__rope_fill(c, &s->rope, &params->rope);
    params->capacity = s->capacity;
    params->sequences = s->shape[SEQUENCES];
    params->tokens = s->shape[TOKENS];
    params->length_step = (uint32_t)c->view[LENGTHS].stride[3];
    params->offset_step = (uint32_t)c->view[OFFSETS].stride[3];
    params->new_step = (uint32_t)c->view[NEW].stride[3];
    params->page_row = (uint32_t)c->view[PAGES].stride[2];
    params->page_step = (uint32_t)c->view[PAGES].stride[3];
    c->dispatches = s->keys.dispatches + s->values.dispatches + (s->advance_groups > 0);
    return true;
}

/* ---- dispatches ------------------------------------------------------------------------------------------------- */

static void dispatch_side(const vka__call *c, uint32_t x, const pass *p, uint64_t index, vka__dispatch *out) {
    uint32_t box[3], box_size[3], first = (uint32_t)(index % p->ranges) * p->range;
    vka__rows_at(&p->rows, index / p->ranges, box, box_size, out);
    out->key = p->key;
    out->push.h0 = x == V;
    out->push.y0 = first;
    out->push.z0 = vka__min_u32(p->range, p->places - first);
    const bound begin = begin_of(c, box, first), size = size_of(c, box_size, out->push.z0);
    vka__call_bind_box(c, x, begin.x, size.x, out);
    vka__call_bind_box(c, x + CACHE, begin.cache, size.cache, out);
    vka__call_bind_box(c, x + SCALE, begin.cache, size.cache, out);
    vka__call_bind_whole(c, 1u << PAGES | 1u << LENGTHS | 1u << OFFSETS | (rotates(c, x) ? 1u << COS | 1u << SIN : 0),
                         out);
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const state *s = state_of(c);
    uint64_t keys = s->keys.dispatches;
    if (index < keys) {
        dispatch_side(c, K, &s->keys, index, out);
    } else if (index - keys < s->values.dispatches) {
        dispatch_side(c, V, &s->values, index - keys, out);
    } else {
        out->key = s->advance_key;
        out->groups[0] = s->advance_groups;
        out->groups[1] = out->groups[2] = 1;
        vka__call_bind_whole(c, 1u << LENGTHS | 1u << OFFSETS | 1u << NEW, out);
    }
}

static void explain_side(const vka__call *c, const char *name, const pass *p, vka__text *text) {
    if (!p->dispatches)
        return;
    const uint32_t *spec = c->key[p->key].spec, flags = spec[VKA_SPEC_FLAGS];
    vka__say(text, "%s_workgroup: %u\n%s_team: %u\n", name, spec[VKA_SPEC_GROUP_SIZE], name, spec[VKA_SPEC_TC]);
    vka__say(text, "%s_vector_loads: %s\n%s_vector_stores: %s\n", name, vka__yes(flags & VKA_FLAG_X_VEC4), name,
             vka__yes(flags & VKA_FLAG_CACHE_VEC4));
    vka__say(text, "%s_dispatches: %llu\n", name, (unsigned long long)p->dispatches);
}

static void explain(const vka__call *c, vka__text *text) {
    explain_side(c, "k", &state_of(c)->keys, text);
    explain_side(c, "v", &state_of(c)->values, text);
    vka__say(text, "new_lengths: %s\n", vka__yes(vka__call_has(c, NEW)));
}

VKA__OPERATION(cache_append, .params_size = sizeof(vka_cache_params), .state_size = sizeof(state), .limits = limits,
               .sizes = sizes, .check = check, .plan = plan, .dispatch = dispatch, .explain = explain);
