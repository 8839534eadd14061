/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/sampling.h>

static vka_sample_desc describe(void) {
    return (vka_sample_desc){
        .logits = T2(VKA_F16, 5, 23),
        .ids = T1(VKA_I32, 5),
        .log_probs = T1(VKA_F32, 5),
        .history = T2(VKA_I32, 5, 9),
        .lengths.tensor = T1(VKA_I32, 5),
        .new_lengths = T1(VKA_I32, 5),
        .append = true,
        .temperature = 0.8f,
        .top_k = 12,
        .top_p = 0.9f,
        .min_p = 0.01f,
        .repetition_penalty = 1.2f,
        .penalty_window = 2,
        .seed = 7,
    };
}

OP_SAMPLE(sample, sample_few)
