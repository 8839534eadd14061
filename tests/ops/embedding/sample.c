/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/embedding.h>

static vka_embedding_desc describe(void) {
    return (vka_embedding_desc){
        .table = T2(VKA_Q4_0, 11, 64),
        .ids = T2(VKA_I32, 3, 5),
        .out = T3(VKA_BF16, 3, 5, 64),
        .position = T2(VKA_F32, 5, 64),
        .scale = -0.5f,
    };
}

static int32_t id(const char *name, uint32_t index) {
    (void)name;
    return (int32_t)index - 2; /* also such that the table lacks */
}

OP_SAMPLE(embedding, id)
