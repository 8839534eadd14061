/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/additive_attention.h>

static vka_additive_attention_desc describe(void) {
    return (vka_additive_attention_desc){
        .q = T4(VKA_F16, 2, 6, 7, 11),
        .k = T4(VKA_BF16, 2, 3, 9, 11),
        .v = T4(VKA_F32, 2, 3, 9, 13),
        .score_vector = T2(VKA_F32, 6, 11),
        .out = T4(VKA_F16, 2, 6, 7, 13),
        .lse = T3(VKA_F32, 2, 6, 7),
        .mask = T4(VKA_F16, 2, 1, 7, 9),
        .kv_lengths.tensor = T1(VKA_I32, 2),
        .causal = true,
    };
}

OP_SAMPLE(additive_attention, sample_few)
