/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/elementwise.h>

static vka_map_desc describe(void) {
    return (vka_map_desc){
        .x = T3(VKA_I8, 3, 5, 23),
        .out = T3(VKA_I8, 3, 5, 23),
        .x_scale = T2(VKA_F32, 3, 5),
        .out_scale = T2(VKA_F32, 3, 5),
        .activation = VKA_ACTIVATION_GELU,
        .scale = -0.5f,
        .offset = 1,
    };
}

OP_SAMPLE(map, NULL)
