/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/merge.h>

static vka_attention_merge_desc describe(void) {
    return (vka_attention_merge_desc){
        .a = T4(VKA_F16, 2, 3, 5, 13),
        .b = T4(VKA_F32, 2, 3, 5, 13),
        .a_lse = T3(VKA_F32, 2, 3, 5),
        .b_lse = T3(VKA_F32, 2, 3, 5),
        .out = T4(VKA_BF16, 2, 3, 5, 13),
        .lse = T3(VKA_F32, 2, 3, 5),
    };
}

OP_SAMPLE(attention_merge, NULL)
