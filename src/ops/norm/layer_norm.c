/* vka_layer_norm.
 * SPDX-License-Identifier: MIT */
#include "ops/norm/norm.h"

enum { BIAS = VKA__NORM_ARGS, MEAN, ARGS, NUMBERS = VKA__NORM_NUMBERS };

#define DESC(field) offsetof(vka_layer_norm_desc, field)

static const vka__arg args[ARGS] = {
    VKA__NORM_COMMON_ARGS(vka_layer_norm_desc, inv_std),
    [BIAS] = VKA__NORM_PARAMETER("bias", DESC(bias), VKA_BIND_BIAS),
    [MEAN] = VKA__NORM_STATISTIC("mean", DESC(mean), mean, VKA_BIND_STATS_MEAN),
};
static const vka__number numbers[NUMBERS] = {VKA__NORM_COMMON_NUMBERS(vka_layer_norm_desc)};
static const vka__limit limits[] = VKA__NORM_LIMITS;

static vka_status check(vka__call *c) {
    const vka__view *weight = &c->view[VKA__NORM_WEIGHT], *bias = &c->view[BIAS];
    if (weight->present && bias->present && bias->dtype != weight->dtype)
        return vka__call_fail(c, VKA_INVALID, "bias", "dtype is %s, but must be that of weight",
                              vka__dtype_name(bias->dtype));
    return vka__norm_check(c);
}

static bool plan(vka__call *c) {
    return vka__norm_plan(c, BIAS,
                          (vka__call_has(c, BIAS) ? VKA_FLAG_BIAS : 0) | (vka__call_has(c, MEAN) ? VKA_FLAG_MEAN : 0));
}

VKA__OPERATION(layer_norm, .params_size = sizeof(vka_norm_params), .limits = limits, .check = check, .plan = plan,
               .explain = vka__norm_explain);
