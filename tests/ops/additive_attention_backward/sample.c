/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/additive_attention.h>

static vka_additive_attention_backward_desc describe(void) {
    return (vka_additive_attention_backward_desc){
        .q = T4(VKA_F16, 2, 4, 5, 6),
        .k = T4(VKA_F32, 2, 2, 7, 6),
        .v = T4(VKA_F16, 2, 2, 7, 3),
        .score_vector = T2(VKA_F16, 4, 6),
        .mask = T4(VKA_F16, 2, 4, 5, 7),
        .kv_lengths.tensor = T1(VKA_I32, 2),
        .out = T4(VKA_BF16, 2, 4, 5, 3),
        .lse = T3(VKA_F32, 2, 4, 5),
        .d_out = T4(VKA_BF16, 2, 4, 5, 3),
        .d_lse = T3(VKA_F32, 2, 4, 5),
        .d_q = T4(VKA_F16, 2, 4, 5, 6),
        .d_k = T4(VKA_BF16, 2, 2, 7, 6),
        .d_v = T4(VKA_F16, 2, 2, 7, 3),
        .d_score_vector = T2(VKA_F16, 4, 6),
        .d_mask = T4(VKA_F32, 2, 4, 5, 7),
        .causal = true,
        .accumulate = true,
    };
}

OP_SAMPLE(additive_attention_backward, sample_few)
