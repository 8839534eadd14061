/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/linear_attention.h>

static vka_linear_attention_backward_desc describe(void) {
    return (vka_linear_attention_backward_desc){
        .rule = VKA_LINEAR_ATTENTION_GATED_DELTA,
        .q = T4(VKA_F16, 2, 6, 7, 5),
        .k = T4(VKA_BF16, 2, 3, 7, 5),
        .v = T4(VKA_F16, 2, 3, 7, 11),
        .decay = T4(VKA_F32, 2, 3, 7, 5),
        .beta = T3(VKA_F16, 2, 3, 7),
        .state_in = T4(VKA_F32, 2, 3, 5, 11),
        .d_out = T4(VKA_F16, 2, 6, 7, 11),
        .d_state_out = T4(VKA_F32, 2, 3, 5, 11),
        .d_q = T4(VKA_F16, 2, 6, 7, 5),
        .d_k = T4(VKA_F32, 2, 3, 7, 5),
        .d_v = T4(VKA_BF16, 2, 3, 7, 11),
        .d_decay = T4(VKA_F16, 2, 3, 7, 5),
        .d_beta = T3(VKA_F32, 2, 3, 7),
        .d_state_in = T4(VKA_F32, 2, 3, 5, 11),
    };
}

OP_SAMPLE(linear_attention_backward, NULL)
