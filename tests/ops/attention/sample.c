/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/attention.h>

static vka_attention_desc describe(void) {
    return (vka_attention_desc){
        .q = T4(VKA_F16, 2, 4, 5, 24),
        .k = T4(VKA_I8, 2, 2, 11, 24),
        .v = T4(VKA_F32, 2, 2, 11, 9),
        .out = T4(VKA_F32, 2, 4, 5, 9),
        .lse = T3(VKA_F32, 2, 4, 5),
        .softcap = 3,
        .mask = T4(VKA_F32, 2, 1, 5, 11),
        .alibi_slopes = T1(VKA_F32, 4),
        .relative_bias = T2(VKA_F32, 4, 7),
        .relative_zero = 3,
        .sinks = T1(VKA_F32, 4),
        .causal = true,
        .kv_lengths.tensor = T1(VKA_I32, 2),
        .k_scale = T3(VKA_F32, 2, 2, 11),
        .dropout = 0.1f,
        .stats = T4(VKA_F32, 2, 4, 5, 2),
        .scores = T4(VKA_F32, 2, 4, 5, 11),
    };
}

OP_SAMPLE(attention, sample_few)
