/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/elementwise.h>

static vka_glu_backward_desc describe(void) {
    return (vka_glu_backward_desc){
        .gate = T3(VKA_BF16, 3, 5, 23),
        .up = T3(VKA_F16, 3, 5, 23),
        .d_out = T3(VKA_F32, 3, 5, 23),
        .d_gate = T3(VKA_BF16, 3, 5, 23),
        .d_up = T3(VKA_F16, 3, 5, 23),
        .activation = VKA_ACTIVATION_SILU,
        .alpha = 1.5f,
    };
}

OP_SAMPLE(glu_backward, NULL)
