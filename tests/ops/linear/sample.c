/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/linear.h>

static vka_linear_desc describe(void) {
    return (vka_linear_desc){
        .x = T3(VKA_F16, 3, 5, 64),
        .weight = T3(VKA_F16, 3, 23, 64),
        .bias = T1(VKA_F32, 23),
        .residual = T3(VKA_BF16, 3, 5, 23),
        .out = T3(VKA_BF16, 3, 5, 23),
        .activation = VKA_ACTIVATION_SILU,
    };
}

OP_SAMPLE(linear, NULL)
