/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/lsh.h>

static vka_lsh_sort_desc describe(void) {
    return (vka_lsh_sort_desc){
        .x = T4(VKA_F16, 2, 3, 37, 12),
        .rotations = T4(VKA_F32, 2, 3, 12, 4),
        .bucket_count = {8},
        .lengths.tensor = T1(VKA_I32, 2),
        .permutation = T4(VKA_I32, 2, 2, 3, 37),
        .buckets = T4(VKA_I32, 2, 2, 3, 37),
        .keys = T4(VKA_F32, 2, 3, 37, 12),
    };
}

OP_SAMPLE(lsh_sort, sample_few)
