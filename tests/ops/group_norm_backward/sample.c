/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/norm.h>

static vka_group_norm_backward_desc describe(void) {
    vka_tensor x = T3(VKA_BF16, 3, 6, 11);
    return (vka_group_norm_backward_desc){
        .x = x,
        .d_out = x,
        .weight = T1(VKA_F32, 6),
        .mean = T2(VKA_F32, 3, 2),
        .inv_std = T2(VKA_F32, 3, 2),
        .d_x = x,
        .d_weight = T1(VKA_F32, 6),
        .d_bias = T1(VKA_F16, 6),
        .groups = 2,
    };
}

OP_SAMPLE(group_norm_backward, NULL)
