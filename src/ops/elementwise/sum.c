/* SPDX-License-Identifier: MIT */
#include "ops/elementwise/sum.h"

#include "params/elementwise.h"

/* Terms of a part, at least. */
#define LEAST_TERMS 64
#define MOST_PARTS  1024

static uint32_t group_of(const vka_device_caps *caps) {
    return vka__group_size(caps, caps->type == VKA_DEVICE_CPU ? 8 : 64);
}

static uint32_t units_of(const vka__sum *s) {
    return vka__div_up(s->out.shape[3], 4);
}

static uint64_t results(const vka__sum *s) {
    return vka__volume(s->rows) * s->out.shape[3];
}

static vka_strides strides_of(const uint32_t s[VKA_MAX_RANK]) {
    return (vka_strides){s[0], s[1], s[2], s[3]};
}

/* Strides of the dimensions that are kept, or of those that are summed over. */
static vka_strides split_strides(const vka__sum *s, const vka__view *v, bool summed) {
    uint32_t strides[VKA_MAX_RANK] = {0};
    for (uint32_t i = 0; i < VKA_MAX_RANK; ++i)
        strides[i] = (s->out.shape[i] == 1) == summed ? (uint32_t)v->stride[i] : 0;
    return strides_of(strides);
}

static void fill_params(const vka__sum *s, vka_sum_params *p) {
    uint32_t size[VKA_MAX_RANK];
    for (uint32_t i = 0; i < VKA_MAX_RANK; ++i)
        size[i] = s->out.shape[i] == 1 ? vka__max_u32(s->x.shape[i], 1) : 1;
    p->kept = split_strides(s, &s->x, false);
    p->summed = split_strides(s, &s->x, true);
    p->size = strides_of(size);
    p->kept_ids = split_strides(s, &s->ids, false);
    p->summed_ids = split_strides(s, &s->ids, true);
    p->out_ = vka__box_strides(&s->out, s->rows);
    p->cols = s->out.shape[3];
    p->units = units_of(s);
    p->table = s->table;
    p->copy_stride = s->copy_stride;
}

uint32_t vka__sum_choose_parts(const vka_device_caps *caps, uint64_t invocations, uint64_t sums, uint32_t terms) {
    uint32_t target = caps->type == VKA_DEVICE_CPU ? 64 : caps->type == VKA_DEVICE_DISCRETE ? 32768 : 4096;
    uint64_t wanted = target / vka__max_u64(invocations, 1);
    wanted = vka__min_u64(wanted, vka__min_u32(terms / LEAST_TERMS, MOST_PARTS));
    return vka__align_up(4 * sums * wanted, 256) <= caps->storage_range ? (uint32_t)vka__max_u64(wanted, 1) : 1;
}

/* As many as keep a device busy; where results are many one does. */
static uint32_t choose_parts(const vka_device_caps *caps, const vka__sum *s, uint32_t total) {
    uint32_t parts = vka__sum_choose_parts(caps, vka__volume(s->rows) * units_of(s), results(s), total);
    return vka__min_u32(parts, caps->max_groups[1]);
}

/* Elements of x from the first copy's first one on. */
static uint64_t extent_of(const vka__sum *s) {
    uint64_t extent = vka__view_extent(&s->x, 0);
    return extent ? extent + (uint64_t)(vka__max_u32(s->copies, 1) - 1) * s->copy_stride : 0;
}

static vka__pipeline_key *add_key(vka__call *c, const vka__view *x, const vka__view *out) {
    vka__pipeline_key *key = vka__call_add_key(c, VKA__sum, group_of(c->caps));
    key->spec[VKA_SPEC_TYPES] = (uint32_t)x->dtype << 4 * VKA_ROLE_FIRST | (uint32_t)out->dtype << 4 * VKA_ROLE_OUT;
    /* A column that is summed over is read by itself. */
    key->spec[VKA_SPEC_FLAGS] =
        (out->shape[3] > 1 && vka__view_vec4(x) ? VKA_FLAG_X_VEC4 : 0) | (vka__view_vec4(out) ? VKA_FLAG_VEC4 : 0);
    return key;
}

static void plan_parts(vka__call *c, vka__sum *s, vka_sum_params *first, vka_sum_params *second) {
    const uint32_t shape[VKA_MAX_RANK] = {s->rows[0], s->rows[1], s->rows[2], s->out.shape[3]};
    vka__view parts = vka__workspace_view(shape, s->workspace); /* of the first part */
    uint32_t flags = c->key[s->key].spec[VKA_SPEC_FLAGS];
    vka__pipeline_key *key = &c->key[s->key];
    key->spec[VKA_SPEC_TYPES] = (uint32_t)s->x.dtype << 4 * VKA_ROLE_FIRST | (uint32_t)VKA_F32 << 4 * VKA_ROLE_OUT;
    key->spec[VKA_SPEC_FLAGS] =
        (flags & (VKA_FLAG_X_VEC4 | VKA_FLAG_IDS)) | (vka__view_vec4(&parts) ? VKA_FLAG_VEC4 : 0);
    *second = *first;
    first->out_ = vka__box_strides(&parts, s->rows);
    first->part_stride = (uint32_t)results(s);
    second->kept = first->out_;
    second->summed = (vka_strides){.d = first->part_stride};
    second->size = (vka_strides){1, 1, 1, s->parts};
    second->total = second->part = s->parts;
    add_key(c, &parts, &s->out)->spec[VKA_SPEC_FLAGS] |= s->accumulate ? VKA_FLAG_ACCUMULATE : 0;
    s->workspace_bytes = vka__align_up(4 * results(s) * s->parts, 256);
}

bool vka__sum_plan(vka__call *c, vka__sum *s, vka_sum_params *first, vka_sum_params *second) {
    uint64_t total = s->empty ? 0 : vka__max_u32(s->copies, 1);
    for (uint32_t i = 0; i < VKA_MAX_RANK; ++i) {
        total *= s->out.shape[i] == 1 ? s->x.shape[i] : 1;
        if (i < 3)
            s->rows[i] = s->out.shape[i];
    }
    s->parts = 0;
    s->workspace_bytes = 0;
    if (!results(s))
        return true;
    if (total > UINT32_MAX || vka__volume(s->rows) * units_of(s) > UINT32_MAX)
        return vka__refuse(&c->refusal, s->field, "has more than 2^32 - 1 terms of a sum, or sums");
    if (!vka__fits_binding(c->caps, &s->x, extent_of(s)))
        return vka__refuse_span(c->caps, s->field, "it", &c->refusal);
    if (!vka__sees_all(c->caps, &s->out, s->out_field, &c->refusal))
        return false;
    fill_params(s, first);
    first->total = (uint32_t)total;
    first->part = vka__div_up(first->total, choose_parts(c->caps, s, first->total));
    s->parts = vka__max_u32(first->part ? vka__div_up(first->total, first->part) : 0, 1);
    s->key = c->key_count;
    vka__pipeline_key *key = add_key(c, &s->x, &s->out);
    if (s->copy_stride % 4)
        key->spec[VKA_SPEC_FLAGS] &= ~(uint32_t)VKA_FLAG_X_VEC4;
    key->spec[VKA_SPEC_FLAGS] |= s->ids.present ? VKA_FLAG_IDS : 0;
    if (s->parts > 1)
        plan_parts(c, s, first, second);
    else
        key->spec[VKA_SPEC_FLAGS] |= s->accumulate ? VKA_FLAG_ACCUMULATE : 0;
    return true;
}

uint64_t vka__sum_dispatches(const vka__sum *s) {
    return s->parts > 1 ? 2 : s->parts;
}

void vka__sum_dispatch(const vka__call *c, const vka__sum *s, uint64_t index, vka__dispatch *out) {
    bool in_parts = s->parts > 1, first = in_parts && index == 0, second = in_parts && index == 1;
    const vka__binding parts = {.source = VKA__SOURCE_WORKSPACE, .offset = s->workspace, .range = s->workspace_bytes};
    uint64_t groups = (vka__volume(s->rows) * units_of(s) + group_of(c->caps) - 1) / group_of(c->caps);
    out->key = s->key + (second ? 1 : 0);
    out->push.rows = (uint32_t)vka__volume(s->rows);
    out->push.dim1 = s->rows[1];
    out->push.dim2 = s->rows[2];
    out->groups[0] = (uint32_t)vka__min_u64(groups, c->caps->max_groups[0]);
    out->groups[1] = first ? s->parts : 1;
    out->groups[2] = 1;
    if (second) {
        out->binding[VKA_BIND_FIRST] = parts;
        out->binding[VKA_BIND_FIRST].access = VKA__READ;
    } else {
        out->binding[VKA_BIND_FIRST] =
            vka__bind(c->caps, &s->x, 0, extent_of(s), VKA__READ, &out->push.base[VKA_BIND_FIRST]);
        vka__bind_all(c->caps, &s->ids, VKA_BIND_SECOND, VKA__READ, out);
    }
    if (first) {
        out->binding[VKA_BIND_RESULT] = parts;
        out->binding[VKA_BIND_RESULT].access = VKA__WRITE;
    } else {
        vka__bind_all(c->caps, &s->out, VKA_BIND_RESULT, s->accumulate ? VKA__READ_WRITE : VKA__WRITE, out);
    }
}
