/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/linear.h>

static vka_linear_backward_desc describe(void) {
    return (vka_linear_backward_desc){
        .x = T3(VKA_F16, 2, 5, 13),
        .weight = T2(VKA_F16, 11, 13),
        .bias = T1(VKA_F32, 11),
        .z = T3(VKA_F16, 2, 5, 11),
        .d_out = T3(VKA_F16, 2, 5, 11),
        .d_x = T3(VKA_BF16, 2, 5, 13),
        .d_weight = T2(VKA_F32, 11, 13),
        .d_bias = T1(VKA_F16, 11),
        .activation = VKA_ACTIVATION_SILU,
        .accumulate = true,
    };
}

OP_SAMPLE(linear_backward, NULL)
