/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/softmax.h>

static vka_softmax_backward_desc describe(void) {
    vka_tensor x = T3(VKA_F16, 3, 5, 23);
    return (vka_softmax_backward_desc){.out = x, .d_out = x, .d_x = x, .lengths.tensor = T1(VKA_I32, 3), .scale = 0.5f};
}

OP_SAMPLE(softmax_backward, sample_few)
