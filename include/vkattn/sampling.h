/* vkattn: from logits to tokens.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_SAMPLING_H
#define VKATTN_SAMPLING_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The k largest of each row. `..` are any dimensions, up to three; k is the last size of the outputs. */
typedef struct vka_top_k_desc {
    vka_tensor x;       /* required: [.., C]; f32, f16 or bf16; C is 1 .. 2^24                                       */
    vka_tensor values;  /* optional: [.., k]; f32, f16 or bf16; k is 1 .. 1024, and at most C                        */
    vka_tensor indices; /* optional: i32 [.., k]: their columns. One of values and indices must be there            */
} vka_top_k_desc;

#ifdef __cplusplus
}
#endif

/* Values in descending order; of equal ones the lower column comes first, so that there is one result. As in PyTorch
 * NaN is larger than everything else (all NaN are equal), and -0 equals 0; values come out as they are, rounded where
 * their type is narrower than x's.
 *
 *     vka_top_k(recorder, &(vka_top_k_desc){.x = scores, .values = best, .indices = experts});
 *
 * Any strides: another axis is a view, vka_tensor_transpose(t, axis, last) of all tensors. Rows of more than 1024
 * columns are read two to eight times: selected by radix. Rows = 0 records nothing and succeeds.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (a single row is larger than
 *         a binding can see); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(top_k, TOP_K)

#endif
