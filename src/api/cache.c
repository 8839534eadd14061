/* vka_cache_append: checks, defaults, plan, record.
 * SPDX-License-Identifier: MIT */
#include <vkattn/cache.h>

#include "api/entry.h"
#include "api/rope.h"
#include "plan/cache.h"

#include <string.h>

/* Tokens are counted in 32-bit integers with room to add. */
#define MAX_TOKENS (1 << 28)

typedef struct prepared {
    vka__cache_problem problem;
    vka__cache_plan plan;
    const vka_device_caps *caps;
} prepared;

/* The tensors of a description, in the order of vka__cache_source. */
enum { SIDE = VKA__CACHE_V - VKA__CACHE_K };
typedef struct tensors {
    const char *name[VKA__CACHE_SOURCES];
    const vka_tensor *t[VKA__CACHE_SOURCES];
    vka__view *view[VKA__CACHE_SOURCES];
} tensors;

static tensors tensors_of(const vka_cache_append_desc *d, vka__cache_problem *p) {
    vka__cache_side *k = &p->side[0], *v = &p->side[1];
    return (tensors){
        .name = {NULL, "k", "k_cache", "k_scale", "v", "v_cache", "v_scale", "page_table", "lengths", "offsets",
                 "new_lengths", "rope.cos", "rope.sin"},
        .t = {NULL, &d->k, &d->k_cache, &d->k_scale, &d->v, &d->v_cache, &d->v_scale, &d->page_table,
              &d->lengths.tensor, &d->offsets.tensor, &d->new_lengths, &d->rope.cos, &d->rope.sin},
        .view = {NULL, &k->x, &k->cache, &k->scale, &v->x, &v->cache, &v->scale, &p->page_table, &p->lengths,
                 &p->offsets, &p->new_lengths, &p->rope.cos, &p->rope.sin},
    };
}

static bool is_list(const vka_integers *list) {
    return list->values || list->tensor.buffer;
}

/* ---- keys, values ---------------------------------------------------------------------------------------------- */

/* Which of x, cache and scale are there, and their types and ranks. */
static vka_status check_side(const vka__check *c, const tensors *all, int first) {
    static const uint32_t types[] = {VKA__FLOATS, VKA__CACHES, VKA__TYPE(VKA_F32)}, ranks[] = {4, 4, 3};
    const vka_tensor *x = all->t[first], *cache = all->t[first + 1];
    bool present = x->buffer, i8 = cache->buffer && cache->dtype == VKA_I8;
    const bool wanted[] = {present, present, present && i8};
    for (int i = 0; i < 3; ++i) {
        const vka_tensor *t = all->t[first + i];
        const char *name = all->name[first + i];
        if (t->buffer && !wanted[i])
            return i < 2 ? vka__check_fail(c, VKA_INVALID, name, "there is no %s to append", all->name[first])
                         : vka__check_fail(c, VKA_INVALID, name, "only i8 caches have scales of their own");
        vka_status status = vka__check_tensor(c, name, t, types[i], wanted[i], all->view[first + i]);
        if (status == VKA_OK && t->buffer && t->rank != ranks[i])
            status = vka__check_fail(c, VKA_INVALID, name, "rank is %u, but must be %u", t->rank, ranks[i]);
        if (status != VKA_OK)
            return status;
    }
    uint32_t cols = x->shape[3];
    if (present && (cols < 1 || cols > VKA_MAX_CACHE_DIM))
        return vka__check_fail(c, VKA_INVALID, all->name[first], "shape[3] is %u, but must be 1 .. %d", cols,
                               VKA_MAX_CACHE_DIM);
    return VKA_OK;
}

/* x is what the sizes of the problem say; the cache has room for each sequence, or pages. */
static vka_status check_side_shapes(const vka__check *c, const vka_cache_append_desc *d, const vka__cache_problem *p,
                                    const tensors *all, int first) {
    const vka_tensor *x = all->t[first], *cache = all->t[first + 1];
    if (!x->buffer)
        return VKA_OK;
    const vka_tensor *like = all->t[d->k.buffer ? VKA__CACHE_K : VKA__CACHE_V];
    bool packed = is_list(&d->offsets), paged = d->page_table.buffer;
    const uint32_t x_shape[] = {packed ? 1 : p->sequences, p->heads, like->shape[2], x->shape[3]};
    const uint32_t cache_shape[] = {paged ? cache->shape[0] : p->sequences, p->heads, paged ? p->page : p->capacity,
                                    x->shape[3]};
    vka_status status = vka__check_shape(c, all->name[first], x, 4, x_shape);
    if (status == VKA_OK)
        status = vka__check_shape(c, all->name[first + 1], cache, 4, cache_shape);
    if (status == VKA_OK)
        status = vka__check_shape(c, all->name[first + 2], all->t[first + 2], 3, cache_shape);
    return status;
}

/* ---- sequences ------------------------------------------------------------------------------------------------- */

static vka_status measure_pages(const vka__check *c, const vka_cache_append_desc *d, const vka_tensor *cache,
                                const char *cache_name, vka__cache_problem *p) {
    p->capacity = cache->shape[2];
    if (!d->page_table.buffer)
        return VKA_OK;
    p->page = cache->shape[2];
    if (!p->page || p->page % 8)
        return vka__check_fail(c, VKA_INVALID, cache_name,
                               "shape[2], the page size, is %u, but must be a multiple of 8", p->page);
    if (d->page_table.rank != 2)
        return vka__check_fail(c, VKA_INVALID, "page_table", "rank is %u, but must be 2", d->page_table.rank);
    uint32_t columns = d->page_table.shape[1];
    if (columns > MAX_TOKENS / p->page)
        return vka__check_fail(c, VKA_UNSUPPORTED, "page_table", "its pages have more than %d tokens", MAX_TOKENS);
    p->capacity = columns * p->page;
    const uint32_t shape[] = {p->sequences, columns};
    return vka__check_shape(c, "page_table", &d->page_table, 2, shape);
}

/* Sizes of the whole, from keys or, without them, values. */
static vka_status measure(const vka__check *c, const vka_cache_append_desc *d, const tensors *all,
                          vka__cache_problem *p) {
    int first = d->k.buffer ? VKA__CACHE_K : VKA__CACHE_V;
    const vka_tensor *x = all->t[first];
    bool packed = is_list(&d->offsets);
    if (packed != (d->sequences != 0))
        return vka__check_fail(c, VKA_INVALID, "sequences", "is %u, but there are %s", d->sequences,
                               packed ? "offsets, which count them" : "no offsets");
    if (d->max_len && !packed)
        return vka__check_fail(c, VKA_INVALID, "max_len", "is %u, but there are no offsets", d->max_len);
    p->sequences = packed ? d->sequences : x->shape[0];
    p->heads = x->shape[1];
    p->tokens = d->max_len ? vka__min_u32(d->max_len, x->shape[2]) : x->shape[2];
    vka_status status = measure_pages(c, d, all->t[first + 1], all->name[first + 1], p);
    if (status == VKA_OK && (x->shape[2] > MAX_TOKENS || p->capacity > MAX_TOKENS))
        status = vka__check_fail(c, VKA_UNSUPPORTED, all->name[x->shape[2] > MAX_TOKENS ? first : first + 1],
                                 "shape[2] is above %d", MAX_TOKENS);
    if (status == VKA_OK && (uint64_t)p->sequences * p->heads > UINT32_MAX / vka__max_u32(p->tokens, 1))
        status = vka__check_fail(c, VKA_UNSUPPORTED, all->name[first], "has more than 2^32 - 1 rows");
    return status;
}

/* Host values, which are known now: a wrong one is a mistake and not data. */
static vka_status check_offsets(const vka__check *c, const vka_cache_append_desc *d, const vka__cache_problem *p) {
    const int32_t *x = d->offsets.values;
    uint32_t rows = d->k.buffer ? d->k.shape[2] : d->v.shape[2];
    for (uint32_t b = 0; x && b < p->sequences; ++b) {
        if (x[b] < 0 || x[b + 1] < x[b] || (uint32_t)x[b + 1] > rows)
            return vka__check_fail(c, VKA_INVALID, "offsets", "sequence %u is %d .. %d of %u rows", b, x[b], x[b + 1],
                                   rows);
        if ((uint32_t)(x[b + 1] - x[b]) > p->tokens)
            return vka__check_fail(c, VKA_INVALID, "offsets", "sequence %u has %d rows, but at most %u were announced",
                                   b, x[b + 1] - x[b], p->tokens);
    }
    return VKA_OK;
}

static vka_status check_lengths(const vka__check *c, const vka_cache_append_desc *d, const vka__cache_problem *p) {
    const int32_t *length = d->lengths.values, *offset = d->offsets.values;
    if (d->lengths.tensor.buffer || d->offsets.tensor.buffer)
        return VKA_OK; /* the kernel drops what is too much */
    for (uint32_t b = 0; b < p->sequences; ++b) {
        int64_t have = length ? length[b] : 0, more = offset ? (int64_t)offset[b + 1] - offset[b] : p->tokens;
        if (have < 0 || have + more > p->capacity)
            return vka__check_fail(c, VKA_INVALID, "lengths", "sequence %u: %lld and %lld new tokens, but room for %u",
                                   b, (long long)have, (long long)more, p->capacity);
    }
    return VKA_OK;
}

static vka_status check_lists(const vka__check *c, const vka_cache_append_desc *d, vka__cache_problem *p) {
    const uint32_t types = VKA__TYPE(VKA_I32);
    vka_status status = vka__check_tensor(c, "page_table", &d->page_table, types, false, &p->page_table);
    if (status == VKA_OK)
        status = vka__check_integers(c, "lengths", &d->lengths, p->sequences, &p->lengths);
    if (status == VKA_OK)
        status = vka__check_integers(c, "offsets", &d->offsets, p->sequences + 1, &p->offsets);
    if (status == VKA_OK)
        status = vka__check_tensor(c, "new_lengths", &d->new_lengths, types, false, &p->new_lengths);
    if (status == VKA_OK)
        status = vka__check_shape(c, "new_lengths", &d->new_lengths, 1, &p->sequences);
    if (status == VKA_OK)
        status = check_offsets(c, d, p);
    return status == VKA_OK ? check_lengths(c, d, p) : status;
}

/* ---- description ----------------------------------------------------------------------------------------------- */

static vka_status check_memory(const vka__check *c, const tensors *all) {
    static const int written[] = {VKA__CACHE_K_CACHE, VKA__CACHE_K_SCALE, VKA__CACHE_V_CACHE, VKA__CACHE_V_SCALE,
                                  VKA__CACHE_NEW};
    for (int w = 0; w < 5; ++w) {
        int i = written[w];
        vka_status status = vka__check_output(c, all->name[i], all->view[i]);
        for (int j = 1; j < VKA__CACHE_SOURCES && status == VKA_OK; ++j)
            if (i != j && all->t[j]->buffer)
                status = vka__check_apart(c, all->name[i], all->t[i], all->view[i], all->name[j], all->t[j],
                                          all->view[j], false);
        if (status != VKA_OK)
            return status;
    }
    return VKA_OK;
}

/* Positions of new keys, as far as the host knows them; the kernel clamps others. */
static vka_status check_positions(const vka__check *c, const vka_cache_append_desc *d, const vka__cache_problem *p) {
    const int32_t *length = d->lengths.values, *offset = d->offsets.values;
    vka_status status = VKA_OK;
    if (!d->rotate || d->lengths.tensor.buffer || d->offsets.tensor.buffer)
        return VKA_OK;
    for (uint32_t b = 0; b < p->sequences && status == VKA_OK; ++b) {
        uint32_t rows = offset ? (uint32_t)(offset[b + 1] - offset[b]) : p->tokens;
        status = vka__check_reach(c, "rope.position_offset", &p->rope, length ? length[b] : 0, rows);
    }
    return status;
}

static vka_status check(const vka__check *c, const vka_cache_append_desc *d, vka__cache_problem *p) {
    if (!d)
        return vka__check_fail(c, VKA_INVALID, "desc", "must not be NULL");
    const tensors all = tensors_of(d, p);
    if (!d->k.buffer && !d->v.buffer)
        return vka__check_fail(c, VKA_INVALID, "k", "neither keys nor values are there");
    vka_status status = check_side(c, &all, VKA__CACHE_K);
    if (status == VKA_OK)
        status = check_side(c, &all, VKA__CACHE_V);
    if (status == VKA_OK)
        status = measure(c, d, &all, p);
    if (status == VKA_OK)
        status = check_side_shapes(c, d, p, &all, VKA__CACHE_K);
    if (status == VKA_OK)
        status = check_side_shapes(c, d, p, &all, VKA__CACHE_V);
    if (status == VKA_OK)
        status = check_lists(c, d, p);
    if (status == VKA_OK && d->rotate && !d->k.buffer)
        status = vka__check_fail(c, VKA_INVALID, "rotate", "there is no k");
    const vka__rotated rotated = {d->k.shape[0], d->k.shape[2], d->k.shape[3]};
    if (status == VKA_OK && d->rotate)
        status = vka__check_rope(c, "rope", &d->rope, &rotated, &p->rope);
    if (status == VKA_OK)
        status = check_positions(c, d, p);
    return status == VKA_OK ? check_memory(c, &all) : status;
}

static vka_status prepare(vka_device *device, const void *desc, void *prepared_) {
    const vka_cache_append_desc *d = desc;
    prepared *out = prepared_;
    const vka__check c = {vka__device_context(device), device, vka_device_get_caps(device), "vka_cache_append"};
    memset(out, 0, sizeof *out);
    vka__cache_problem *p = &out->problem;
    vka_status status = check(&c, d, p);
    if (status != VKA_OK)
        return status;
    for (int i = 0; i < 2; ++i)
        vka__view_append_one(&p->side[i].scale);
    out->caps = c.caps;
    if (!p->sequences)
        return VKA_OK;
    vka__refusal refusal = {0};
    status = vka__plan_cache(c.caps, p, &out->plan, &refusal);
    return status == VKA_OK ? VKA_OK : vka__check_fail(&c, status, refusal.field, "%s", refusal.reason);
}

/* ---- functions ------------------------------------------------------------------------------------------------- */

static void dispatch_at(const void *user, uint64_t index, vka__dispatch *out) {
    const prepared *p = user;
    vka__cache_dispatch(p->caps, &p->problem, &p->plan, index, out);
}

static vka__operation operation_of(const void *desc, void *prepared_) {
    const vka_cache_append_desc *d = desc;
    prepared *p = prepared_;
    vka__operation op = {
        .item = "vka_cache_append",
        .params = &p->plan.params,
        .params_size = sizeof p->plan.params,
        .dispatches = vka__cache_dispatches(&p->plan),
        .dispatch = dispatch_at,
        .user = p,
    };
    const tensors all = tensors_of(d, &p->problem);
    for (int i = 1; i < VKA__CACHE_SOURCES; ++i)
        op.buffers[i] = all.t[i]->buffer;
    op.values[VKA_BIND_LENGTHS] = d->lengths.values;
    op.values[VKA_BIND_OFFSETS] = d->offsets.values;
    return op;
}

static size_t explain(const void *prepared_, char *text, size_t capacity) {
    const prepared *p = prepared_;
    return !p->problem.sequences ? 0 : vka__explain_cache(&p->problem, &p->plan, text, capacity);
}

static const vka__entry entry = {"vka_cache_append", prepare, operation_of, explain, NULL};

VKA__DEFINE_ENTRY(cache_append, &entry)
