/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/relative.h>

static vka_relative_bias_span_desc describe(void) {
    return (vka_relative_bias_span_desc){
        .spans = T1(VKA_F32, 3), .out = T2(VKA_F32, 3, 41), .relative_zero = 40, .ramp = 5};
}

OP_SAMPLE(relative_bias_span, NULL)
