/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/sampling.h>

static vka_top_k_desc describe(void) {
    return (vka_top_k_desc){
        .x = T3(VKA_F16, 3, 5, 23), .values = T3(VKA_BF16, 3, 5, 7), .indices = T3(VKA_I32, 3, 5, 7)};
}

OP_SAMPLE(top_k, NULL)
