/* vka_layer_norm_backward.
 * SPDX-License-Identifier: MIT */
#include "ops/norm/backward.h"

#define ARGS        VKA__NORM_D_ARGS
#define NUMBERS     VKA__NORM_NUMBERS
#define DESC(field) offsetof(vka_layer_norm_backward_desc, field)

static const vka__arg args[ARGS] = {
    VKA__NORM_D_COMMON_ARGS(vka_layer_norm_backward_desc, inv_std),
    [VKA__NORM_D_MEAN] =
        VKA__NORM_D_STATISTIC("mean", "...", DESC(mean), norm.mean, VKA__PER_ROW, VKA_BIND_STATS_MEAN, VKA__BOX),
    [VKA__NORM_D_BIAS] = VKA__NORM_D_PARAMETER("d_bias", DESC(d_bias), VKA_BIND_D_BIAS),
};
static const vka__number numbers[NUMBERS] = {VKA__NORM_COMMON_NUMBERS(vka_layer_norm_backward_desc)};
static const vka__limit limits[] = VKA__NORM_LIMITS;

static vka_status check(vka__call *c) {
    vka_status status = vka__norm_backward_check(c, "inv_std");
    return status == VKA_OK ? vka__call_check_rows(c, VKA__NORM_X, c->view[VKA__NORM_X].shape) : status;
}

static bool plan(vka__call *c) {
    return vka__norm_backward_plan(
        c, &(vka__norm_backward_kind){.accumulate = VKA__DESC(c, vka_layer_norm_backward_desc)->accumulate});
}

VKA__OPERATION(layer_norm_backward, .params_size = sizeof(vka_norm_backward_params),
               .state_size = sizeof(vka__norm_backward_state), .workspace = DESC(workspace), .limits = limits,
               .check = check, .plan = plan, .dispatch = vka__norm_backward_dispatch,
               .explain = vka__norm_backward_explain);
