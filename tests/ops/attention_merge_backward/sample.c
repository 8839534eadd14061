/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/merge.h>

static vka_attention_merge_backward_desc describe(void) {
    return (vka_attention_merge_backward_desc){.a = T4(VKA_F32, 2, 3, 5, 24),
                                               .b = T4(VKA_F16, 2, 3, 5, 24),
                                               .a_lse = T3(VKA_F32, 2, 3, 5),
                                               .b_lse = T3(VKA_F32, 2, 3, 5),
                                               .d_out = T4(VKA_BF16, 2, 3, 5, 24),
                                               .d_lse = T3(VKA_F32, 2, 3, 5),
                                               .d_a = T4(VKA_F32, 2, 3, 5, 24),
                                               .d_a_lse = T3(VKA_F32, 2, 3, 5)};
}

OP_SAMPLE(attention_merge_backward, NULL)
