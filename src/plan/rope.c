/* Plans of vka_rope, and what every kernel that rotates needs.
 * SPDX-License-Identifier: MIT */
#include "plan/rope.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- options --------------------------------------------------------------------------------------------------- */

uint32_t vka__rope_flags(const vka__rope *rope) {
    uint32_t flags = VKA_FLAG_ROPE;
    flags |= rope->interleaved ? VKA_FLAG_INTERLEAVED : 0;
    flags |= rope->cos.present ? VKA_FLAG_TABLES : 0;
    flags |= rope->table_rows ? VKA_FLAG_TABLE_ROWS : 0;
    return rope->enabled ? flags : 0;
}

static void put_digit(vka_digits *digits, uint32_t i, double fraction, double unit) {
    uint64_t bits = (uint64_t)(fraction * unit);
    uint32_t high = (uint32_t)(bits >> 32), low = (uint32_t)bits;
    if (i % 2) {
        digits[i / 2].second_high = high;
        digits[i / 2].second_low = low;
    } else {
        digits[i / 2].first_high = high;
        digits[i / 2].first_low = low;
    }
}

void vka__rope_fill(const vka__rope *rope, vka_rope_params *params) {
    static const double turn = 6.283185307179586;
    *params = (vka_rope_params){.pairs = rope->pairs, .offset = rope->offset};
    if (!rope->enabled)
        return;
    if (rope->cos.present) {
        const uint64_t *c = rope->cos.stride, *s = rope->sin.stride;
        params->cos_ = (vka_strides){.b = (uint32_t)c[1], .n = (uint32_t)c[2], .d = (uint32_t)c[3]};
        params->sin_ = (vka_strides){.b = (uint32_t)s[1], .n = (uint32_t)s[2], .d = (uint32_t)s[3]};
        params->table_rows = rope->cos.shape[2];
        return;
    }
    for (uint32_t i = 0; i < VKA_ROPE_DIGITS; ++i) {
        double step = -1.0 / rope->pairs; /* of the exponent, from pair to pair */
        double coarse = rope->frequency_scale / turn * pow(rope->theta, step * i * VKA_ROPE_DIGITS);
        put_digit(params->coarse, i, coarse, 0x1p64);
        put_digit(params->fine, i, pow(rope->theta, step * i), 0x1p63);
    }
}

void vka__rope_bind(const vka_device_caps *caps, const vka__rope *rope, uint32_t cos, uint32_t sin,
                    vka__dispatch *out) {
    if (!rope->enabled)
        return;
    vka__bind_all(caps, &rope->cos, VKA_BIND_COS, cos, VKA__READ, out);
    vka__bind_all(caps, &rope->sin, VKA_BIND_SIN, sin, VKA__READ, out);
}

/* ---- vka_rope -------------------------------------------------------------------------------------------------- */

/* Are a unit's two vectors of four channels whole and aligned, in x and out? */
static bool is_vec4(const vka__rotate_problem *p) {
    bool whole = p->rope.interleaved ? p->rope.pairs % 2 == 0 : p->rope.pairs % 4 == 0;
    return whole && vka__view_vec4(&p->x) && vka__view_vec4(&p->out);
}

static void fill_key(const vka_device_caps *caps, const vka__rotate_problem *p, vka__pipeline_key *key) {
    uint32_t group = caps->type == VKA_DEVICE_CPU ? 8 : 64;
    key->kernel = VKA__rope;
    key->spec[VKA_SPEC_GROUP_SIZE] = vka__min_u32(group, caps->max_invocations);
    key->spec[VKA_SPEC_FLAGS] = vka__rope_flags(&p->rope) | (p->positions.present ? VKA_FLAG_POSITIONS : 0) |
                                (is_vec4(p) ? VKA_FLAG_ROPE_VEC4 : 0);
    key->spec[VKA_SPEC_TYPES] = (uint32_t)p->x.dtype << 4 * VKA_ROLE_X | (uint32_t)p->out.dtype << 4 * VKA_ROLE_CACHE |
                                (uint32_t)p->rope.cos.dtype << 4 * VKA_ROLE_TABLE;
}

static bool choose_boxes(const vka_device_caps *caps, const vka__rotate_problem *p, vka__rotate_plan *plan,
                         vka__refusal *refusal) {
    const vka__view *views[] = {&p->x, &p->out};
    static const char *const names[] = {"x", "out"};
    memcpy(plan->part, p->x.shape, sizeof plan->part);
    for (int i = 0; i < 2; ++i) {
        if (!vka__cut_to_binding(caps, views[i], VKA__DIMS_ALL, plan->part))
            return vka__refuse_span(caps, names[i], "one row", refusal);
    }
    uint64_t invocations = (uint64_t)caps->max_groups[0] * plan->key.spec[VKA_SPEC_GROUP_SIZE];
    vka__even_out(p->x.shape, plan->part, plan->parts);
    vka__cut_to_grid(vka__min_u64(invocations, UINT32_MAX) / plan->params.units, plan->part);
    vka__even_out(p->x.shape, plan->part, plan->parts);
    return vka__sees_all(caps, &p->positions, p->positions_field, refusal) &&
           vka__sees_all(caps, &p->rope.cos, "options.cos", refusal) &&
           vka__sees_all(caps, &p->rope.sin, "options.sin", refusal);
}

vka_status vka__plan_rotate(const vka_device_caps *caps, const vka__rotate_problem *p, vka__rotate_plan *plan,
                            vka__refusal *refusal) {
    memset(plan, 0, sizeof *plan);
    uint32_t cols = p->x.shape[3], tail = cols - 2 * p->rope.pairs;
    fill_key(caps, p, &plan->key);
    plan->params.units = vka__div_up(p->rope.pairs, VKA_ROPE_UNIT / 2) + vka__div_up(tail, VKA_ROPE_UNIT);
    if (!choose_boxes(caps, p, plan, refusal))
        return VKA_UNSUPPORTED;
    vka__rope_fill(&p->rope, &plan->params.rope);
    plan->params.x = vka__box_strides(&p->x, plan->part);
    plan->params.out_ = vka__box_strides(&p->out, plan->part);
    plan->params.cols = cols;
    plan->params.position_b = (uint32_t)p->positions.stride[2];
    plan->params.position_n = (uint32_t)p->positions.stride[3];
    return VKA_OK;
}

uint64_t vka__rotate_dispatches(const vka__rotate_plan *plan) {
    return vka__volume(plan->parts);
}

void vka__rotate_dispatch(const vka_device_caps *caps, const vka__rotate_problem *p, const vka__rotate_plan *plan,
                          uint64_t index, vka__dispatch *out) {
    memset(out, 0, sizeof *out);
    const vka__view *views[] = {&p->x, &p->out};
    static const uint32_t slots[] = {VKA_BIND_X, VKA_BIND_ROTATED};
    uint32_t begin[3], size[3];
    vka__box_at(p->x.shape, plan->part, plan->parts, index, begin, size);
    for (int i = 0; i < 2; ++i)
        out->binding[slots[i]] =
            vka__bind_box(caps, views[i], begin, size, i ? VKA__WRITE : VKA__READ, &out->push.base[slots[i]]);
    vka__bind_all(caps, &p->positions, VKA_BIND_POSITIONS, 0, VKA__READ, out);
    vka__rope_bind(caps, &p->rope, 0, 0, out);
    out->key = plan->key;
    out->push.rows = (uint32_t)vka__volume(size);
    out->push.dim1 = size[1];
    out->push.dim2 = size[2];
    out->push.b0 = begin[0];
    out->push.x0 = begin[2];
    out->groups[0] = vka__div_up(out->push.rows * plan->params.units, plan->key.spec[VKA_SPEC_GROUP_SIZE]);
    out->groups[1] = out->groups[2] = 1;
}

size_t vka__explain_rotate(const vka__rotate_problem *p, const vka__rotate_plan *plan, char *text, size_t capacity) {
    const uint32_t *spec = plan->key.spec;
    int n = snprintf(text, capacity,
                     "kernel: %s\nworkgroup: %u\nangles: %s\nvector_loads: %s\nrows_per_dispatch: %llu\n"
                     "dispatches: %llu\nworkspace_bytes: 0\n",
                     vka__kernel_name((vka__kernel)plan->key.kernel), spec[VKA_SPEC_GROUP_SIZE],
                     p->rope.cos.present ? "tables" : "theta", spec[VKA_SPEC_FLAGS] & VKA_FLAG_ROPE_VEC4 ? "yes" : "no",
                     (unsigned long long)vka__volume(plan->part), (unsigned long long)vka__rotate_dispatches(plan));
    return n < 0 ? 0 : (size_t)n;
}
