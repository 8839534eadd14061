/* vka_adamw: an operation on elements of five tensors.
 * SPDX-License-Identifier: MIT */
#include <vkattn/optim.h>

#include <math.h>

#include "ops/elementwise/elementwise.h"

enum { PARAMETER, GRADIENT, MASTER, FIRST_MOMENT, SECOND_MOMENT, GRAD_SCALE, RATE_SCALE, STEP, ARGS };
enum { LEARNING_RATE, BETA1, BETA2, EPSILON, WEIGHT_DECAY, NUMBERS };

#define DESC(field)    offsetof(vka_adamw_desc, field)
#define STRIDES(field) offsetof(vka_elementwise_params, field)
#define F32            VKA__TYPE(VKA_F32)
#define ELEMENTS(field, to, types_, f, access_, binding_)                                                              \
    { #field, "... C", DESC(field), STRIDES(to), types_, .flags = f, .access = access_, .binding = binding_ }
#define SCALAR(field, binding_)                                                                                        \
    { #field, "1", DESC(field), VKA__NONE, F32, .access = VKA__READ, .binding = binding_, .extent = VKA__ALL }

static const vka__arg args[ARGS] = {
    [PARAMETER] = ELEMENTS(parameter, first, VKA__FLOATS, VKA__REQUIRED, VKA__READ_WRITE, VKA_BIND_FIRST),
    [GRADIENT] = ELEMENTS(gradient, second, VKA__FLOATS, VKA__REQUIRED, VKA__READ, VKA_BIND_SECOND),
    [MASTER] = ELEMENTS(master, out_, F32, 0, VKA__READ_WRITE, VKA_BIND_RESULT),
    [FIRST_MOMENT] = ELEMENTS(first_moment, third, F32, VKA__REQUIRED, VKA__READ_WRITE, VKA_BIND_THIRD),
    [SECOND_MOMENT] = ELEMENTS(second_moment, fourth, F32, VKA__REQUIRED, VKA__READ_WRITE, VKA_BIND_FOURTH),
    [GRAD_SCALE] = SCALAR(grad_scale, VKA_BIND_GRAD_SCALE),
    [RATE_SCALE] = SCALAR(rate_scale, VKA_BIND_RATE_SCALE),
    [STEP] = {"step", "S", DESC(step), VKA__NONE, VKA__TYPE(VKA_I32), .flags = VKA__LIST, .access = VKA__READ,
              .binding = VKA_BIND_STEP, .extent = VKA__ALL},
};
static const vka__limit limits[] = {{'S', 1, 1}, {0}};
static const vka__number numbers[NUMBERS] = {
    [LEARNING_RATE] = {"learning_rate", DESC(learning_rate), VKA__NUMBER_F32, false, 0, VKA__FINITE, 0, NULL},
    [BETA1] = {"beta1", DESC(beta1), VKA__NUMBER_F32, true, 0, VKA__BELOW_ONE, (double)0.9f, NULL},
    [BETA2] = {"beta2", DESC(beta2), VKA__NUMBER_F32, true, 0, VKA__BELOW_ONE, (double)0.999f, NULL},
    [EPSILON] = {"epsilon", DESC(epsilon), VKA__NUMBER_F32, true, 1e-30, VKA__FINITE, 1e-8, NULL},
    [WEIGHT_DECAY] = {"weight_decay", DESC(weight_decay), VKA__NUMBER_F32, false, 0, VKA__FINITE, 0, NULL},
};

/* Host values are as many as this letter says. */
static vka_status sizes(vka__call *c) {
    if (VKA__DESC(c, vka_adamw_desc)->step.values)
        vka__call_bind_letter(c, 'S', 1);
    return VKA_OK;
}

static vka_status check(vka__call *c) {
    if (!vka__call_has(c, STEP))
        return vka__call_fail(c, VKA_INVALID, "step", "is required: a host value or a tensor");
    if (c->view[PARAMETER].dtype != VKA_F32 && !vka__call_has(c, MASTER))
        return vka__call_fail(c, VKA_INVALID, "master", "is required with a parameter of %s, which loses small steps",
                              vka__dtype_name(c->view[PARAMETER].dtype));
    return vka__call_check_rows(c, PARAMETER, c->view[PARAMETER].shape);
}

static bool plan(vka__call *c) {
    vka_elementwise_params *p = VKA__PARAMS(c, vka_elementwise_params);
    p->rate = (float)c->number[LEARNING_RATE];
    p->decay = (float)c->number[WEIGHT_DECAY];
    p->epsilon = (float)c->number[EPSILON];
    p->beta1 = (float)c->number[BETA1];
    p->beta2 = (float)c->number[BETA2];
    p->log_beta1 = (float)log(c->number[BETA1]);
    p->log_beta2 = (float)log(c->number[BETA2]);
    uint32_t flags = (vka__call_has(c, GRAD_SCALE) ? VKA_FLAG_GRAD_SCALE : 0) |
                     (vka__call_has(c, RATE_SCALE) ? VKA_FLAG_RATE_SCALE : 0);
    return vka__elementwise_plan(c, VKA__adamw, PARAMETER, vka__div_up(c->view[PARAMETER].shape[3], 4), flags);
}

VKA__OPERATION(adamw, .params_size = sizeof(vka_elementwise_params), .limits = limits, .sizes = sizes, .check = check,
               .plan = plan, .explain = vka__elementwise_explain);
