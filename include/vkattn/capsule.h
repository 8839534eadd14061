/* vkattn: routing between capsules.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_CAPSULE_H
#define VKATTN_CAPSULE_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The routing of B entries, each of I input capsules to J output capsules of D channels. Tensors are f32, f16 or bf16,
 * each as it likes. */
typedef struct vka_capsule_routing_desc {
    vka_tensor
        votes; /* required: [B, I, J, D]: what each input predicts for each output. J is 1 .. 2048, D at least 1, */
               /*   J * ceil(D / 4) at most 8 times the invocations of a workgroup (at least 1024)               */
    vka_tensor out;  /* required: [B, J, D]                                                                           */
    vka_tensor bias; /* optional: [J, D]                                                                              */
    vka_tensor coupling; /* optional: [B, I, J]: receives the last iteration's coefficients                        */
    uint32_t iterations; /* 1 .. 1000; 0 = 3                                                                       */
    vka_workspace workspace; /* scratch memory, which few entries of many inputs need; all zero: the recorder's own */
} vka_capsule_routing_desc;

#ifdef __cplusplus
}
#endif

/* Dynamic routing by agreement (Sabour 2017). Each input has a logit for each output, all 0 at first. An iteration is
 *
 *   coupling[i, j] = softmax over outputs of logit[i, j]
 *   s[j] = bias[j] + sum over i of coupling[i, j] * votes[i, j]
 *   out[j] = |s[j]|^2 / (1 + |s[j]|^2) * s[j] / |s[j]|        (0 where s[j] is 0)
 *   logit[i, j] += votes[i, j] . out[j]
 *
 * in f32. Logits are not stored: they are the product of votes with the sum of all outputs so far. One dispatch does
 * all iterations where there are entries enough to keep the device busy, otherwise each iteration is one, of many
 * workgroups an entry; there are as many dispatches more as tensors and workspace have to be cut for bindings.
 *
 *     vka_capsule_routing(recorder, &(vka_capsule_routing_desc){.votes = u, .out = v});
 *
 * Edges: NaN, or an infinity, anywhere in the votes of an entry makes all of its results NaN, but with one iteration
 * only the output capsule that it votes for. I = 0 leaves the bias; B = 0 records nothing and succeeds.
 *
 * There is no operation for the gradient of this one.
 *
 * Any strides: [B, J, I, D] is the same call with transposed votes.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (an entry spans more than a
 *         binding can see, or has more output channels than a workgroup can sum); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(capsule_routing, CAPSULE_ROUTING)

#endif
