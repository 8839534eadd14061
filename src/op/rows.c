/* Operations on rows: a dispatch does a box of them.
 * SPDX-License-Identifier: MIT */
#include "op/op.h"

#include <string.h>

#include "op/known_drivers.h"
#include "op/switched_off.h"
#include "op/tile.h"

bool vka__call_sees_whole(vka__call *c) {
    for (uint32_t i = 0; i < c->op->arg_count; ++i) {
        const vka__arg *a = &c->op->args[i];
        if (a->extent == VKA__ALL && !vka__sees_all(c->caps, &c->view[i], a->name, &c->refusal))
            return false;
    }
    return true;
}

void vka__call_bind_whole(const vka__call *c, uint32_t args, vka__dispatch *out) {
    for (uint32_t i = 0; i < vka__min_u32(c->op->arg_count, 32); ++i) {
        const vka__arg *a = &c->op->args[i];
        if ((args >> i & 1) && a->extent == VKA__ALL)
            vka__bind_all(c->caps, &c->view[i], a->binding, (vka__access)a->access, out);
    }
}

void vka__call_bind_box(const vka__call *c, uint32_t arg, const uint32_t begin[3], const uint32_t size[3],
                        vka__dispatch *out) {
    const vka__arg *a = &c->op->args[arg];
    out->binding[a->binding] =
        vka__bind_box(c->caps, &c->view[arg], begin, size, (vka__access)a->access, &out->push.base[a->binding]);
}

vka__rows vka__rows_of(const uint32_t shape[3], uint32_t units, uint32_t group) {
    vka__rows r = {.units = units, .group = group};
    memcpy(r.shape, shape, sizeof r.shape);
    memcpy(r.part, shape, sizeof r.part);
    return r;
}

void vka__rows_cut(const vka_device_caps *caps, vka__rows *r) {
    vka__even_out(r->shape, r->part, r->parts);
    vka__cut_to_grid(vka__min_u64((uint64_t)caps->max_groups[0] * r->group, UINT32_MAX) / r->units, r->part);
    vka__even_out(r->shape, r->part, r->parts);
}

void vka__rows_at(const vka__rows *r, uint64_t index, uint32_t begin[3], uint32_t size[3], vka__dispatch *out) {
    vka__box_at(r->shape, r->part, r->parts, index, begin, size);
    out->push.rows = (uint32_t)vka__volume(size);
    out->push.dim1 = size[1];
    out->push.dim2 = size[2];
    out->push.b0 = begin[0];
    out->push.h0 = begin[1];
    out->push.x0 = begin[2];
    out->groups[0] = (uint32_t)(((uint64_t)out->push.rows * r->units + r->group - 1) / r->group);
    out->groups[1] = out->groups[2] = 1;
}

bool vka__rows_plan(vka__call *c, uint32_t arg, uint32_t units, uint32_t group) {
    const vka__op *op = c->op;
    vka__rows *r = &c->rows;
    *r = vka__rows_of(c->view[arg].shape, units, group);
    if (!vka__volume(r->shape))
        return true;
    for (uint32_t i = 0; i < op->arg_count; ++i) {
        const vka__arg *a = &op->args[i];
        const vka__view *v = &c->view[i];
        if (v->present && a->extent == VKA__BOX && !vka__cut_to_binding(c->caps, v, VKA__DIMS_ALL, r->part))
            return vka__refuse_span(c->caps, a->name, "one row", &c->refusal);
        if (a->extent == VKA__ALL && !vka__sees_all(c->caps, v, a->name, &c->refusal))
            return false;
    }
    vka__rows_cut(c->caps, r);
    for (uint32_t i = 0; i < op->arg_count; ++i)
        if (op->args[i].strides != VKA__NONE)
            *(vka_strides *)(void *)(c->params + op->args[i].strides) = vka__box_strides(&c->view[i], r->part);
    c->dispatches = vka__volume(r->parts);
    return true;
}

/* Software drivers that load and store a vector of lanes by one instruction: there a subgroup a row reads it once,
 * where an invocation a row reads it again for each pass. Others make a loop of every load. */
static bool has_lane_vectors(const vka_device_caps *caps) {
    return caps->type == VKA_DEVICE_CPU && caps->driver_id == VKA__DRIVER_LLVMPIPE && !vka__is_slow_compiler(caps) &&
           caps->subgroup_arithmetic && caps->subgroup_min == caps->subgroup_max && caps->subgroup_size >= 4 &&
           caps->subgroup_size <= caps->max_invocations;
}

/* Such a vector takes an instruction a word and lane: half as many words are up to 1.5 times as fast. */
static vka__kernel with_widest_loads(const vka_device_caps *caps, vka__kernel kernel, vka__kernel int64, bool vec4) {
    bool can = int64 && vec4 && caps->int64 && has_lane_vectors(caps) && !vka__is_switched_off(caps, int64);
    return can ? int64 : kernel;
}

/* Vectors of a row that wait in an invocation's registers, or rather in its stack, whose loads are cheap. */
#define MOST_KEPT 32

/* A workgroup of one subgroup owns a row if rows are not too short to be worth it; where the device chooses, nor so
 * long that they are read again for each pass. */
static bool suits_subgroup(const vka__call *c, const vka__row_kernels *kernels, const vka__row_problem *p) {
    uint32_t vectors = vka__div_up(p->cols, 4), width = c->caps->subgroup_size;
    if (c->number[p->path] == 1 || !has_lane_vectors(c->caps) || !kernels->subgroup_rows || !p->vec4 ||
        vectors < 4 * width || vka__is_switched_off(c->caps, kernels->group_subgroup))
        return false;
    return c->number[p->path] || vectors <= MOST_KEPT * width || p->rows < kernels->long_rows;
}

static uint32_t add_subgroup_key(vka__call *c, const vka__row_kernels *kernels, const vka__row_problem *p) {
    uint32_t width = c->caps->subgroup_size, each = vka__div_up(vka__div_up(p->cols, 4), width);
    vka__kernel kernel = with_widest_loads(c->caps, kernels->group_subgroup, kernels->group_subgroup_int64, p->vec4);
    vka__pipeline_key *key = vka__call_add_key(c, kernel, width);
    key->spec[VKA_SPEC_SUBGROUP] = width;
    key->spec[VKA_SPEC_COLS] = each <= MOST_KEPT ? each : 0;
    /* Enough workgroups must be left for all cores. */
    return key->spec[VKA_SPEC_BR] = p->rows >= 512 ? kernels->subgroup_rows : 1;
}

/* What the description asks for, or else what suits the device, unless the self-test switched it off. */
static bool in_lanes(const vka__call *c, const vka__row_kernels *kernels, uint32_t path, uint32_t group) {
    bool lane = c->number[path] ? c->number[path] == 1 : c->caps->type == VKA_DEVICE_CPU;
    if (!c->number[path] && vka__is_switched_off(c->caps, lane ? kernels->lane : group) &&
        !vka__is_switched_off(c->caps, lane ? group : kernels->lane))
        return !lane;
    return lane;
}

uint32_t vka__rows_add_key(vka__call *c, const vka__row_kernels *kernels, const vka__row_problem *p) {
    if (suits_subgroup(c, kernels, p))
        return add_subgroup_key(c, kernels, p);
    bool subgroup = c->caps->subgroup_arithmetic && c->caps->subgroup_min >= 4 &&
                    !vka__is_switched_off(c->caps, kernels->group_subgroup);
    vka__kernel of_group = subgroup ? kernels->group_subgroup : kernels->group;
    if (in_lanes(c, kernels, p->path, of_group)) {
        uint32_t group = vka__min_u32(8, c->caps->max_invocations);
        vka__call_add_key(c, with_widest_loads(c->caps, kernels->lane, kernels->lane_int64, p->vec4), group);
        return group;
    }
    uint32_t vectors = vka__div_up(p->cols, 4), group = 32, most = vka__min_u32(p->most, c->caps->max_invocations);
    while (group < most && group * 2 <= vectors)
        group *= 2;
    group = vka__min_u32(group, c->caps->max_invocations);
    uint32_t each = vka__div_up(vectors, group);
    vka__pipeline_key *key = vka__call_add_key(c, of_group, group);
    key->spec[VKA_SPEC_COLS] = each <= 8 ? each : 0;
    return key->spec[VKA_SPEC_BR] = 1;
}

/* Of a lane's key, no rows of a workgroup. */
void vka__rows_explain(const vka__call *c, uint32_t path, uint32_t shared, vka__text *text) {
    const uint32_t *spec = c->key[0].spec;
    bool lane = !spec[VKA_SPEC_BR], subgroup = spec[VKA_SPEC_SUBGROUP];
    const char *why = subgroup ? "software driver with instructions for lanes: rows are read once"
                      : lane != (c->caps->type == VKA_DEVICE_CPU) ? "the other one is switched off by the self-test"
                      : lane                                      ? "software driver: no barriers"
                                                                  : "GPU: coalesced rows";
    vka__say(text, "path: %s\nwhy: %s\nregister_vectors: %u\nshared_bytes: %u\nvector_loads: %s\n",
             lane       ? "lane"
             : subgroup ? "subgroup"
                        : "group",
             c->number[path] ? "the description asks for it" : why, spec[VKA_SPEC_COLS],
             lane || subgroup ? 0 : shared * spec[VKA_SPEC_GROUP_SIZE], vka__yes(spec[VKA_SPEC_FLAGS] & VKA_FLAG_VEC4));
}

void vka__rows_dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    uint32_t begin[3], size[3];
    vka__rows_at(&c->rows, index, begin, size, out);
    for (uint32_t i = 0; i < c->op->arg_count; ++i)
        if (c->op->args[i].extent == VKA__BOX)
            vka__call_bind_box(c, i, begin, size, out);
    vka__call_bind_whole(c, ~0u, out);
}
