/* vka_map: three kernels, of which one computes floats, one quantises, and one copies.
 * SPDX-License-Identifier: MIT */
#include "ops/elementwise/elementwise.h"

enum { X, OUT, X_SCALE, OUT_SCALE, ARGS };
enum { ACTIVATION, MULTIPLIER, OFFSET, NUMBERS };

#define BIT(arg)       (1u << (arg))
#define DESC(field)    offsetof(vka_map_desc, field)
#define STRIDES(field) offsetof(vka_elementwise_params, field)
#define F32            VKA__TYPE(VKA_F32)
#define ANY            (VKA__WEIGHTS | VKA__TYPE(VKA_U8) | VKA__TYPE(VKA_I8) | VKA__TYPE(VKA_I32))

static const vka__arg args[ARGS] = {
    [X] = {"x", NULL, DESC(x), STRIDES(first), ANY, .flags = VKA__REQUIRED, .access = VKA__READ,
           .binding = VKA_BIND_FIRST},
    [OUT] = {"out", "... C", DESC(out), STRIDES(out_), ANY, BIT(X), .flags = VKA__REQUIRED, .access = VKA__WRITE,
             .binding = VKA_BIND_RESULT},
    [X_SCALE] = {"x_scale", NULL, DESC(x_scale), STRIDES(second), F32, .flags = VKA__PER_ROW, .access = VKA__READ,
                 .binding = VKA_BIND_SECOND},
    [OUT_SCALE] = {"out_scale", "...", DESC(out_scale), STRIDES(third), F32, .flags = VKA__PER_ROW,
                   .access = VKA__WRITE, .binding = VKA_BIND_THIRD},
};
static const vka__number numbers[NUMBERS] = {
    [ACTIVATION] = VKA__ACTIVATION_NUMBER(vka_map_desc),
    [MULTIPLIER] = {"scale", DESC(scale), VKA__NUMBER_F32, true, -VKA__FINITE, VKA__FINITE, 1, NULL},
    [OFFSET] = {"offset", DESC(offset), VKA__NUMBER_F32, false, -VKA__FINITE, VKA__FINITE, 0, NULL},
};

static bool is_affine(const vka__call *c) {
    return c->number[MULTIPLIER] != 1 || c->number[OFFSET] != 0;
}

/* Are x's bits the result? */
static bool is_copy(const vka__call *c) {
    return c->view[X].dtype == c->view[OUT].dtype && !is_affine(c) && c->number[ACTIVATION] == VKA_ACTIVATION_NONE &&
           !vka__call_has(c, X_SCALE) && !vka__call_has(c, OUT_SCALE);
}

static vka_status check(vka__call *c) {
    vka_dtype from = c->view[X].dtype, to = c->view[OUT].dtype;
    if (vka__call_has(c, X_SCALE) && from != VKA_I8)
        return vka__call_fail(c, VKA_INVALID, "x_scale", "only i8 tensors have scales of their own");
    if (vka__call_has(c, OUT_SCALE) && to != VKA_I8)
        return vka__call_fail(c, VKA_INVALID, "out_scale", "only i8 tensors have scales of their own");
    bool whole = to == VKA_I32 || to == VKA_U8 || (to == VKA_I8 && !vka__call_has(c, OUT_SCALE));
    if (whole && !is_copy(c))
        return vka__call_fail(c, VKA_INVALID, "out", "dtype is %s%s: it takes copies of an x of this type alone",
                              vka__dtype_name(to), to == VKA_I8 ? " without out_scale" : "");
    return vka__elementwise_check(c, OUT);
}

/* A tensor as what it is copied by: words, halves of them, or bytes. Blocks are rows of halves. */
static void as_bits(vka__view *v) {
    uint32_t size = v->block > 1 ? 2 : v->size, each = v->size / size;
    if (v->block > 1) {
        v->shape[3] = v->shape[3] / v->block * each;
        for (uint32_t i = 0; i < 3; ++i)
            v->stride[i] = v->stride[i] / v->block * each;
    }
    v->dtype = size == 4 ? VKA_I32 : size == 2 ? VKA_F16 : VKA_U8;
    v->size = size;
    v->block = 1;
}

/* Rows of i8: a team for each. */
static bool plan_rows(vka__call *c, uint32_t flags) {
    vka_elementwise_params *params = VKA__PARAMS(c, vka_elementwise_params);
    if (!c->view[OUT].shape[3])
        return true;
    bool fits = vka__elementwise_plan(c, VKA__map_quantise, OUT, 1, flags);
    uint32_t group = c->key[0].spec[VKA_SPEC_GROUP_SIZE], team = 1;
    while (c->caps->type != VKA_DEVICE_CPU && team < group && team < vka__div_up(params->cols, 4))
        team *= 2;
    c->key[0].spec[VKA_SPEC_TC] = team;
    return fits && vka__rows_plan(c, OUT, 1, group / team);
}

static bool plan(vka__call *c) {
    vka_elementwise_params *params = VKA__PARAMS(c, vka_elementwise_params);
    vka_dtype to = c->view[OUT].dtype;
    if (is_copy(c)) {
        as_bits(&c->view[X]);
        as_bits(&c->view[OUT]);
        return vka__elementwise_plan(c, VKA__map_copy, OUT, vka__div_up(c->view[OUT].shape[3], 4), 0);
    }
    params->scale = (float)c->number[MULTIPLIER];
    params->offset = c->number[OFFSET] != 0 ? (float)c->number[OFFSET] : -0.0f; /* which leaves a -0 as it is */
    uint32_t flags = vka__activation_flag((vka_activation)c->number[ACTIVATION]) |
                     (is_affine(c) ? VKA_FLAG_AFFINE : 0) | (vka__call_has(c, X_SCALE) ? VKA_FLAG_X_SCALE : 0);
    if (to == VKA_I8)
        return plan_rows(c, flags);
    if (vka_dtype_block(to) == 1)
        return vka__elementwise_plan(c, VKA__map, OUT, vka__div_up(c->view[OUT].shape[3], 4), flags);
    bool fits = vka__elementwise_plan(c, VKA__map_quantise, OUT, c->view[OUT].shape[3] / 32, flags);
    c->key[0].spec[VKA_SPEC_TC] = 1;
    return fits;
}

VKA__OPERATION(map, .params_size = sizeof(vka_elementwise_params), .check = check, .plan = plan,
               .explain = vka__elementwise_explain);
