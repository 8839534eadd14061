/* One legal call of every operation, with all tensors that go together and sizes that are no round numbers.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_SAMPLES_H
#define VKATTN_TEST_SAMPLES_H

#include "op/op.h"

typedef struct op_sample {
    const vka__op *op;
    /* Fills in a zeroed description, without buffers. */
    void (*describe)(void *desc);
    /* What element `index` of a tensor of integers is; NULL: there is none. */
    int32_t (*integer)(const char *name, uint32_t index);
} op_sample;

#define VKA_OP(name, NAME) extern const op_sample sample_##name;
#include "ops.def"
#undef VKA_OP

#endif
