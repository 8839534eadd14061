/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/elementwise.h>

static vka_glu_desc describe(void) {
    return (vka_glu_desc){
        .gate = T3(VKA_BF16, 3, 5, 23),
        .up = T3(VKA_F16, 3, 5, 23),
        .out = T3(VKA_BF16, 3, 5, 23),
        .activation = VKA_ACTIVATION_SILU,
        .alpha = 1.5f,
    };
}

OP_SAMPLE(glu, NULL)
