/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/optim.h>

static vka_gradient_norm_desc describe(void) {
    return (vka_gradient_norm_desc){
        .gradients = {T2(VKA_F16, 5, 13), T1(VKA_F32, 7), T3(VKA_BF16, 2, 3, 4)},
        .sum = T1(VKA_F32, 1),
        .norm = T1(VKA_F32, 1),
        .grad_scale = T1(VKA_F32, 1),
        .loss_scale = T1(VKA_F32, 1),
        .finite_steps = T1(VKA_I32, 1),
        .step = T1(VKA_I32, 1),
        .max_norm = 1,
        .growth = 2,
        .backoff = 0.5f,
        .interval = 3,
    };
}

OP_SAMPLE(gradient_norm, sample_few)
