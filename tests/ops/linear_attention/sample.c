/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/linear_attention.h>

static vka_linear_attention_desc describe(void) {
    return (vka_linear_attention_desc){
        .rule = VKA_LINEAR_ATTENTION_GATED_DELTA,
        .q = T4(VKA_F16, 2, 6, 7, 11),
        .k = T4(VKA_BF16, 2, 1, 7, 11),
        .v = T4(VKA_F32, 2, 3, 7, 13),
        .out = T4(VKA_F16, 2, 6, 7, 13),
        .decay = T4(VKA_F32, 2, 3, 7, 11),
        .beta = T3(VKA_F16, 2, 3, 7),
        .state_in = T4(VKA_F32, 2, 3, 11, 13),
        .state_out = T4(VKA_F32, 2, 3, 11, 13),
    };
}

OP_SAMPLE(linear_attention, NULL)
