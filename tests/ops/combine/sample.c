/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/elementwise.h>

static vka_combine_desc describe(void) {
    return (vka_combine_desc){
        .a = T3(VKA_BF16, 3, 5, 23),
        .b = T2(VKA_F32, 5, 23),
        .out = T3(VKA_BF16, 3, 5, 23),
        .kind = VKA_COMBINE_ADD,
        .scale = -0.5f,
    };
}

OP_SAMPLE(combine, NULL)
