/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/rope.h>

static vka_rope_desc describe(void) {
    return (vka_rope_desc){
        .x = T4(VKA_F16, 2, 3, 5, 18),
        .out = T4(VKA_F32, 2, 3, 5, 18),
        .row_positions = T2(VKA_I32, 2, 5),
        .options = {.dims = 14, .cos = T2(VKA_F32, 20, 7), .sin = T2(VKA_F32, 20, 7)},
    };
}

OP_SAMPLE(rope, sample_few)
