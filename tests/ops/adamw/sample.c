/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/optim.h>

static vka_adamw_desc describe(void) {
    return (vka_adamw_desc){
        .parameter = T2(VKA_F16, 5, 13),
        .gradient = T2(VKA_BF16, 5, 13),
        .master = T2(VKA_F32, 5, 13),
        .first_moment = T2(VKA_F32, 5, 13),
        .second_moment = T2(VKA_F32, 5, 13),
        .grad_scale = T1(VKA_F32, 1),
        .rate_scale = T1(VKA_F32, 1),
        .step.tensor = T1(VKA_I32, 1),
        .learning_rate = 0.01f,
        .beta1 = 0.9f,
        .beta2 = 0.95f,
        .epsilon = 1e-6f,
        .weight_decay = 0.1f,
    };
}

OP_SAMPLE(adamw, sample_few)
