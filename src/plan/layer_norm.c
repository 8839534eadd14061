/* Plans of layer norm.
 * SPDX-License-Identifier: MIT */
#include "plan/plan.h"

#include <stdio.h>
#include <string.h>

#include <vkattn/norm.h>

#define VIEWS 8

static void views_of(const vka__norm_problem *p, const vka__view *views[VIEWS], const char *names[VIEWS]) {
    const vka__view *v[VIEWS] = {&p->x, &p->residual, &p->weight, &p->out, &p->sum, &p->bias, &p->mean, &p->inv_std};
    static const char *const n[VIEWS] = {"x", "residual", "weight", "out", "sum", "bias", "mean", "inv_std"};
    memcpy(views, v, sizeof v);
    memcpy(names, n, sizeof n);
}

static bool is_row_tensor(const vka__norm_problem *p, const vka__view *v) {
    return v != &p->weight && v != &p->bias;
}

static uint32_t flags_of(const vka__norm_problem *p) {
    uint32_t flags = 0;
    flags |= p->weight.present ? VKA_FLAG_WEIGHT : 0;
    flags |= p->bias.present ? VKA_FLAG_BIAS : 0;
    flags |= p->residual.present ? VKA_FLAG_RESIDUAL : 0;
    flags |= p->sum.present ? VKA_FLAG_SUM : 0;
    flags |= p->mean.present ? VKA_FLAG_MEAN : 0;
    flags |= p->inv_std.present ? VKA_FLAG_INV_STD : 0;
    bool vec4 = vka__view_vec4(&p->x) && vka__view_vec4(&p->out) && vka__view_vec4(&p->residual);
    vec4 = vec4 && vka__view_vec4(&p->sum) && vka__view_vec4(&p->weight) && vka__view_vec4(&p->bias);
    flags |= vec4 ? VKA_FLAG_VEC4 : 0;
    vka_dtype parameters = p->weight.present ? p->weight.dtype : p->bias.present ? p->bias.dtype : p->x.dtype;
    flags |= parameters == VKA_F32 ? VKA_FLAG_PARAM_F32 : 0;
    return flags;
}

/* ---- boxes of rows -------------------------------------------------------------------------------------------- */

/* Few boxes that every tensor's binding and the grid can hold. */
static bool choose_boxes(const vka_device_caps *caps, const vka__norm_problem *p, vka__norm_plan *plan,
                         vka__refusal *refusal) {
    const vka__view *views[VIEWS];
    const char *names[VIEWS];
    views_of(p, views, names);
    memcpy(plan->part, p->x.shape, sizeof plan->part);
    for (int i = 0; i < VIEWS; ++i) {
        uint32_t whole[3] = {1, 1, 1}; /* weight and bias are not cut */
        uint32_t *part = is_row_tensor(p, views[i]) ? plan->part : whole;
        if (views[i]->present && !vka__cut_to_binding(caps, views[i], VKA__DIMS_ALL, part))
            return vka__refuse_span(caps, names[i], "one row", refusal);
    }
    vka__even_out(p->x.shape, plan->part, plan->parts);
    vka__cut_to_grid((uint64_t)caps->max_groups[0] * plan->group_rows, plan->part);
    vka__even_out(p->x.shape, plan->part, plan->parts);
    plan->rows = (uint32_t)vka__volume(plan->part);
    return true;
}

/* ---- kernels --------------------------------------------------------------------------------------------------- */

static void plan_lane(const vka_device_caps *caps, const vka__norm_problem *p, vka__norm_plan *plan) {
    plan->path = VKA_NORM_PATH_LANE;
    plan->key.kernel = vka__kernel_for_storage(VKA__layer_norm_lane_f32, p->x.dtype, caps);
    plan->key.spec[VKA_SPEC_GROUP_SIZE] = vka__min_u32(8, caps->max_invocations);
    plan->group_rows = plan->key.spec[VKA_SPEC_GROUP_SIZE];
}

/* A workgroup of up to 256 invocations a row; short rows stay in registers (at most 8 vectors an invocation). */
static void plan_group(const vka_device_caps *caps, const vka__norm_problem *p, vka__norm_plan *plan) {
    uint32_t vectors = vka__div_up(p->x.shape[3], 4);
    uint32_t t = 32, most = vka__min_u32(256, caps->max_invocations);
    while (t < most && t * 2 <= vectors)
        t *= 2;
    t = vka__min_u32(t, caps->max_invocations);
    uint32_t each = vka__div_up(vectors, t);
    bool subgroup = caps->subgroup_arithmetic && caps->subgroup_min >= 4;
    plan->path = VKA_NORM_PATH_GROUP;
    vka__kernel f32 = subgroup ? VKA__layer_norm_group_f32_sg : VKA__layer_norm_group_f32;
    plan->key.kernel = vka__kernel_for_storage(f32, p->x.dtype, caps);
    plan->key.spec[VKA_SPEC_GROUP_SIZE] = t;
    plan->key.spec[VKA_SPEC_COLS] = each <= 8 ? each : 0;
    plan->shared_bytes = 8 * t; /* a pair of sums of each */
    plan->group_rows = 1;
}

static void fill_params(const vka__norm_problem *p, vka__norm_plan *plan) {
    plan->params = (vka_norm_params){
        .x = vka__box_strides(&p->x, plan->part),
        .residual = vka__box_strides(&p->residual, plan->part),
        .sum = vka__box_strides(&p->sum, plan->part),
        .out_ = vka__box_strides(&p->out, plan->part),
        .mean = vka__box_strides(&p->mean, plan->part),
        .inv_std = vka__box_strides(&p->inv_std, plan->part),
        .weight_stride = (uint32_t)p->weight.stride[3],
        .bias_stride = (uint32_t)p->bias.stride[3],
        .cols = p->x.shape[3],
        .epsilon = p->epsilon,
    };
}

vka_status vka__plan_norm(const vka_device_caps *caps, const vka__norm_problem *p, vka__norm_plan *plan,
                          vka__refusal *refusal) {
    memset(plan, 0, sizeof *plan);
    bool lane = p->path ? p->path == VKA_NORM_PATH_LANE : caps->type == VKA_DEVICE_CPU;
    plan->why = p->path ? "the description asks for it" : lane ? "software driver: no barriers" : "GPU: coalesced rows";
    if (lane)
        plan_lane(caps, p, plan);
    else
        plan_group(caps, p, plan);
    plan->key.spec[VKA_SPEC_FLAGS] = flags_of(p);
    if (!choose_boxes(caps, p, plan, refusal))
        return VKA_UNSUPPORTED;
    fill_params(p, plan);
    return VKA_OK;
}

uint64_t vka__norm_dispatches(const vka__norm_plan *plan) {
    return vka__volume(plan->parts);
}

void vka__norm_dispatch(const vka_device_caps *caps, const vka__norm_problem *p, const vka__norm_plan *plan,
                        uint64_t index, vka__dispatch *out) {
    static const uint32_t slots[VIEWS] = {VKA_BIND_X,   VKA_BIND_RESIDUAL, VKA_BIND_WEIGHT,     VKA_BIND_NORM_OUT,
                                          VKA_BIND_SUM, VKA_BIND_BIAS,     VKA_BIND_STATS_MEAN, VKA_BIND_STATS_INV};
    memset(out, 0, sizeof *out);
    const vka__view *views[VIEWS];
    const char *names[VIEWS];
    views_of(p, views, names);
    static const uint32_t origin[3] = {0, 0, 0}, one[3] = {1, 1, 1};
    uint32_t begin[3], size[3];
    vka__box_at(p->x.shape, plan->part, plan->parts, index, begin, size);
    for (int i = 0; i < VIEWS; ++i) {
        bool rows = is_row_tensor(p, views[i]);
        /* The sum is read again by the later passes. */
        vka__access access = i == 4 ? VKA__READ_WRITE : i == 3 || i >= 6 ? VKA__WRITE : VKA__READ;
        out->binding[slots[i]] =
            vka__bind_box(caps, views[i], rows ? begin : origin, rows ? size : one, access, &out->push.base[slots[i]]);
    }
    out->key = plan->key;
    out->push.rows = (uint32_t)vka__volume(size);
    out->push.dim1 = size[1];
    out->push.dim2 = size[2];
    out->groups[0] = vka__div_up(out->push.rows, plan->group_rows);
    out->groups[1] = out->groups[2] = 1;
}

size_t vka__explain_norm(const vka__norm_problem *p, const vka__norm_plan *plan, char *text, size_t capacity) {
    const uint32_t *spec = plan->key.spec;
    int n = snprintf(text, capacity,
                     "path: %s\nwhy: %s\nkernel: %s\nworkgroup: %u\nregister_vectors: %u\nshared_bytes: %u\n"
                     "vector_loads: %s\nrows_per_dispatch: %u\ncols: %u\ndispatches: %llu\nworkspace_bytes: 0\n",
                     plan->path == VKA_NORM_PATH_LANE ? "lane" : "group", plan->why,
                     vka__kernel_name((vka__kernel)plan->key.kernel), spec[VKA_SPEC_GROUP_SIZE], spec[VKA_SPEC_COLS],
                     plan->shared_bytes, spec[VKA_SPEC_FLAGS] & VKA_FLAG_VEC4 ? "yes" : "no", plan->rows, p->x.shape[3],
                     (unsigned long long)vka__norm_dispatches(plan));
    return n < 0 ? 0 : (size_t)n;
}
