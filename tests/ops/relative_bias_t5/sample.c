/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/relative.h>

static vka_relative_bias_t5_desc describe(void) {
    return (vka_relative_bias_t5_desc){
        .table = T2(VKA_F16, 32, 3), .out = T2(VKA_F32, 3, 41), .relative_zero = 20, .bidirectional = true};
}

OP_SAMPLE(relative_bias_t5, NULL)
