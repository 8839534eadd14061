/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/norm.h>

static vka_layer_norm_desc describe(void) {
    vka_tensor x = T3(VKA_F16, 3, 5, 23);
    return (vka_layer_norm_desc){
        .x = x,
        .out = x,
        .weight = T1(VKA_F32, 23),
        .bias = T1(VKA_F32, 23),
        .residual = x,
        .sum = x,
        .mean = T2(VKA_F32, 3, 5),
        .inv_std = T2(VKA_F32, 3, 5),
    };
}

OP_SAMPLE(layer_norm, NULL)
