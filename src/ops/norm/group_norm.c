/* vka_group_norm.
 * SPDX-License-Identifier: MIT */
#include "ops/norm/norm.h"

enum { X, OUT, WEIGHT, BIAS, MEAN, INVERSE, ARGS };
enum { EPSILON, PATH, NUMBERS };

#define BIT(arg)       (1u << (arg))
#define DESC(field)    offsetof(vka_group_norm_desc, field)
#define STRIDES(field) offsetof(vka_norm_params, field)
#define STATISTIC(name, field, binding_)                                                                               \
    {                                                                                                                  \
        name, "B G", DESC(field), STRIDES(field), VKA__TYPE(VKA_F32), .access = VKA__WRITE, .binding = binding_,       \
                                                                      .extent = VKA__CUSTOM                            \
    }

static const vka__arg args[ARGS] = {
    [X] = {"x", "B C P", DESC(x), STRIDES(x), VKA__FLOATS, .flags = VKA__REQUIRED, .access = VKA__READ,
           .binding = VKA_BIND_X, .extent = VKA__CUSTOM},
    [OUT] = {"out", "B C P", DESC(out), STRIDES(out_), VKA__FLOATS, BIT(X), .like = 1 + X, .flags = VKA__REQUIRED,
             .access = VKA__WRITE, .binding = VKA_BIND_NORM_OUT, .extent = VKA__CUSTOM},
    [WEIGHT] = VKA__NORM_PARAMETER("weight", DESC(weight), VKA_BIND_WEIGHT),
    [BIAS] = VKA__NORM_PARAMETER("bias", DESC(bias), VKA_BIND_BIAS),
    [MEAN] = STATISTIC("mean", mean, VKA_BIND_STATS_MEAN),
    [INVERSE] = STATISTIC("inv_std", inv_std, VKA_BIND_STATS_INV),
};
static const vka__number numbers[NUMBERS] = {
    [EPSILON] = {"epsilon", DESC(epsilon), VKA__NUMBER_F32, true, 1e-30, VKA__FINITE, 1e-5, NULL},
    [PATH] = {"path", DESC(path), VKA__NUMBER_ENUM, false, 0, VKA_NORM_PATH_GROUP, 0, "vka_norm_path"},
};
static const vka__limit limits[] = {{'C', 1, UINT32_MAX}, {'P', 1, UINT32_MAX}, {0}};

static vka_status sizes(vka__call *c) {
    uint32_t groups = VKA__DESC(c, vka_group_norm_desc)->groups;
    if (!groups)
        return vka__call_fail(c, VKA_INVALID, "groups", "is 0, but is required");
    vka__call_bind_letter(c, 'G', groups);
    return VKA_OK;
}

static vka_status check(vka__call *c) {
    uint32_t channels = vka__call_letter(c, 'C'), groups = vka__call_letter(c, 'G'), n = vka__call_letter(c, 'P');
    const vka__view *weight = &c->view[WEIGHT], *bias = &c->view[BIAS];
    if (channels % groups)
        return vka__call_fail(c, VKA_INVALID, "groups", "is %u, but must divide C = %u", groups, channels);
    if (n > VKA_GROUP_NORM_MAX / (channels / groups))
        return vka__call_fail(c, VKA_INVALID, "x", "a group has %u channels of %u elements, but at most %u elements",
                              channels / groups, n, VKA_GROUP_NORM_MAX);
    if (weight->present && bias->present && bias->dtype != weight->dtype)
        return vka__call_fail(c, VKA_INVALID, "bias", "dtype is %s, but must be that of weight",
                              vka__dtype_name(bias->dtype));
    return vka__call_check_rows(c, X, (const uint32_t[]){1, vka__call_letter(c, 'B'), groups});
}

/* ---- views: a group is a row of several runs ------------------------------------------------------------------- */

/* Do channels lie closer together than positions? */
static bool channels_last(const vka__view *x) {
    return x->shape[3] > 1 && x->shape[2] > 1 && x->stride[2] < x->stride[3];
}

/* [B, C, P] as [B, G, runs, run]. */
static void split_groups(vka__view *v, uint32_t groups, bool last) {
    uint32_t channels = v->shape[2] / groups, positions = v->shape[3];
    uint64_t channel = v->stride[2], position = v->stride[3];
    *v = (vka__view){
        v->present,
        v->source,
        v->dtype,
        v->size,
        v->block,
        v->offset,
        {v->shape[1], groups, last ? positions : channels, last ? channels : positions},
        {v->stride[1], groups > 1 ? channels * channel : 0, last ? position : channel, last ? channel : position}};
}

/* [B, G] as [B, G, 1, 1]. */
static void split_statistic(vka__view *v) {
    for (uint32_t i = 0; i < 2 && v->present; ++i) {
        v->shape[i] = v->shape[i + 2];
        v->stride[i] = v->stride[i + 2];
        v->shape[i + 2] = 1;
        v->stride[i + 2] = 0;
    }
}

/* ---- plan ------------------------------------------------------------------------------------------------------ */

static uint32_t flags_of(const vka__call *c, bool last) {
    static const uint32_t optional[ARGS] = {
        [WEIGHT] = VKA_FLAG_WEIGHT, [BIAS] = VKA_FLAG_BIAS, [MEAN] = VKA_FLAG_MEAN, [INVERSE] = VKA_FLAG_INV_STD};
    uint32_t vectors = BIT(X) | BIT(OUT) | (last ? BIT(WEIGHT) | BIT(BIAS) : 0), flags = 0;
    for (uint32_t i = 0; i < ARGS; ++i)
        flags |= vka__call_has(c, i) ? optional[i] : 0;
    return flags | (last ? VKA_FLAG_CHANNELS_LAST : 0) | (vka__call_vec4(c, vectors) ? VKA_FLAG_VEC4 : 0);
}

static void fill_params(const vka__call *c, uint32_t channels) {
    const vka__view *x = &c->view[X];
    vka_norm_params *params = VKA__PARAMS(c, vka_norm_params);
    params->weight_stride = (uint32_t)c->view[WEIGHT].stride[3];
    params->bias_stride = (uint32_t)c->view[BIAS].stride[3];
    params->epsilon = (float)c->number[EPSILON];
    params->cols = x->shape[2] * x->shape[3];
    params->inner = x->shape[3];
    params->inner_vectors = vka__div_up(x->shape[3], 4);
    params->outer = x->shape[2];
    params->channels = channels;
}

static bool plan(vka__call *c) {
    static const vka__row_kernels kernels = {VKA__group_norm_lane, VKA__group_norm_group, VKA__group_norm_group_sg, 0,
                                             0};
    uint32_t groups = vka__call_letter(c, 'G'), channels = vka__call_letter(c, 'C') / groups;
    bool last = channels_last(&c->view[X]);
    split_groups(&c->view[X], groups, last);
    split_groups(&c->view[OUT], groups, last);
    split_statistic(&c->view[MEAN]);
    split_statistic(&c->view[INVERSE]);
    const vka__view *x = &c->view[X];
    if (!x->shape[0])
        return true;
    uint32_t part[] = {x->shape[0], groups, x->shape[2]}, columns = 4 * vka__div_up(x->shape[3], 4) * x->shape[2];
    vka__row_problem problem = {.path = PATH, .cols = columns, .most = columns > 65536 ? 512 : 256};
    c->rows = vka__rows_of((const uint32_t[]){x->shape[0], groups, 1}, 1, vka__rows_add_key(c, &kernels, &problem));
    for (uint32_t i = 0; i < ARGS; ++i)
        if (c->view[i].present && args[i].extent == VKA__CUSTOM && !vka__cut_to_binding(c->caps, &c->view[i], 3, part))
            return vka__refuse_span(c->caps, args[i].name, "one group", &c->refusal);
    if (!vka__call_sees_whole(c))
        return false;
    c->rows.part[0] = part[0];
    c->rows.part[1] = part[1];
    vka__rows_cut(c->caps, &c->rows);
    part[0] = c->rows.part[0];
    part[1] = c->rows.part[1];
    for (uint32_t i = 0; i < ARGS; ++i)
        if (args[i].strides != VKA__NONE)
            *(vka_strides *)(void *)(c->params + args[i].strides) = vka__box_strides(&c->view[i], part);
    fill_params(c, channels);
    c->key[0].spec[VKA_SPEC_FLAGS] = flags_of(c, last);
    c->key[0].spec[VKA_SPEC_TYPES] =
        vka__call_type(c, X, VKA_ROLE_X) | vka__call_type(c, vka__call_has(c, WEIGHT) ? WEIGHT : BIAS, VKA_ROLE_TABLE);
    c->dispatches = vka__volume(c->rows.parts);
    return true;
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    uint32_t begin[3], size[3];
    vka__rows_at(&c->rows, index, begin, size, out);
    for (uint32_t i = 0; i < ARGS; ++i)
        if (args[i].extent == VKA__CUSTOM) {
            size[2] = c->view[i].shape[2]; /* all of a group */
            vka__call_bind_box(c, i, begin, size, out);
        }
    vka__call_bind_whole(c, ~0u, out);
}

static void explain(const vka__call *c, vka__text *text) {
    vka__rows_explain(c, PATH, 8, text);
    vka__say(text, "layout: %s\nelements: %u\n",
             c->key[0].spec[VKA_SPEC_FLAGS] & VKA_FLAG_CHANNELS_LAST ? "channels side by side"
                                                                     : "positions side by side",
             c->view[X].shape[2] * c->view[X].shape[3]);
}

VKA__OPERATION(group_norm, .params_size = sizeof(vka_norm_params), .limits = limits, .sizes = sizes, .check = check,
               .plan = plan, .dispatch = dispatch, .explain = explain);
