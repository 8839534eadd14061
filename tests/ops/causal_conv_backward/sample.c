/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/conv.h>

static vka_causal_conv_backward_desc describe(void) {
    return (vka_causal_conv_backward_desc){
        .x = T3(VKA_F16, 3, 11, 7),
        .weight = T2(VKA_F32, 7, 5),
        .bias = T1(VKA_F16, 7),
        .state_in = T3(VKA_F16, 3, 4, 7),
        .d_out = T3(VKA_BF16, 3, 11, 7),
        .d_state_out = T3(VKA_F32, 3, 4, 7),
        .d_x = T3(VKA_F16, 3, 11, 7),
        .d_weight = T2(VKA_F32, 7, 5),
        .d_bias = T1(VKA_BF16, 7),
        .d_state_in = T3(VKA_F16, 3, 4, 7),
        .activation = VKA_ACTIVATION_SILU,
        .accumulate = true,
    };
}

OP_SAMPLE(causal_conv_backward, NULL)
