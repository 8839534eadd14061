/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/cache.h>

static vka_cache_append_desc describe(void) {
    return (vka_cache_append_desc){
        .k = T4(VKA_F16, 2, 3, 2, 20),
        .v = T4(VKA_F32, 2, 3, 2, 32),
        .k_cache = T4(VKA_I8, 2, 3, 9, 20),
        .v_cache = T4(VKA_BF16, 2, 3, 9, 32),
        .k_scale = T3(VKA_F32, 2, 3, 9),
        .lengths.tensor = T1(VKA_I32, 2),
        .new_lengths = T1(VKA_I32, 2),
        .rotate = true,
        .rope = {.cos = T2(VKA_F32, 20, 10), .sin = T2(VKA_F32, 20, 10)},
    };
}

OP_SAMPLE(cache_append, sample_few)
