/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/loss.h>

static vka_cross_entropy_desc describe(void) {
    return (vka_cross_entropy_desc){
        .logits = T3(VKA_BF16, 3, 5, 23),
        .targets = T2(VKA_I32, 3, 5),
        .loss = T2(VKA_F32, 3, 5),
        .lse = T2(VKA_F32, 3, 5),
        .total = T1(VKA_F32, 1),
        .label_smoothing = 0.1f,
    };
}

OP_SAMPLE(cross_entropy, sample_few)
