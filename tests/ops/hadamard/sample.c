/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/hadamard.h>

static vka_hadamard_desc describe(void) {
    vka_tensor x = T3(VKA_F16, 3, 5, 24);
    return (vka_hadamard_desc){.x = x, .out = x, .block = 4};
}

OP_SAMPLE(hadamard, NULL)
