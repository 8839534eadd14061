/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/relative.h>

static vka_relative_bias_span_backward_desc describe(void) {
    return (vka_relative_bias_span_backward_desc){.spans = T1(VKA_F32, 3),
                                                  .d_out = T2(VKA_F32, 3, 41),
                                                  .d_spans = T1(VKA_F32, 3),
                                                  .relative_zero = 40,
                                                  .ramp = 8};
}

OP_SAMPLE(relative_bias_span_backward, NULL)
