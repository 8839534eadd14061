/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/loss.h>

static vka_cross_entropy_backward_desc describe(void) {
    vka_tensor x = T3(VKA_BF16, 3, 5, 23);
    return (vka_cross_entropy_backward_desc){
        .logits = x,
        .targets = T2(VKA_I32, 3, 5),
        .lse = T2(VKA_F32, 3, 5),
        .d_loss = T2(VKA_F32, 3, 5),
        .d_lse = T2(VKA_F32, 3, 5),
        .d_total = T1(VKA_F32, 1),
        .d_logits = x,
        .label_smoothing = 0.1f,
    };
}

OP_SAMPLE(cross_entropy_backward, sample_few)
