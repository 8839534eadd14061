/* vkattn: losses.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_LOSS_H
#define VKATTN_LOSS_H

#include <vkattn/softmax.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What becomes of the losses of all rows. */
typedef enum vka_reduction {
    VKA_REDUCTION_MEAN = 0, /* of the rows that count; NaN where none does */
    VKA_REDUCTION_SUM = 1,
} vka_reduction;

/* PyTorch's default of what is ignored. */
#define VKA_IGNORE_INDEX (-100)

/* Cross entropy of rows of logits with one class each. `..` are any dimensions, up to three. */
typedef struct vka_cross_entropy_desc {
    vka_tensor logits;  /* required: [.., V]; f32, f16 or bf16; V is 1 .. 2^24  */
    vka_tensor targets; /* required: i32, logits' shape without the last dimension (rank 1: [1]): classes, 0 .. V - 1 */
    vka_tensor loss;  /* optional: f32, as targets: of each row; 0 where it is ignored                                */
    vka_tensor lse;   /* optional: f32, as targets: log(sum of exp(logits)), of ignored rows too                      */
    vka_tensor total; /* optional: f32 [1]: the losses' mean or sum. One of loss, lse and total must be there         */
    vka_reduction reduction;
    float label_smoothing; /* 0 .. 1: the share of the target that all classes have equally */
    int32_t ignore_index;  /* rows with this target do not count; with has_ignore_index, otherwise VKA_IGNORE_INDEX  */
    bool has_ignore_index;
    vka_softmax_path path;
    vka_workspace workspace; /* scratch memory, needed for total; all zero: the recorder's own */
} vka_cross_entropy_desc;

#ifdef __cplusplus
}
#endif

/* loss = lse - logits[target], with label smoothing s: lse - (1 - s) * logits[target] - s * mean(logits) (Szegedy
 * 2016), in f32 and in one pass over the logits, which are not copied (PyTorch's cross_entropy, ONNX
 * SoftmaxCrossEntropyLoss). Differences are taken from the row's largest value: neither offsets nor magnitudes cost
 * accuracy. The total is summed in an order that never changes.
 *
 *     vka_cross_entropy(recorder, &(vka_cross_entropy_desc){.logits = x, .targets = ids, .total = t});
 *
 * Edges: a target that is no class and not ignored makes its row's loss NaN, and the total with it: so a mistake is
 * seen. So do NaN and +inf among the logits of a row that counts. -inf is a class that can't be: its loss is +inf, and
 * so is that of a row of nothing else, whose lse is -inf. Logits of ignored rows are not read, but for lse. No row that
 * counts: a mean of NaN, a sum of 0. Rows = 0 records nothing and succeeds.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (a single row, or the
 *         workspace, is larger than a binding can see); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(cross_entropy, CROSS_ENTROPY)

#endif
