/* vka_glu_backward.
 * SPDX-License-Identifier: MIT */
#include "ops/elementwise/elementwise.h"

enum { GATE, UP, D_OUT, D_GATE, D_UP, ARGS };
enum { ACTIVATION, ALPHA, NUMBERS };

#define DESC(field)    offsetof(vka_glu_backward_desc, field)
#define STRIDES(field) offsetof(vka_elementwise_params, field)
#define INPUT(field, to, binding_)                                                                                     \
    {                                                                                                                  \
#        field, "... C", DESC(field), STRIDES(to), VKA__FLOATS, .flags = VKA__REQUIRED, .access = VKA__READ,           \
                                                                .binding = binding_                                    \
    }
#define GRADIENT(field, to, binding_)                                                                                  \
    {                                                                                                                  \
#        field, "... C", DESC(field), STRIDES(to), VKA__FLOATS, 1u << GATE | 1u << UP | 1u << D_OUT,                   \
            .access = VKA__WRITE, .binding = binding_                                                                  \
    }

static const vka__arg args[ARGS] = {
    [GATE] = INPUT(gate, first, VKA_BIND_FIRST),      [UP] = INPUT(up, second, VKA_BIND_SECOND),
    [D_OUT] = INPUT(d_out, third, VKA_BIND_THIRD),    [D_GATE] = GRADIENT(d_gate, out_, VKA_BIND_RESULT),
    [D_UP] = GRADIENT(d_up, fourth, VKA_BIND_FOURTH),
};
static const vka__number numbers[NUMBERS] = {
    [ACTIVATION] = VKA__ACTIVATION_NUMBER(vka_glu_backward_desc),
    [ALPHA] = {"alpha", DESC(alpha), VKA__NUMBER_F32, true, -VKA__FINITE, VKA__FINITE, 1, NULL},
};

static vka_status check(vka__call *c) {
    if (!vka__call_has(c, D_GATE) && !vka__call_has(c, D_UP))
        return vka__call_fail(c, VKA_INVALID, "d_gate", "is absent, and so is d_up: there is no result");
    vka_status status = vka__check_alpha(c, ALPHA, ACTIVATION);
    return status == VKA_OK ? vka__call_check_rows(c, D_OUT, c->view[D_OUT].shape) : status;
}

static bool plan(vka__call *c) {
    VKA__PARAMS(c, vka_elementwise_params)->scale = (float)c->number[ALPHA];
    return vka__elementwise_plan(c, VKA__glu_backward, D_OUT, vka__div_up(c->view[D_OUT].shape[3], 4),
                                 vka__activation_flag((vka_activation)c->number[ACTIVATION]));
}

VKA__OPERATION(glu_backward, .params_size = sizeof(vka_elementwise_params), .check = check, .plan = plan,
               .explain = vka__elementwise_explain);
