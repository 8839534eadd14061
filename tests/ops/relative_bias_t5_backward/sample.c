/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/relative.h>

static vka_relative_bias_t5_backward_desc describe(void) {
    return (vka_relative_bias_t5_backward_desc){
        .d_out = T2(VKA_F32, 3, 41), .d_table = T2(VKA_F16, 32, 3), .relative_zero = 20, .bidirectional = true};
}

OP_SAMPLE(relative_bias_t5_backward, NULL)
