/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/conv.h>

static vka_causal_conv_desc describe(void) {
    return (vka_causal_conv_desc){
        .x = T3(VKA_F16, 3, 11, 7),
        .out = T3(VKA_BF16, 3, 11, 7),
        .weight = T2(VKA_F32, 7, 5),
        .bias = T1(VKA_F16, 7),
        .state_in = T3(VKA_F16, 3, 4, 7),
        .state_out = T3(VKA_F16, 3, 4, 7),
        .activation = VKA_ACTIVATION_SILU,
    };
}

OP_SAMPLE(causal_conv, NULL)
