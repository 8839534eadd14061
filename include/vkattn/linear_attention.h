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

#endif
