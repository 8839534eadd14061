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

/* The gradient of a cross entropy. `..` are any dimensions, up to three. */
typedef struct vka_cross_entropy_backward_desc {
    vka_tensor logits;  /* required: [.., V]; f32, f16 or bf16; V is 1 .. 2^24 */
    vka_tensor targets; /* required: i32, logits' shape without the last dimension (rank 1: [1]): classes, 0 .. V - 1 */
    vka_tensor lse;     /* optional: f32, as targets: as vka_cross_entropy stored it; absent: computed again          */
    vka_tensor d_loss;  /* optional: f32, as targets: the gradient of loss                                            */
    vka_tensor d_lse;   /* optional: f32, as targets: the gradient of lse                                             */
    vka_tensor d_total; /* optional: f32 [1]: the gradient of total. One of d_loss, d_lse and d_total must be there   */
    vka_tensor d_logits;     /* required: logits' shape; f32, f16 or bf16; may be the very same view as logits     */
    vka_reduction reduction; /* of total */
    float label_smoothing;   /* as vka_cross_entropy had it, like what follows */
    int32_t ignore_index;
    bool has_ignore_index;
    vka_softmax_path path;
    vka_workspace workspace; /* scratch memory, needed for the mean; all zero: the recorder's own */
} vka_cross_entropy_backward_desc;

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

/* d_logits = (d + d_lse) * softmax(logits) - d * target, d = d_loss + d_total, which the mean divides by the rows that
 * count; the target is 1 at its class, with label smoothing s: 1 - s there, and s / V everywhere. In f32; logits are
 * read once where lse is given, otherwise twice, and may be overwritten. A given lse is one float: logits far from 0
 * are as exact as it is. What of d_loss, d_lse and d_total is absent is 0.
 *
 *     vka_cross_entropy_backward(recorder, &(vka_cross_entropy_backward_desc){.logits = x, .targets = ids, .lse = lse,
 *                                                                             .d_total = one, .d_logits = dx});
 *
 * Edges: of an ignored row d is 0, and without d_lse its logits are not read. A target that is no class and not ignored
 * makes its row's d_logits NaN, as do NaN and +inf among its logits. A row of nothing but -inf is 0. Rows = 0 records
 * nothing and succeeds. Records and returns; the rest as vka_cross_entropy. Threads: one thread per recorder at a
 * time. */
VKA_OPERATION_FUNCTIONS(cross_entropy_backward, CROSS_ENTROPY_BACKWARD)

#endif
