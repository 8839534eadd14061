/* vkattn: merging attentions of the same queries over different keys.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_MERGE_H
#define VKATTN_MERGE_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One merge. B batch, Hq query heads, Nq queries, Dv channels: the shapes of an attention's out and lse. */
typedef struct vka_attention_merge_desc {
    vka_tensor a;     /* required: [B, Hq, Nq, Dv]: out over some keys; f32, f16 or bf16; Dv is at least 1         */
    vka_tensor b;     /* required: a's shape: out over other keys; f32, f16 or bf16                                */
    vka_tensor a_lse; /* required: f32 [B, Hq, Nq]: a's lse, as vka_attention gives it (natural log)               */
    vka_tensor b_lse; /* required: f32 [B, Hq, Nq]: b's                                                            */
    vka_tensor out;   /* required: a's shape; f32, f16 or bf16; may be the very same view as a or b                */
    vka_tensor lse;   /* optional: f32 [B, Hq, Nq]; may be the very same view as a_lse or b_lse                    */
} vka_attention_merge_desc;

/* The gradient of one merge with respect to a and a_lse. Of b it is that of the merge with the parts swapped. */
typedef struct vka_attention_merge_backward_desc {
    vka_tensor a, b;         /* required: [B, Hq, Nq, Dv]: as vka_attention_merge had them                          */
    vka_tensor a_lse, b_lse; /* required: f32 [B, Hq, Nq]                                                          */
    vka_tensor d_out;        /* required: a's shape; f32, f16 or bf16: of its out                                  */
    vka_tensor d_lse;        /* optional: f32 [B, Hq, Nq]: of its lse, where the loss depends on it                */
    vka_tensor d_a;          /* optional: a's shape; f32, f16 or bf16: vka_attention_backward_desc.d_out           */
    vka_tensor d_a_lse;      /* optional: f32 [B, Hq, Nq]: vka_attention_backward_desc.d_lse                       */
} vka_attention_merge_backward_desc;

#ifdef __cplusplus
}
#endif

/* Makes of two attentions of the same queries the one over all their keys (Flash-Decoding, Dao 2023; Ring Attention,
 * Liu 2023; cascade inference, Ye 2024):
 *
 *   lse = log(exp(a_lse) + exp(b_lse))    out = a exp(a_lse - lse) + b exp(b_lse - lse)
 *
 * in f32, with the larger of both subtracted first, so that nothing overflows. Types of a, b and out mix freely, and so
 * do strides. out and lse are of the form of a and b: merges in a chain, in any order, make one attention of as many
 * parts as there are, and can do so in place.
 *
 *     vka_attention_merge(recorder, &(vka_attention_merge_desc){.a = out, .a_lse = lse, .b = part, .b_lse = part_lse,
 *                                                               .out = out, .lse = lse});
 *
 * Whoever splits an attention says where its keys lie: keys from k0 on have VKA_DIAGONAL_EXPLICIT with a
 * diagonal_offset that is k0 less than the whole's (Nk - Nq - k0 instead of VKA_DIAGONAL_BOTTOM_RIGHT). A sink belongs
 * to one part alone. Only parts of VKA_SELECTION_SOFTMAX can be merged.
 *
 * Edges: a part with a lse of -inf is empty and weighs nothing, even if its output is NaN; the other part then passes
 * bit by bit, but for a conversion of types. Two empty parts give 0 and -inf. With a lse of +inf, lse is +inf and out
 * NaN (inf / inf); with a lse of NaN, both are NaN. B, Hq or Nq = 0 records nothing and succeeds.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (a single row is larger than
 *         a binding can see); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(attention_merge, ATTENTION_MERGE)

/* The gradient of a merge, with the weights w = exp(a_lse - lse) of a and 1 - w of b:
 *
 *   d_a = w d_out    d_a_lse = w (d_lse + (1 - w) sum(d_out * (a - b)))
 *
 * in f32, for one part at a time: a call with a and b swapped, and their lse, gives those of b. a and b are as they
 * were before the merge: one that was made in place has lost one of them.
 *
 *     vka_attention_merge_backward(recorder, &(vka_attention_merge_backward_desc){
 *         .a = out, .a_lse = lse, .b = part, .b_lse = part_lse, .d_out = d_merged, .d_a = d_out, .d_a_lse = d_lse});
 *
 * Edges: an empty part has gradients of 0, and is not read. Where the merge gave NaN, gradients of parts that are not
 * empty are NaN. B, Hq or Nq = 0 records nothing and succeeds.
 *
 * @return, threads and lifetime: as vka_attention_merge. */
VKA_OPERATION_FUNCTIONS(attention_merge_backward, ATTENTION_MERGE_BACKWARD)

#endif
