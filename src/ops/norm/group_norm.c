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
static const vka__limit limits[] = VKA__GROUPS_LIMITS;

static vka_status sizes(vka__call *c) {
    return vka__groups_sizes(c, VKA__DESC(c, vka_group_norm_desc)->groups);
}

static vka_status check(vka__call *c) {
    const vka__view *weight = &c->view[WEIGHT], *bias = &c->view[BIAS];
    if (weight->present && bias->present && bias->dtype != weight->dtype)
        return vka__call_fail(c, VKA_INVALID, "bias", "dtype is %s, but must be that of weight",
                              vka__dtype_name(bias->dtype));
    return vka__groups_check(c);
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

static bool plan(vka__call *c) {
    uint32_t groups = vka__call_letter(c, 'G'), channels = vka__call_letter(c, 'C') / groups;
    bool last = vka__groups_channels_last(&c->view[X]);
    vka__groups_split(&c->view[X], groups, last);
    vka__groups_split(&c->view[OUT], groups, last);
    vka__groups_split_statistic(&c->view[MEAN]);
    vka__groups_split_statistic(&c->view[INVERSE]);
    if (!c->view[X].shape[0])
        return true;
    uint32_t group_rows = vka__groups_add_key(c, &vka__group_norm_kernels, PATH);
    if (!vka__groups_plan(c, group_rows))
        return false;
    vka_norm_params *params = VKA__PARAMS(c, vka_norm_params);
    params->bias_stride = (uint32_t)c->view[BIAS].stride[3];
    vka__groups_fill(c, WEIGHT, channels, params);
    c->key[0].spec[VKA_SPEC_FLAGS] = flags_of(c, last);
    c->key[0].spec[VKA_SPEC_TYPES] =
        vka__call_type(c, X, VKA_ROLE_X) | vka__call_type(c, vka__call_has(c, WEIGHT) ? WEIGHT : BIAS, VKA_ROLE_TABLE);
    return true;
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    uint32_t begin[3], size[3];
    vka__rows_at(&c->rows, index, begin, size, out);
    for (uint32_t i = 0; i < ARGS; ++i)
        if (args[i].extent == VKA__CUSTOM)
            vka__groups_bind(c, i, begin, size, out);
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
