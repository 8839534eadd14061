/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/elementwise.h>

static vka_map_backward_desc describe(void) {
    return (vka_map_backward_desc){
        .x = T3(VKA_F16, 3, 5, 23),
        .d_out = T3(VKA_BF16, 3, 5, 23),
        .d_x = T3(VKA_BF16, 3, 5, 23),
        .activation = VKA_ACTIVATION_GELU,
        .scale = 0.75f,
        .offset = -0.25f,
    };
}

OP_SAMPLE(map_backward, NULL)
