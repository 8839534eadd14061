/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/softmax.h>

static vka_softmax_desc describe(void) {
    vka_tensor x = T3(VKA_F16, 3, 5, 23);
    return (vka_softmax_desc){.x = x, .out = x, .lengths.tensor = T1(VKA_I32, 3), .scale = 0.5f};
}

OP_SAMPLE(softmax, sample_few)
