/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/capsule.h>

static vka_capsule_routing_desc describe(void) {
    return (vka_capsule_routing_desc){
        .votes = T4(VKA_F16, 3, 70, 5, 7),
        .out = T3(VKA_BF16, 3, 5, 7),
        .bias = T2(VKA_F32, 5, 7),
        .coupling = T3(VKA_F32, 3, 70, 5),
        .iterations = 3,
    };
}

OP_SAMPLE(capsule_routing, NULL)
