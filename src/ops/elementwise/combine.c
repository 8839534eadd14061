/* vka_combine.
 * SPDX-License-Identifier: MIT */
#include "ops/elementwise/elementwise.h"

enum { A, B, OUT, ARGS };
enum { KIND, MULTIPLIER, NUMBERS };

static const vka__arg args[ARGS] = {
    [A] = VKA__FIRST(vka_combine_desc, a),
    [B] = VKA__SECOND(vka_combine_desc, b),
    [OUT] = VKA__RESULT(vka_combine_desc, 1u << A | 1u << B),
};
static const vka__number numbers[NUMBERS] = {
    [KIND] = {"kind", offsetof(vka_combine_desc, kind), VKA__NUMBER_ENUM, false, VKA_COMBINE_ADD, VKA_COMBINE_MUL, 0,
              "vka_combine_kind"},
    [MULTIPLIER] = {"scale", offsetof(vka_combine_desc, scale), VKA__NUMBER_F32, true, -VKA__FINITE, VKA__FINITE, 1,
                    NULL},
};

static vka_status check(vka__call *c) {
    return vka__elementwise_check(c, OUT);
}

static bool plan(vka__call *c) {
    VKA__PARAMS(c, vka_elementwise_params)->scale = (float)c->number[MULTIPLIER];
    return vka__elementwise_plan(c, VKA__combine, OUT, vka__div_up(c->view[OUT].shape[3], 4),
                                 c->number[KIND] == VKA_COMBINE_MUL ? VKA_FLAG_MULTIPLY : 0);
}

VKA__OPERATION(combine, .params_size = sizeof(vka_elementwise_params), .check = check, .plan = plan,
               .explain = vka__elementwise_explain);
