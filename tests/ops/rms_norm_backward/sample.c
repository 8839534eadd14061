/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/norm.h>

static vka_rms_norm_backward_desc describe(void) {
    vka_tensor x = T3(VKA_F16, 3, 5, 23);
    return (vka_rms_norm_backward_desc){
        .x = x,
        .d_out = x,
        .weight = T1(VKA_F32, 23),
        .residual = x,
        .inv_rms = T2(VKA_F32, 3, 5),
        .d_sum = x,
        .d_x = x,
        .d_weight = T1(VKA_F32, 23),
    };
}

OP_SAMPLE(rms_norm_backward, NULL)
