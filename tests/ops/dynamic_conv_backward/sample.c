/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/conv.h>

static vka_dynamic_conv_backward_desc describe(void) {
    return (vka_dynamic_conv_backward_desc){
        .x = T3(VKA_F16, 3, 11, 6),
        .weight = T4(VKA_F32, 3, 11, 2, 5),
        .lengths.tensor = T1(VKA_I32, 3),
        .d_out = T3(VKA_BF16, 3, 11, 6),
        .d_x = T3(VKA_F16, 3, 11, 6),
        .d_weight = T4(VKA_BF16, 3, 11, 2, 5),
        .ahead = 2,
        .accumulate = true,
    };
}

OP_SAMPLE(dynamic_conv_backward, sample_few)
