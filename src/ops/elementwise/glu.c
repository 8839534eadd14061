/* vka_glu.
 * SPDX-License-Identifier: MIT */
#include "ops/elementwise/elementwise.h"

enum { GATE, UP, OUT, ARGS };
enum { ACTIVATION, ALPHA, NUMBERS };

static const vka__arg args[ARGS] = {
    [GATE] = VKA__FIRST(vka_glu_desc, gate),
    [UP] = VKA__SECOND(vka_glu_desc, up),
    [OUT] = VKA__RESULT(vka_glu_desc, 1u << GATE | 1u << UP),
};
static const vka__number numbers[NUMBERS] = {
    [ACTIVATION] = VKA__ACTIVATION_NUMBER(vka_glu_desc),
    [ALPHA] = {"alpha", offsetof(vka_glu_desc, alpha), VKA__NUMBER_F32, true, -VKA__FINITE, VKA__FINITE, 1, NULL},
};

static vka_status check(vka__call *c) {
    vka_status status = vka__check_alpha(c, ALPHA, ACTIVATION);
    return status == VKA_OK ? vka__elementwise_check(c, OUT) : status;
}

static bool plan(vka__call *c) {
    VKA__PARAMS(c, vka_elementwise_params)->scale = (float)c->number[ALPHA];
    return vka__elementwise_plan(c, VKA__glu, OUT, vka__div_up(c->view[OUT].shape[3], 4),
                                 vka__activation_flag((vka_activation)c->number[ACTIVATION]));
}

VKA__OPERATION(glu, .params_size = sizeof(vka_elementwise_params), .check = check, .plan = plan,
               .explain = vka__elementwise_explain);
