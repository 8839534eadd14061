/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/embedding.h>

static vka_embedding_backward_desc describe(void) {
    return (vka_embedding_backward_desc){
        .ids = T2(VKA_I32, 3, 7),
        .d_out = T3(VKA_F16, 3, 7, 13),
        .d_table = T2(VKA_F32, 11, 13),
        .d_position = T2(VKA_F16, 7, 13),
        .scale = 0.5f,
        .accumulate = true,
    };
}

OP_SAMPLE(embedding_backward, sample_few)
