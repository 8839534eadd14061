/* Plans of vka_cache_append: a kernel for keys, one for values, and one for the new lengths.
 * SPDX-License-Identifier: MIT */
#include "ops/cache/cache.h"

#include <string.h>

static bool is_packed(const vka__call *c) {
    return vka__call_has(c, VKA__CACHE_OFFSETS);
}

static const vka__cache *state_of(const vka__call *c) {
    return (const vka__cache *)(const void *)c->state;
}

/* Keys' or values' new rows, cache, scales: 0, 1, 2. */
static const vka__view *view_of(const vka__call *c, uint32_t side, uint32_t which) {
    return &c->view[side * VKA__CACHE_SIDE + which];
}

/* ---- kernels --------------------------------------------------------------------------------------------------- */

static uint32_t list_flags(const vka__call *c) {
    return (vka__call_has(c, VKA__CACHE_LENGTHS) ? VKA_FLAG_LENGTHS : 0) | (is_packed(c) ? VKA_FLAG_OFFSETS : 0);
}

static uint32_t flags_of(const vka__call *c, uint32_t side) {
    const vka__rope *rope = &state_of(c)->rope;
    uint32_t flags = list_flags(c);
    flags |= vka__view_vec4(view_of(c, side, 0)) ? VKA_FLAG_X_VEC4 : 0;
    flags |= vka__view_vec4(view_of(c, side, 1)) ? VKA_FLAG_CACHE_VEC4 : 0;
    if (side == 0 && rope->enabled) {
        flags |= vka__rope_flags(rope);
        flags |= (flags & VKA_FLAG_X_VEC4) && rope->pairs % 4 == 0 ? VKA_FLAG_ROPE_VEC4 : 0;
    }
    return flags;
}

/* A team for each row, of as many invocations as the row has vectors. CPUs gain nothing from neighbours. */
static void choose_kernel(vka__call *c, uint32_t side, vka__cache_side *plan) {
    const vka__cache *p = state_of(c);
    uint32_t cols = view_of(c, side, 1)->shape[3];
    bool cpu = c->caps->type == VKA_DEVICE_CPU, tables = side == 0 && p->rope.enabled;
    uint32_t most = vka__min_u32(cpu ? 8 : 128, c->caps->max_invocations),
             team = cpu ? 1 : vka__min_u32(vka__div_up(cols, 4), most);
    plan->group_rows = most / team;
    plan->key = c->key_count;
    vka__pipeline_key *key = vka__call_add_key(c, VKA__cache_append, plan->group_rows * team);
    key->spec[VKA_SPEC_TC] = team;
    key->spec[VKA_SPEC_D] = cols;
    key->spec[VKA_SPEC_PAGE] = p->page;
    key->spec[VKA_SPEC_FLAGS] = flags_of(c, side);
    key->spec[VKA_SPEC_TYPES] = (uint32_t)view_of(c, side, 0)->dtype << 4 * VKA_ROLE_X |
                                (uint32_t)view_of(c, side, 1)->dtype << 4 * VKA_ROLE_CACHE |
                                (tables ? (uint32_t)c->view[VKA__CACHE_COS].dtype << 4 * VKA_ROLE_TABLE : 0);
}

/* ---- boxes ------------------------------------------------------------------------------------------------------ */

#define SEQUENCES 1 /* bits of dimensions */
#define HEADS     2
#define TOKENS    4

/* Shortens the box until a binding sees it of new rows: packed ones of all sequences are bound together. */
static bool cut_rows(const vka__call *c, const vka__view *x, uint32_t part[3]) {
    if (!is_packed(c))
        return vka__cut_to_binding(c->caps, x, VKA__DIMS_ALL, part);
    uint32_t all[3] = {1, part[1], x->shape[2]};
    bool fits = vka__cut_to_binding(c->caps, x, HEADS, all);
    part[1] = all[1];
    return fits;
}

/* Likewise of a cache or its scales: whole pages, or all tokens of a sequence unless those of one head are too many. */
static bool cut_cache(const vka__call *c, const vka__view *cache, vka__cache_side *plan) {
    uint32_t page = state_of(c)->page;
    if (!cache->present)
        return true;
    uint32_t box[3] = {page ? plan->range : plan->part[0], plan->part[1], page ? page : plan->range};
    bool fits = vka__cut_to_binding(c->caps, cache, SEQUENCES | HEADS, box) ||
                (!page && vka__cut_to_binding(c->caps, cache, SEQUENCES | HEADS | TOKENS, box));
    plan->part[1] = box[1];
    plan->range = box[page ? 0 : 2];
    plan->part[0] = page ? plan->part[0] : box[0];
    return fits;
}

/* Pages, or tokens that a sequence has room for. */
static uint32_t all_places(const vka__call *c, uint32_t side) {
    return view_of(c, side, 1)->shape[state_of(c)->page ? 0 : 2];
}

static bool refuse(vka__call *c, uint32_t side, uint32_t which, const char *what) {
    return vka__refuse_span(c->caps, c->op->args[side * VKA__CACHE_SIDE + which].name, what, &c->refusal);
}

static bool choose_boxes(vka__call *c, uint32_t side, vka__cache_side *plan) {
    const vka__cache *p = state_of(c);
    const uint32_t shape[3] = {p->sequences, p->heads, p->tokens};
    memcpy(plan->part, shape, sizeof shape);
    plan->range = all_places(c, side);
    if (!cut_rows(c, view_of(c, side, 0), plan->part))
        return refuse(c, side, 0, is_packed(c) ? "one head" : "one row");
    for (uint32_t which = 1; which < 3; ++which)
        if (!cut_cache(c, view_of(c, side, which), plan))
            return refuse(c, side, which, p->page ? "one page" : "one key");
    vka__even_out(shape, plan->part, plan->parts);
    vka__cut_to_grid((uint64_t)c->caps->max_groups[0] * plan->group_rows, plan->part);
    vka__even_out(shape, plan->part, plan->parts);
    plan->ranges = vka__div_up(all_places(c, side), plan->range);
    plan->range = vka__div_up(all_places(c, side), plan->ranges);
    plan->dispatches = vka__volume(plan->parts) * plan->ranges;
    return true;
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

static void fill_side(vka__call *c, uint32_t side, const vka__cache_side *plan) {
    const vka__cache *p = state_of(c);
    vka_cache_params *params = VKA__PARAMS(c, vka_cache_params);
    const vka__view *x = view_of(c, side, 0);
    bool packed = is_packed(c);
    const uint32_t rows[3] = {packed ? 1 : plan->part[0], plan->part[1], packed ? x->shape[2] : plan->part[2]};
    const uint32_t stored[3] = {p->page ? plan->range : plan->part[0], plan->part[1], p->page ? p->page : plan->range};
    params->x[side] = vka__box_strides(x, rows);
    params->cache[side] = vka__box_strides(view_of(c, side, 1), stored);
    params->scale[side] = vka__box_strides(view_of(c, side, 2), stored);
    params->rows = x->shape[2];
}

static bool lists_fit(vka__call *c) {
    for (uint32_t i = VKA__CACHE_PAGES; i < VKA__CACHE_ARGS; ++i)
        if (!vka__sees_all(c->caps, &c->view[i], c->op->args[i].name, &c->refusal))
            return false;
    return true;
}

static void plan_advance(vka__call *c, vka__cache *p) {
    if (!vka__call_has(c, VKA__CACHE_NEW))
        return;
    uint32_t group = vka__min_u32(64, c->caps->max_invocations);
    p->advance_key = c->key_count;
    vka__call_add_key(c, VKA__cache_lengths, group)->spec[VKA_SPEC_FLAGS] = list_flags(c);
    p->advance_groups = vka__min_u32(vka__div_up(p->sequences, group), c->caps->max_groups[0]);
}

bool vka__cache_plan(vka__call *c) {
    vka__cache *p = VKA__STATE(c, vka__cache);
    vka_cache_params *params = VKA__PARAMS(c, vka_cache_params);
    const vka__rotated rotated = vka__cache_rotated(c);
    if (!p->sequences)
        return true;
    if (!lists_fit(c))
        return false;
    for (uint32_t side = 0; side < 2; ++side) {
        /* Nothing to store, or nowhere. */
        if (!p->tokens || !vka__view_extent(view_of(c, side, 0), 0) || !vka__view_extent(view_of(c, side, 1), 0))
            continue;
        choose_kernel(c, side, &p->side[side]);
        if (!choose_boxes(c, side, &p->side[side]))
            return false;
        fill_side(c, side, &p->side[side]);
    }
    plan_advance(c, p);
    vka__rope_fill(c, &p->rope, &rotated, &params->rope);
    params->capacity = p->capacity;
    params->tokens = p->tokens;
    params->sequences = p->sequences;
    params->length_step = (uint32_t)c->view[VKA__CACHE_LENGTHS].stride[3];
    params->offset_step = (uint32_t)c->view[VKA__CACHE_OFFSETS].stride[3];
    params->new_step = (uint32_t)c->view[VKA__CACHE_NEW].stride[3];
    params->page_row = (uint32_t)c->view[VKA__CACHE_PAGES].stride[2];
    params->page_step = (uint32_t)c->view[VKA__CACHE_PAGES].stride[3];
    c->dispatches = p->side[0].dispatches + p->side[1].dispatches + (p->advance_groups > 0);
    return true;
}

/* ---- dispatches ------------------------------------------------------------------------------------------------- */

static void bind_all(const vka__call *c, vka__cache_arg arg, uint32_t binding, vka__access access, vka__dispatch *out) {
    vka__bind_all(c->caps, &c->view[arg], binding, access, out);
}

static void bind_lists(const vka__call *c, vka__dispatch *out) {
    bind_all(c, VKA__CACHE_LENGTHS, VKA_BIND_LENGTHS, VKA__READ, out);
    bind_all(c, VKA__CACHE_OFFSETS, VKA_BIND_OFFSETS, VKA__READ, out);
}

static void dispatch_advance(const vka__call *c, const vka__cache *p, vka__dispatch *out) {
    bind_lists(c, out);
    bind_all(c, VKA__CACHE_NEW, VKA_BIND_NEW, VKA__WRITE, out);
    out->key = p->advance_key;
    out->groups[0] = p->advance_groups;
    out->groups[1] = out->groups[2] = 1;
}

static void bind_side(const vka__call *c, uint32_t side, const uint32_t begin[3], const uint32_t size[3],
                      vka__dispatch *out) {
    const vka__cache *p = state_of(c);
    const vka__view *x = view_of(c, side, 0);
    bool packed = is_packed(c);
    const uint32_t packed_begin[3] = {0, begin[1], 0}, packed_size[3] = {1, size[1], x->shape[2]};
    const uint32_t page_begin[3] = {out->push.y0, begin[1], 0}, page_size[3] = {out->push.z0, size[1], p->page};
    const uint32_t row_begin[3] = {begin[0], begin[1], out->push.y0}, row_size[3] = {size[0], size[1], out->push.z0};
    const uint32_t *to = p->page ? page_begin : row_begin, *extent = p->page ? page_size : row_size;
    const struct {
        uint32_t binding;
        vka__access access;
        const uint32_t *begin, *size;
    } bound[3] = {
        {VKA_BIND_X, VKA__READ, packed ? packed_begin : begin, packed ? packed_size : size},
        {VKA_BIND_CACHE, VKA__READ_WRITE, to, extent},
        {VKA_BIND_SCALE, VKA__WRITE, to, extent},
    };
    for (uint32_t i = 0; i < 3; ++i)
        out->binding[bound[i].binding] = vka__bind_box(c->caps, view_of(c, side, i), bound[i].begin, bound[i].size,
                                                       bound[i].access, &out->push.base[bound[i].binding]);
    bind_all(c, VKA__CACHE_PAGES, VKA_BIND_PAGE_TABLE, VKA__READ, out);
    bind_lists(c, out);
    if (side == 0 && p->rope.enabled) {
        bind_all(c, VKA__CACHE_COS, VKA_BIND_COS, VKA__READ, out);
        bind_all(c, VKA__CACHE_SIN, VKA_BIND_SIN, VKA__READ, out);
    }
}

void vka__cache_dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const vka__cache *p = state_of(c);
    uint32_t side = index >= p->side[0].dispatches;
    index -= side ? p->side[0].dispatches : 0;
    const vka__cache_side *sp = &p->side[side];
    if (side && index >= sp->dispatches) {
        dispatch_advance(c, p, out);
        return;
    }
    const uint32_t shape[3] = {p->sequences, p->heads, p->tokens};
    uint32_t begin[3], size[3], range = (uint32_t)(index % sp->ranges);
    vka__box_at(shape, sp->part, sp->parts, index / sp->ranges, begin, size);
    out->key = sp->key;
    out->push.rows = (uint32_t)vka__volume(size);
    out->push.dim1 = size[1];
    out->push.dim2 = size[2];
    out->push.b0 = begin[0];
    out->push.h0 = side;
    out->push.x0 = begin[2];
    out->push.y0 = range * sp->range;
    out->push.z0 = vka__min_u32(sp->range, all_places(c, side) - out->push.y0);
    bind_side(c, side, begin, size, out);
    out->groups[0] = vka__div_up(out->push.rows, sp->group_rows);
    out->groups[1] = out->groups[2] = 1;
}

void vka__cache_explain(const vka__call *c, vka__text *text) {
    static const char *const names[] = {"k", "v"};
    const vka__cache *p = state_of(c);
    for (int side = 0; side < 2; ++side) {
        const vka__cache_side *s = &p->side[side];
        const uint32_t *spec = c->key[s->key].spec;
        if (!s->dispatches)
            continue;
        const char *n = names[side];
        vka__say(text,
                 "%s_workgroup: %u\n%s_team: %u\n%s_vector_loads: %s\n%s_vector_stores: %s\n%s_dispatches: %llu\n", n,
                 spec[VKA_SPEC_GROUP_SIZE], n, spec[VKA_SPEC_TC], n, vka__yes(spec[VKA_SPEC_FLAGS] & VKA_FLAG_X_VEC4),
                 n, vka__yes(spec[VKA_SPEC_FLAGS] & VKA_FLAG_CACHE_VEC4), n, (unsigned long long)s->dispatches);
    }
    vka__say(text, "new_lengths: %s\n", vka__yes(vka__call_has(c, VKA__CACHE_NEW)));
}
