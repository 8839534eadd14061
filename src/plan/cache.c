/* Plans of vka_cache_append: a kernel for keys, one for values, and one for the new lengths.
 * SPDX-License-Identifier: MIT */
#include "plan/cache.h"

#include <stdio.h>
#include <string.h>

static bool is_packed(const vka__cache_problem *p) {
    return p->offsets.present;
}

/* ---- kernels --------------------------------------------------------------------------------------------------- */

static uint32_t list_flags(const vka__cache_problem *p) {
    return (p->lengths.present ? VKA_FLAG_LENGTHS : 0) | (is_packed(p) ? VKA_FLAG_OFFSETS : 0);
}

static uint32_t flags_of(const vka__cache_problem *p, uint32_t side) {
    const vka__cache_side *s = &p->side[side];
    uint32_t flags = list_flags(p);
    flags |= vka__view_vec4(&s->x) ? VKA_FLAG_X_VEC4 : 0;
    flags |= vka__view_vec4(&s->cache) ? VKA_FLAG_CACHE_VEC4 : 0;
    if (side == 0 && p->rope.enabled) {
        flags |= vka__rope_flags(&p->rope);
        flags |= (flags & VKA_FLAG_X_VEC4) && p->rope.pairs % 4 == 0 ? VKA_FLAG_ROPE_VEC4 : 0;
    }
    return flags;
}

/* A team for each row, of as many invocations as the row has vectors. CPUs gain nothing from neighbours. */
static void choose_kernel(const vka_device_caps *caps, const vka__cache_problem *p, uint32_t side,
                          vka__cache_side_plan *plan) {
    const vka__cache_side *s = &p->side[side];
    uint32_t cols = s->cache.shape[3];
    bool cpu = caps->type == VKA_DEVICE_CPU;
    uint32_t most = vka__min_u32(cpu ? 8 : 128, caps->max_invocations),
             team = cpu ? 1 : vka__min_u32(vka__div_up(cols, 4), most);
    plan->group_rows = most / team;
    plan->key.kernel = VKA__cache_append;
    plan->key.spec[VKA_SPEC_GROUP_SIZE] = plan->group_rows * team;
    plan->key.spec[VKA_SPEC_TC] = team;
    plan->key.spec[VKA_SPEC_D] = cols;
    plan->key.spec[VKA_SPEC_PAGE] = p->page;
    plan->key.spec[VKA_SPEC_FLAGS] = flags_of(p, side);
    plan->key.spec[VKA_SPEC_TYPES] = (uint32_t)s->x.dtype << 4 * VKA_ROLE_X |
                                     (uint32_t)s->cache.dtype << 4 * VKA_ROLE_CACHE |
                                     (side == 0 ? (uint32_t)p->rope.cos.dtype << 4 * VKA_ROLE_TABLE : 0);
}

/* ---- boxes ------------------------------------------------------------------------------------------------------ */

#define SEQUENCES 1 /* bits of dimensions */
#define HEADS     2
#define TOKENS    4

/* Shortens the box until a binding sees it of new rows: packed ones of all sequences are bound together. */
static bool cut_rows(const vka_device_caps *caps, const vka__cache_problem *p, const vka__view *x, uint32_t part[3]) {
    if (!is_packed(p))
        return vka__cut_to_binding(caps, x, VKA__DIMS_ALL, part);
    uint32_t all[3] = {1, part[1], x->shape[2]};
    bool fits = vka__cut_to_binding(caps, x, HEADS, all);
    part[1] = all[1];
    return fits;
}

/* Likewise of a cache or its scales: whole pages, or all tokens of a sequence unless those of one head are too many. */
static bool cut_cache(const vka_device_caps *caps, const vka__cache_problem *p, const vka__view *cache,
                      vka__cache_side_plan *plan) {
    if (!cache->present)
        return true;
    uint32_t box[3] = {p->page ? plan->range : plan->part[0], plan->part[1], p->page ? p->page : plan->range};
    bool fits = vka__cut_to_binding(caps, cache, SEQUENCES | HEADS, box) ||
                (!p->page && vka__cut_to_binding(caps, cache, SEQUENCES | HEADS | TOKENS, box));
    plan->part[1] = box[1];
    plan->range = box[p->page ? 0 : 2];
    plan->part[0] = p->page ? plan->part[0] : box[0];
    return fits;
}

/* Pages, or tokens that a sequence has room for. */
static uint32_t all_places(const vka__cache_problem *p, uint32_t side) {
    return p->side[side].cache.shape[p->page ? 0 : 2];
}

static bool choose_boxes(const vka_device_caps *caps, const vka__cache_problem *p, uint32_t side,
                         vka__cache_side_plan *plan, vka__refusal *refusal) {
    static const char *const names[2][3] = {{"k", "k_cache", "k_scale"}, {"v", "v_cache", "v_scale"}};
    const vka__cache_side *s = &p->side[side];
    const uint32_t shape[3] = {p->sequences, p->heads, p->tokens};
    const char *what = p->page ? "one page" : "one key";
    memcpy(plan->part, shape, sizeof shape);
    plan->range = all_places(p, side);
    if (!cut_rows(caps, p, &s->x, plan->part))
        return vka__refuse_span(caps, names[side][0], is_packed(p) ? "one head" : "one row", refusal);
    if (!cut_cache(caps, p, &s->cache, plan))
        return vka__refuse_span(caps, names[side][1], what, refusal);
    if (!cut_cache(caps, p, &s->scale, plan))
        return vka__refuse_span(caps, names[side][2], what, refusal);
    vka__even_out(shape, plan->part, plan->parts);
    vka__cut_to_grid((uint64_t)caps->max_groups[0] * plan->group_rows, plan->part);
    vka__even_out(shape, plan->part, plan->parts);
    plan->ranges = vka__div_up(all_places(p, side), plan->range);
    plan->range = vka__div_up(all_places(p, side), plan->ranges);
    plan->dispatches = vka__volume(plan->parts) * plan->ranges;
    return true;
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

static void fill_side(const vka__cache_problem *p, uint32_t side, vka__cache_plan *plan) {
    const vka__cache_side *s = &p->side[side];
    const vka__cache_side_plan *sp = &plan->side[side];
    const uint32_t rows[3] = {is_packed(p) ? 1 : sp->part[0], sp->part[1], is_packed(p) ? s->x.shape[2] : sp->part[2]};
    const uint32_t stored[3] = {p->page ? sp->range : sp->part[0], sp->part[1], p->page ? p->page : sp->range};
    plan->params.x[side] = vka__box_strides(&s->x, rows);
    plan->params.cache[side] = vka__box_strides(&s->cache, stored);
    plan->params.scale[side] = vka__box_strides(&s->scale, stored);
    plan->params.rows = s->x.shape[2];
}

static bool lists_fit(const vka_device_caps *caps, const vka__cache_problem *p, vka__refusal *refusal) {
    return vka__sees_all(caps, &p->lengths, "lengths", refusal) &&
           vka__sees_all(caps, &p->offsets, "offsets", refusal) &&
           vka__sees_all(caps, &p->new_lengths, "new_lengths", refusal) &&
           vka__sees_all(caps, &p->page_table, "page_table", refusal) &&
           vka__sees_all(caps, &p->rope.cos, "rope.cos", refusal) &&
           vka__sees_all(caps, &p->rope.sin, "rope.sin", refusal);
}

static void plan_advance(const vka_device_caps *caps, const vka__cache_problem *p, vka__cache_plan *plan) {
    if (!p->new_lengths.present)
        return;
    uint32_t group = vka__min_u32(64, caps->max_invocations);
    plan->advance.kernel = VKA__cache_lengths;
    plan->advance.spec[VKA_SPEC_GROUP_SIZE] = group;
    plan->advance.spec[VKA_SPEC_FLAGS] = list_flags(p);
    plan->advance_groups = vka__min_u32(vka__div_up(p->sequences, group), caps->max_groups[0]);
}

vka_status vka__plan_cache(const vka_device_caps *caps, const vka__cache_problem *p, vka__cache_plan *plan,
                           vka__refusal *refusal) {
    memset(plan, 0, sizeof *plan);
    if (!lists_fit(caps, p, refusal))
        return VKA_UNSUPPORTED;
    for (uint32_t side = 0; side < 2; ++side) {
        /* Nothing to store, or nowhere. */
        if (!p->tokens || !vka__view_extent(&p->side[side].x, 0) || !vka__view_extent(&p->side[side].cache, 0))
            continue;
        choose_kernel(caps, p, side, &plan->side[side]);
        if (!choose_boxes(caps, p, side, &plan->side[side], refusal))
            return VKA_UNSUPPORTED;
        fill_side(p, side, plan);
    }
    plan_advance(caps, p, plan);
    vka__rope_fill(&p->rope, &plan->params.rope);
    plan->params.capacity = p->capacity;
    plan->params.tokens = p->tokens;
    plan->params.sequences = p->sequences;
    plan->params.length_step = (uint32_t)p->lengths.stride[3];
    plan->params.offset_step = (uint32_t)p->offsets.stride[3];
    plan->params.new_step = (uint32_t)p->new_lengths.stride[3];
    plan->params.page_row = (uint32_t)p->page_table.stride[2];
    plan->params.page_step = (uint32_t)p->page_table.stride[3];
    return VKA_OK;
}

/* ---- dispatches ------------------------------------------------------------------------------------------------- */

uint64_t vka__cache_dispatches(const vka__cache_plan *plan) {
    return plan->side[0].dispatches + plan->side[1].dispatches + (plan->advance_groups > 0);
}

static void bind_lists(const vka_device_caps *caps, const vka__cache_problem *p, vka__dispatch *out) {
    vka__bind_all(caps, &p->lengths, VKA_BIND_LENGTHS, VKA__CACHE_LENGTHS, VKA__READ, out);
    vka__bind_all(caps, &p->offsets, VKA_BIND_OFFSETS, VKA__CACHE_OFFSETS, VKA__READ, out);
}

static void dispatch_advance(const vka_device_caps *caps, const vka__cache_problem *p, const vka__cache_plan *plan,
                             vka__dispatch *out) {
    bind_lists(caps, p, out);
    vka__bind_all(caps, &p->new_lengths, VKA_BIND_NEW, VKA__CACHE_NEW, VKA__WRITE, out);
    out->key = plan->advance;
    out->groups[0] = plan->advance_groups;
    out->groups[1] = out->groups[2] = 1;
}

static void bind_side(const vka_device_caps *caps, const vka__cache_problem *p, uint32_t side, const uint32_t begin[3],
                      const uint32_t size[3], vka__dispatch *out) {
    const vka__cache_side *s = &p->side[side];
    const uint32_t packed_begin[3] = {0, begin[1], 0}, packed_size[3] = {1, size[1], s->x.shape[2]};
    const uint32_t page_begin[3] = {out->push.y0, begin[1], 0}, page_size[3] = {out->push.z0, size[1], p->page};
    const uint32_t row_begin[3] = {begin[0], begin[1], out->push.y0}, row_size[3] = {size[0], size[1], out->push.z0};
    const uint32_t *to = p->page ? page_begin : row_begin, *extent = p->page ? page_size : row_size;
    const struct {
        const vka__view *view;
        uint32_t slot, source;
        vka__access access;
        const uint32_t *begin, *size;
    } bound[3] = {
        {&s->x, VKA_BIND_X, VKA__CACHE_K, VKA__READ, is_packed(p) ? packed_begin : begin,
         is_packed(p) ? packed_size : size},
        /* Words that are partly somebody else's are read, too. */
        {&s->cache, VKA_BIND_CACHE, VKA__CACHE_K_CACHE, VKA__READ_WRITE, to, extent},
        {&s->scale, VKA_BIND_SCALE, VKA__CACHE_K_SCALE, VKA__WRITE, to, extent},
    };
    for (int i = 0; i < 3; ++i) {
        uint32_t slot = bound[i].slot;
        out->binding[slot] =
            vka__bind_box(caps, bound[i].view, bound[i].begin, bound[i].size, bound[i].access, &out->push.base[slot]);
        out->binding[slot].buffer = bound[i].source + side * (VKA__CACHE_V - VKA__CACHE_K);
    }
    vka__bind_all(caps, &p->page_table, VKA_BIND_PAGE_TABLE, VKA__CACHE_PAGES, VKA__READ, out);
    bind_lists(caps, p, out);
    if (side == 0)
        vka__rope_bind(caps, &p->rope, VKA__CACHE_COS, VKA__CACHE_SIN, out);
}

void vka__cache_dispatch(const vka_device_caps *caps, const vka__cache_problem *p, const vka__cache_plan *plan,
                         uint64_t index, vka__dispatch *out) {
    memset(out, 0, sizeof *out);
    uint32_t side = index >= plan->side[0].dispatches;
    index -= side ? plan->side[0].dispatches : 0;
    const vka__cache_side_plan *sp = &plan->side[side];
    if (side && index >= sp->dispatches) {
        dispatch_advance(caps, p, plan, out);
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
    out->push.z0 = vka__min_u32(sp->range, all_places(p, side) - out->push.y0);
    bind_side(caps, p, side, begin, size, out);
    out->groups[0] = vka__div_up(out->push.rows, sp->group_rows);
    out->groups[1] = out->groups[2] = 1;
}

/* ---- explain ---------------------------------------------------------------------------------------------------- */

size_t vka__explain_cache(const vka__cache_problem *p, const vka__cache_plan *plan, char *text, size_t capacity) {
    static const char *const names[] = {"k", "v"};
    size_t length = 0;
    for (int side = 0; side < 2; ++side) {
        const vka__cache_side_plan *s = &plan->side[side];
        if (!s->dispatches)
            continue;
        const uint32_t *spec = s->key.spec;
        size_t room = length < capacity ? capacity - length : 0;
        int n =
            snprintf(room ? text + length : NULL, room,
                     "%s_kernel: %s\n%s_workgroup: %u\n%s_team: %u\n%s_vector_loads: %s\n%s_vector_stores: %s\n"
                     "%s_dispatches: %llu\n",
                     names[side], vka__kernel_name((vka__kernel)s->key.kernel), names[side], spec[VKA_SPEC_GROUP_SIZE],
                     names[side], spec[VKA_SPEC_TC], names[side], spec[VKA_SPEC_FLAGS] & VKA_FLAG_X_VEC4 ? "yes" : "no",
                     names[side], spec[VKA_SPEC_FLAGS] & VKA_FLAG_CACHE_VEC4 ? "yes" : "no", names[side],
                     (unsigned long long)s->dispatches);
        length += n < 0 ? 0 : (size_t)n;
    }
    size_t room = length < capacity ? capacity - length : 0;
    int n = snprintf(room ? text + length : NULL, room, "new_lengths: %s\ndispatches: %llu\nworkspace_bytes: 0\n",
                     p->new_lengths.present ? "yes" : "no", (unsigned long long)vka__cache_dispatches(plan));
    return length + (n < 0 ? 0 : (size_t)n);
}
