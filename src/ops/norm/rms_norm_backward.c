/* vka_rms_norm_backward.
 * SPDX-License-Identifier: MIT */
#include "ops/norm/backward.h"

#define ARGS        VKA__NORM_D_ARGS
#define NUMBERS     VKA__NORM_NUMBERS
#define DESC(field) offsetof(vka_rms_norm_backward_desc, field)

static const vka__arg args[ARGS] = {
    VKA__NORM_D_COMMON_ARGS(vka_rms_norm_backward_desc, inv_rms),
    [VKA__NORM_D_MEAN] = VKA__NORM_D_ABSENT,
    [VKA__NORM_D_BIAS] = VKA__NORM_D_ABSENT,
};
static const vka__number numbers[NUMBERS] = {VKA__NORM_COMMON_NUMBERS(vka_rms_norm_backward_desc)};
static const vka__limit limits[] = VKA__NORM_LIMITS;

static vka_status check(vka__call *c) {
    if (VKA__DESC(c, vka_rms_norm_backward_desc)->zero_centred && !vka__call_has(c, VKA__NORM_D_OF_WEIGHT))
        return vka__call_fail(c, VKA_INVALID, "zero_centred", "needs weight");
    vka_status status = vka__norm_backward_check(c, "inv_rms");
    return status == VKA_OK ? vka__call_check_rows(c, VKA__NORM_X, c->view[VKA__NORM_X].shape) : status;
}

static bool plan(vka__call *c) {
    const vka_rms_norm_backward_desc *d = VKA__DESC(c, vka_rms_norm_backward_desc);
    return vka__norm_backward_plan(
        c, &(vka__norm_backward_kind){.rms = true, .zero_centred = d->zero_centred, .accumulate = d->accumulate});
}

VKA__OPERATION(rms_norm_backward, .params_size = sizeof(vka_norm_backward_params),
               .state_size = sizeof(vka__norm_backward_state), .workspace = DESC(workspace), .limits = limits,
               .check = check, .plan = plan, .dispatch = vka__norm_backward_dispatch,
               .explain = vka__norm_backward_explain);
