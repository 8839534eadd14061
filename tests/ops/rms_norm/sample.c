/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/norm.h>

static vka_rms_norm_desc describe(void) {
    vka_tensor x = T3(VKA_BF16, 3, 5, 23);
    return (vka_rms_norm_desc){
        .x = x,
        .out = x,
        .weight = T1(VKA_F32, 23),
        .residual = x,
        .sum = x,
        .inv_rms = T2(VKA_F32, 3, 5),
        .zero_centred = true,
    };
}

OP_SAMPLE(rms_norm, NULL)
