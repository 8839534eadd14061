/* One legal call of every operation, with all tensors that go together and sizes that are no round numbers: in
 * ops/<operation>/sample.c, which CMake finds. VKA_OPERATIONS says which there are.
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

#define X(NAME, value, name) extern const op_sample sample_##name;
VKA_OPERATIONS(X)
#undef X

/* More of attention, for tensors that don't go together with those of its sample. */
extern const op_sample sample_attention_cosine, sample_attention_relative_keys, sample_attention_key_lists;
extern const op_sample sample_attention_backward_cosine, sample_attention_backward_relative_keys,
    sample_attention_backward_key_lists;

/* Defines the sample of vka_<name>. Above it stands
 *     static vka_<name>_desc describe(void) */
#define OP_SAMPLE(name, integer)                                                                                       \
    static void describe_into(void *desc) {                                                                            \
        *(vka_##name##_desc *)desc = describe();                                                                       \
    }                                                                                                                  \
    const op_sample sample_##name = {&vka__op_##name, describe_into, integer};

/* Small numbers, all of them legal lengths, positions and pages here. */
int32_t sample_few(const char *name, uint32_t index);

/* Tensors without a buffer. */
#define T1(dtype, ...) vka_tensor_1d(NULL, dtype, __VA_ARGS__)
#define T2(dtype, ...) vka_tensor_2d(NULL, dtype, __VA_ARGS__)
#define T3(dtype, ...) vka_tensor_3d(NULL, dtype, __VA_ARGS__)
#define T4(dtype, ...) vka_tensor_4d(NULL, dtype, __VA_ARGS__)

#endif
