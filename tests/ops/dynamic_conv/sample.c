/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/conv.h>

static vka_dynamic_conv_desc describe(void) {
    return (vka_dynamic_conv_desc){
        .x = T3(VKA_F16, 3, 11, 6),
        .out = T3(VKA_BF16, 3, 11, 6),
        .weight = T4(VKA_F32, 3, 11, 2, 5),
        .lengths.tensor = T1(VKA_I32, 3),
        .ahead = 2,
        .renormalise = true,
    };
}

OP_SAMPLE(dynamic_conv, sample_few)
