/* vka_group_norm_backward.
 * SPDX-License-Identifier: MIT */
#include "ops/norm/backward.h"

#define ARGS        VKA__NORM_D_ARGS
#define NUMBERS     VKA__NORM_NUMBERS
#define DESC(field) offsetof(vka_group_norm_backward_desc, field)
#define ROWS(name, desc, param, in_place, flags, access, binding)                                                      \
    VKA__NORM_D_ROWS(name, "B C P", DESC(desc), param, in_place, flags, access, binding, VKA__CUSTOM)
#define STATISTIC(name, field, param, binding)                                                                         \
    VKA__NORM_D_STATISTIC(name, "B G", DESC(field), param, 0, binding, VKA__CUSTOM)

static const vka__arg args[ARGS] = {
    [VKA__NORM_X] = ROWS("x", x, norm.x, 0, VKA__REQUIRED, VKA__READ, VKA_BIND_X),
    [VKA__NORM_D_OUT] = ROWS("d_out", d_out, gradient.d_out, 0, VKA__REQUIRED, VKA__READ, VKA_BIND_NORM_D_OUT),
    [VKA__NORM_D_OF_WEIGHT] = VKA__NORM_PARAMETER("weight", DESC(weight), VKA_BIND_WEIGHT),
    [VKA__NORM_D_RESIDUAL] = VKA__NORM_D_ABSENT,
    [VKA__NORM_D_MEAN] = STATISTIC("mean", mean, norm.mean, VKA_BIND_STATS_MEAN),
    [VKA__NORM_D_INVERSE] = STATISTIC("inv_std", inv_std, norm.inv_std, VKA_BIND_STATS_INV),
    [VKA__NORM_D_SUM] = VKA__NORM_D_ABSENT,
    [VKA__NORM_D_X] =
        ROWS("d_x", d_x, gradient.d_x, 1u << VKA__NORM_X | 1u << VKA__NORM_D_OUT, 0, VKA__WRITE, VKA_BIND_NORM_D_X),
    [VKA__NORM_D_WEIGHT] = VKA__NORM_D_PARAMETER("d_weight", DESC(d_weight), VKA_BIND_D_WEIGHT),
    [VKA__NORM_D_BIAS] = VKA__NORM_D_PARAMETER("d_bias", DESC(d_bias), VKA_BIND_D_BIAS),
};
static const vka__number numbers[NUMBERS] = {VKA__NORM_COMMON_NUMBERS(vka_group_norm_backward_desc)};
static const vka__limit limits[] = VKA__GROUPS_LIMITS;

static vka_status sizes(vka__call *c) {
    return vka__groups_sizes(c, VKA__DESC(c, vka_group_norm_backward_desc)->groups);
}

static vka_status check(vka__call *c) {
    vka_status status = vka__groups_check(c);
    if (status == VKA_OK)
        status = vka__norm_backward_check(c, "inv_std");
    const uint32_t positions[] = {1, vka__call_letter(c, 'B'), vka__call_letter(c, 'P')};
    return status == VKA_OK ? vka__call_check_rows(c, VKA__NORM_X, positions) : status;
}

static bool plan(vka__call *c) {
    return vka__norm_backward_plan(
        c, &(vka__norm_backward_kind){.groups = true,
                                      .accumulate = VKA__DESC(c, vka_group_norm_backward_desc)->accumulate});
}

VKA__OPERATION(group_norm_backward, .params_size = sizeof(vka_norm_backward_params),
               .state_size = sizeof(vka__norm_backward_state), .workspace = DESC(workspace), .limits = limits,
               .sizes = sizes, .check = check, .plan = plan, .dispatch = vka__norm_backward_dispatch,
               .explain = vka__norm_backward_explain);
