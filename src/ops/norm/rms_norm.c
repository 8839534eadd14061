/* vka_rms_norm.
 * SPDX-License-Identifier: MIT */
#include "ops/norm/norm.h"

enum { ARGS = VKA__NORM_ARGS, NUMBERS = VKA__NORM_NUMBERS };

static const vka__arg args[ARGS] = {VKA__NORM_COMMON_ARGS(vka_rms_norm_desc, inv_rms)};
static const vka__number numbers[NUMBERS] = {VKA__NORM_COMMON_NUMBERS(vka_rms_norm_desc)};
static const vka__limit limits[] = VKA__NORM_LIMITS;

static vka_status check(vka__call *c) {
    if (VKA__DESC(c, vka_rms_norm_desc)->zero_centred && !vka__call_has(c, VKA__NORM_WEIGHT))
        return vka__call_fail(c, VKA_INVALID, "zero_centred", "needs weight");
    return vka__norm_check(c);
}

static bool plan(vka__call *c) {
    bool zero_centred = VKA__DESC(c, vka_rms_norm_desc)->zero_centred;
    return vka__norm_plan(c, VKA__NORM_WEIGHT, VKA_FLAG_RMS | (zero_centred ? VKA_FLAG_ZERO_CENTRED : 0));
}

VKA__OPERATION(rms_norm, .params_size = sizeof(vka_norm_params), .limits = limits, .check = check, .plan = plan,
               .explain = vka__norm_explain);
