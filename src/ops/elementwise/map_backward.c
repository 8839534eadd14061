/* vka_map_backward.
 * SPDX-License-Identifier: MIT */
#include "ops/elementwise/elementwise.h"

enum { X, D_OUT, D_X, ARGS };
enum { ACTIVATION, MULTIPLIER, OFFSET, NUMBERS };

#define DESC(field)    offsetof(vka_map_backward_desc, field)
#define STRIDES(field) offsetof(vka_elementwise_params, field)

static const vka__arg args[ARGS] = {
    [X] = {"x", "... C", DESC(x), STRIDES(first), VKA__FLOATS, .flags = VKA__REQUIRED, .access = VKA__READ,
           .binding = VKA_BIND_FIRST},
    [D_OUT] = {"d_out", "... C", DESC(d_out), STRIDES(second), VKA__FLOATS, .flags = VKA__REQUIRED, .access = VKA__READ,
               .binding = VKA_BIND_SECOND},
    [D_X] = {"d_x", "... C", DESC(d_x), STRIDES(out_), VKA__FLOATS, 1u << X | 1u << D_OUT, .flags = VKA__REQUIRED,
             .access = VKA__WRITE, .binding = VKA_BIND_RESULT},
};
static const vka__number numbers[NUMBERS] = {
    [ACTIVATION] = VKA__ACTIVATION_NUMBER(vka_map_backward_desc),
    [MULTIPLIER] = {"scale", DESC(scale), VKA__NUMBER_F32, true, -VKA__FINITE, VKA__FINITE, 1, NULL},
    [OFFSET] = {"offset", DESC(offset), VKA__NUMBER_F32, false, -VKA__FINITE, VKA__FINITE, 0, NULL},
};

static vka_status check(vka__call *c) {
    return vka__call_check_rows(c, D_X, c->view[D_X].shape);
}

static bool plan(vka__call *c) {
    vka_elementwise_params *params = VKA__PARAMS(c, vka_elementwise_params);
    bool affine = c->number[MULTIPLIER] != 1 || c->number[OFFSET] != 0;
    params->scale = (float)c->number[MULTIPLIER];
    params->offset = (float)c->number[OFFSET];
    return vka__elementwise_plan(c, VKA__map_backward, D_X, vka__div_up(c->view[D_X].shape[3], 4),
                                 vka__activation_flag((vka_activation)c->number[ACTIVATION]) |
                                     (affine ? VKA_FLAG_AFFINE : 0));
}

VKA__OPERATION(map_backward, .params_size = sizeof(vka_elementwise_params), .check = check, .plan = plan,
               .explain = vka__elementwise_explain);
