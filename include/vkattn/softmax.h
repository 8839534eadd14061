/* vkattn: softmax over rows.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_SOFTMAX_H
#define VKATTN_SOFTMAX_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which kernel runs. AUTO is right for everything but tests and measurements. */
typedef enum vka_softmax_path {
    VKA_SOFTMAX_PATH_AUTO = 0,
    VKA_SOFTMAX_PATH_LANE = 1,  /* an invocation owns a row: software drivers                     */
    VKA_SOFTMAX_PATH_GROUP = 2, /* a workgroup owns a row: GPUs, software drivers with gathers    */
} vka_softmax_path;

/* Softmax, or its logarithm, over the last dimension. Any other axis by a view: vka_tensor_transpose(t, axis, last) of
 * x and of out. Kernels read rows of any stride, those whose elements lie side by side the fastest. */
typedef struct vka_softmax_desc {
    vka_tensor x;         /* required: [.., C]; f32, f16 or bf16; rank 1 to 4; C is 1 .. 2^24                        */
    vka_tensor out;       /* required: x's shape; f32, f16 or bf16; may be the very same view as x                   */
    vka_integers lengths; /* optional: [x.shape[0]] (rank 1: [1]): of the rows of x[i] the first lengths[i] columns  */
                          /*   count, 0 .. C; tensors of other values are clamped to that. Absent: all              */
    float scale;          /* of x: 0 = 1, or 1e-37 .. 1e37                                                           */
    vka_softmax_path path;
    bool log; /* the logarithm of the softmax instead                                                                 */
} vka_softmax_desc;

/* The gradient of a softmax, or of its logarithm, over the last dimension; others as there. */
typedef struct vka_softmax_backward_desc {
    vka_tensor out;       /* required: [.., C]; f32, f16 or bf16; rank 1 to 4; C is 1 .. 2^24: what vka_softmax wrote */
    vka_tensor d_out;     /* required: out's shape; f32, f16 or bf16: the gradient of out                            */
    vka_tensor d_x;       /* required: out's shape; f32, f16 or bf16; may be the very same view as out or d_out      */
    vka_integers lengths; /* optional: as vka_softmax had them                                                       */
    float scale;          /* of x: 0 = 1, or 1e-37 .. 1e37                                                           */
    vka_softmax_path path;
    bool log; /* out is a logarithm */
} vka_softmax_backward_desc;

#ifdef __cplusplus
}
#endif

/* out = exp(scale * x - lse), lse = log(sum of exp(scale * x)), over the columns that count, and 0 in the others. With
 * `log`, out = scale * x - lse, and -inf in the others. In f32, in one pass for maximum and sum (Milakov and Gimelshein
 * 2018) and one for the results. The largest value is subtracted before anything is scaled: nothing overflows, whatever
 * finite values and scale there are.
 *
 *     vka_softmax(recorder, &(vka_softmax_desc){.x = logits, .out = probabilities, .scale = 1 / temperature});
 *
 * Edges: columns beyond a length are not read. -inf hides a column as a length does. A row in which nothing is left,
 * because its length is 0 or everything is -inf, is 0, with `log` -inf (elsewhere often NaN), as a row of vka_attention
 * that sees no key. NaN or +inf makes all columns of its row that count NaN. Rows = 0 records nothing and succeeds.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (a single row is larger than
 *         a binding can see); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(softmax, SOFTMAX)

/* d_x = scale * out * (d_out - sum of out * d_out), or with `log` scale * (d_out - exp(out) * sum of d_out), over the
 * columns that count; sums in f32, in an order that never changes. Of x nothing is needed.
 *
 *     vka_softmax_backward(recorder, &(vka_softmax_backward_desc){.out = y, .d_out = dy, .d_x = dx, .scale = s});
 *
 * Edges: columns beyond a length are not read. They, and those where out is 0 (with `log` -inf), have a d_x of 0 and
 * add nothing to the sum, whatever their d_out is. NaN in another column makes all columns of its row that count NaN.
 * Rows = 0 records nothing and succeeds. Records and returns; the rest as vka_softmax. Threads: one thread per recorder
 * at a time. */
VKA_OPERATION_FUNCTIONS(softmax_backward, SOFTMAX_BACKWARD)

#endif
