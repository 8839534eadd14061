/* vkattn: linear attention, whose keys and values are summed up in a state of fixed size.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_LINEAR_ATTENTION_H
#define VKATTN_LINEAR_ATTENTION_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a token does to the state S [Dk, Dv]; k (x) v is the matrix of products of each element of k with each of v. */
typedef enum vka_linear_attention_rule {
    VKA_LINEAR_ATTENTION_INVALID = 0,
    VKA_LINEAR_ATTENTION_LINEAR = 1,      /* S += k (x) v                     (Katharopoulos 2020)                 */
    VKA_LINEAR_ATTENTION_GATED = 2,       /* S = exp(g) S + k (x) v           (RetNet, GLA, Mamba 2)               */
    VKA_LINEAR_ATTENTION_DELTA = 3,       /* S += k (x) beta (v - S^T k)      (Schlag 2021, DeltaNet)              */
    VKA_LINEAR_ATTENTION_GATED_DELTA = 4, /* S = exp(g) S; S += k (x) beta (v - S^T k)   (Yang 2024, Kimi)         */
} vka_linear_attention_rule;

/* Which kernel runs. AUTO is right for everything but tests and measurements, and for who wants the same bits however a
 * sequence is cut. */
typedef enum vka_linear_attention_path {
    VKA_LINEAR_ATTENTION_PATH_AUTO = 0, /* chosen from the device's capabilities and the problem                    */
    /* Token by token: decoding, rules without delta, software drivers. A sequence in pieces gives the same bits as all
     * at once. */
    VKA_LINEAR_ATTENTION_PATH_RECURRENT = 1,
    /* Chunks of tokens, in which nothing but a triangular system waits for the token before: prompts by delta rules. */
    VKA_LINEAR_ATTENTION_PATH_CHUNKED = 2,
} vka_linear_attention_path;

/* How a path cuts its work: the numbers that vka_linear_attention_explain prints. All zero: chosen. */
typedef struct vka_linear_attention_tile {
    uint32_t tokens;              /* CHUNKED: of a chunk; RECURRENT: that are staged together                      */
    uint32_t columns;             /* vectors of four value channels of a workgroup                                 */
    uint32_t rows_per_invocation; /* key channels of an invocation                                                 */
    uint32_t team;                /* invocations that share the key channels                                       */
} vka_linear_attention_tile;

/* One linear attention of T tokens. There are H states in each of B entries; of heads of queries there are Hq, of keys
 * Hk. Tensors are f32, f16 or bf16, each as it likes; states are f32. */
typedef struct vka_linear_attention_desc {
    vka_linear_attention_rule rule; /* required                                                                   */
    float scale;                    /* of outputs: 0 = 1 / sqrt(Dk)                                               */
    vka_tensor q; /* required: [B, Hq, T, Dk]; Dk is 1 .. 512. Hq is a multiple of H, so that query head i reads the  */
                  /*   state i / (Hq / H); or it divides H, and state h is read by query head h / (H / Hq)         */
    vka_tensor k; /* required: [B, Hk, T, Dk]; Hk divides H, and state h takes key head h / (H / Hk)              */
    vka_tensor v; /* required: [B, H, T, Dv]; H and Dv are at least 1                                            */
    vka_tensor out; /* required: [B, max(Hq, H), T, Dv]; shares no memory with others                              */
    /* g, the logarithm of what remains: [B, H, T, Dk], or with sizes of 1 for H and Dk where heads or channels have it
     * in common. Required where the rule has it, refused otherwise. Usually at most 0; below -87.3 nothing remains. */
    vka_tensor decay;
    vka_tensor beta; /* optional where the rule has it, refused otherwise: [B, H, T] or [B, 1, T]; absent = 1       */
    vka_tensor state_in;  /* optional: f32 [B, H, Dk, Dv]; absent = 0                                             */
    vka_tensor state_out; /* optional: f32 [B, H, Dk, Dv]; may be the very same view as state_in                  */

    /* Measurements and tests; leave at zero. */
    vka_linear_attention_path path;
    vka_linear_attention_tile tile; /* one of vka_linear_attention_candidates; needs a path                       */
} vka_linear_attention_desc;

/* A path and a tile that can run a linear attention: see vka_operation_candidates. */
typedef struct vka_linear_attention_candidate {
    vka_linear_attention_path path;
    vka_linear_attention_tile tile;
} vka_linear_attention_candidate;

/* The gradients of one linear attention. Each is that of a loss with respect to the tensor in its name, whose shape it
 * has; any may be absent, and is not computed then. Types are f32, f16 or bf16, each of its own; of states f32. */
typedef struct vka_linear_attention_backward_desc {
    vka_linear_attention_rule rule; /* required: forward's                                                        */
    float scale;                    /* forward's                                                                  */
    vka_tensor q, k, v;             /* required: forward's                                                        */
    vka_tensor decay, beta;         /* as forward had them                                                        */
    vka_tensor state_in;            /* forward's, if it had one: as it was before                                 */
    vka_tensor d_out;               /* required: [B, max(Hq, H), T, Dv], the gradient of forward's out            */
    vka_tensor d_state_out;         /* optional: f32 [B, H, Dk, Dv], that of state_out; absent = 0                */
    vka_tensor d_q;                 /* optional, written: [B, Hq, T, Dk]                                          */
    vka_tensor d_k;                 /* optional, written: [B, Hk, T, Dk]                                          */
    vka_tensor d_v;                 /* optional, written: [B, H, T, Dv]                                           */
    vka_tensor d_decay;             /* optional, written: decay's shape, summed over what has it in common        */
    vka_tensor d_beta;              /* optional, written: beta's shape, likewise                                  */
    vka_tensor d_state_in;          /* optional, written: f32 [B, H, Dk, Dv]                                      */
    vka_workspace workspace;        /* scratch memory; all zero: the recorder's own                               */
} vka_linear_attention_backward_desc;

#ifdef __cplusplus
}
#endif

/* For each token in order: the state S becomes what the rule says, then
 *
 *   out = scale * q^T S
 *
 * in f32. A sequence may be computed in pieces of any lengths, each from the state that the one before it left: a step
 * of decoding is a piece with T = 1. By one path and tile results of a piece don't depend on those around it, and by
 * the recurrence all of a sequence gives the same bits, however it is cut; chunks round otherwise, within the same
 * bounds. The delta rules want keys of length 1 at most, or states may grow without bound; nothing here normalises
 * them. NaN and infinities reach what they reach in the formulas. T = 0 computes nothing, and state_out becomes
 * state_in; B = 0 records nothing and succeeds.
 *
 *     vka_linear_attention(recorder, &(vka_linear_attention_desc){.rule = VKA_LINEAR_ATTENTION_GATED_DELTA, .q = q,
 *                                                                 .k = k, .v = v, .decay = g, .beta = beta, .out = o,
 *                                                                 .state_in = s, .state_out = s});
 *
 * Any strides: [B, T, H, D] is the same call with transposed tensors. ONNX's LinearAttention (opset 27) is this.
 * With state_out, long sequences are several dispatches, and tensors may be larger than bindings can see; without, one
 * head of all tokens must be seen, and a very long sequence is one long dispatch.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded. vka_linear_attention_candidates lists paths and tiles for whoever
 * measures them.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (a path that can't run it
 *         here; a state, or a token of one head, or without state_out all its tokens, span more than a binding can
 *         see); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(linear_attention, LINEAR_ATTENTION)
VKA_OPERATION_CANDIDATES(linear_attention, LINEAR_ATTENTION)

/* Gradients of vka_linear_attention, by the recurrence backwards in time. With D the gradient of the state, S' what the
 * state decayed to before a token, S what it is after it, u = v - S'^T k by the delta rules or v, and w = beta u:
 *
 *   d_q = scale S d_out    D += scale q (x) d_out    d_w = D^T k    d_beta = d_w . u    d_v = beta d_w
 *   d_k = D w - S' d_v, or D w    D -= k (x) d_v, by the delta rules    d_decay = sum of D S' over value channels
 *   D = exp(decay) D,  which is d_state_in at last
 *
 *     vka_linear_attention_backward(recorder, &(vka_linear_attention_backward_desc){
 *         .rule = rule, .q = q, .k = k, .v = v, .decay = g, .beta = beta, .d_out = d_o, .d_q = d_q, .d_k = d_k,
 *         .d_v = d_v, .d_decay = d_g, .d_beta = d_beta});
 *
 * in f32. States are computed again: the workspace has those of every sqrt(T)-th token and of as many between two of
 * these, 2 sqrt(T) in all for each state; and gradients that are summed over value channels or heads in f32, as many
 * times as there are blocks of value channels (vka_linear_attention_backward_explain), or states that share a head. A
 * sequence in pieces has its gradients from the last piece to the first: d_state_in of one is d_state_out of the piece
 * before it. Sums have the same order every time.
 *
 * Edges: T = 0 computes nothing, and d_state_in is d_state_out. NaN and infinities reach what they reach in the
 * formulas. Outputs share no memory with others. Strides are free. Tensors and the workspace must each fit a binding.
 * With state_in, d_state_out or d_state_in a kernel binds eleven storage buffers, and eight without. A state's tokens
 * are one dispatch.
 *
 * Records and returns; the rest as vka_linear_attention.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (larger than a binding can
 *         see; states with fewer storage buffers); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(linear_attention_backward, LINEAR_ATTENTION_BACKWARD)

#endif
