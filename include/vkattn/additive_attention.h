/* vkattn: additive attention, whose scores come from a layer of tanh instead of a dot product.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_ADDITIVE_ATTENTION_H
#define VKATTN_ADDITIVE_ATTENTION_H

#include <vkattn/attention.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which kernel runs. AUTO is right for everything but tests and measurements. */
typedef enum vka_additive_attention_path {
    VKA_ADDITIVE_ATTENTION_PATH_AUTO = 0,
    VKA_ADDITIVE_ATTENTION_PATH_ROW = 1,  /* an invocation owns a query: software drivers                            */
    VKA_ADDITIVE_ATTENTION_PATH_TILE = 2, /* a workgroup owns a tile of queries: GPUs                                */
} vka_additive_attention_path;

/* One additive attention. B batch, Hq query heads, Hkv key/value heads, Nq queries, Nk keys, A channels of a score, Dv
 * value dimension. Tensors are f32, f16 or bf16, each as it likes, unless said otherwise. */
typedef struct vka_additive_attention_desc {
    vka_tensor q; /* required: [B, Hq, Nq, A], the projected queries W_q q; A is 1 .. 65,536                  */
    vka_tensor k; /* required: [B, Hkv, Nk, A], the projected keys W_k k. Hq is a multiple of Hkv, and query  */
                  /*   head h reads key head h / (Hq / Hkv)                                               */
    vka_tensor v; /* required: [B, Hkv, Nk, Dv]; Dv is 1 .. 512                                           */
    vka_tensor score_vector; /* required: [Hq, A], or [1, A] or [A] for all heads                                    */
    vka_tensor out;          /* required: [B, Hq, Nq, Dv]; shares no memory with others                              */
    vka_tensor lse; /* optional: f32 [B, Hq, Nq], natural log of the sum of exponentials of a row's scores          */
    vka_tensor
        mask; /* optional: as vka_attention_desc.mask: [.., Nq, Nk] right-aligned to [B, Hq, Nq, Nk], sizes of 1  */
              /*   broadcast; u8: 0 masks; others are added to the score, -inf masks                          */
    vka_integers kv_lengths; /* optional: i32 [B]: entry b has that many keys, 0 .. Nk; tensors of other values are  */
                             /*   clamped to that, wrong values of the host refused                                  */
    bool causal;             /* keep j <= i + diagonal                                                               */
    vka_diagonal diagonal;   /* BOTTOM_RIGHT takes an entry's own length                                             */
    int32_t diagonal_offset; /* for VKA_DIAGONAL_EXPLICIT; otherwise must be 0                                       */
    vka_additive_attention_path path; /* measurements and tests; leave at zero                                       */
} vka_additive_attention_desc;

/* The gradients of one additive attention. Each is that of a loss with respect to the tensor in its name, whose shape
 * it has; any may be absent, and is not computed then. Types are f32, f16 or bf16, each of its own, unless said
 * otherwise. */
typedef struct vka_additive_attention_backward_desc {
    /* Required: what forward was given, and out and lse as it wrote them. */
    vka_tensor q, k, v, score_vector, out, lse;
    vka_tensor mask;         /* forward's, if it had one                                                             */
    vka_integers kv_lengths; /* likewise                                                                             */
    vka_tensor d_out;        /* required: [B, Hq, Nq, Dv], the gradient of out                                       */
    vka_tensor d_lse;        /* optional: f32 [B, Hq, Nq], of lse, where the loss depends on it                      */
    vka_tensor d_q;          /* optional, written: [B, Hq, Nq, A]                                                    */
    vka_tensor d_k;          /* optional, written: [B, Hkv, Nk, A]: the sum over the query heads that share a row    */
    vka_tensor d_v;          /* optional, written: [B, Hkv, Nk, Dv]                                                  */
    vka_tensor d_score_vector; /* optional, written: score_vector's shape: summed over heads that have it in common  */
    vka_tensor d_mask;         /* optional, written: mask's shape, which is not u8: summed where it broadcasts       */
    bool causal;               /* as forward's, with what follows                                                    */
    vka_diagonal diagonal;
    int32_t diagonal_offset;
    bool accumulate;                  /* d_score_vector and d_mask are added to what is there                        */
    vka_additive_attention_path path; /* measurements and tests; leave at zero                                       */
    vka_workspace workspace;          /* scratch memory; all zero: the recorder's own                                */
} vka_additive_attention_backward_desc;

#ifdef __cplusplus
}
#endif

/* out_i = sum over j of softmax_j(score_ij) v_j, in O(N) memory, with scores, softmax state and sums in f32:
 *
 *   score_ij = score_vector . tanh(q_i + k_j) + mask_ij
 *
 * This is the attention of Bahdanau 2014, and Luong's "concat" of 2015, whose matrix W [q; k] is W_q q + W_k k. The
 * projections are two calls of vka_linear; a bias belongs to either one:
 *
 *     vka_linear(recorder, &(vka_linear_desc){.x = decoder, .weight = w_q, .bias = b, .out = q});
 *     vka_linear(recorder, &(vka_linear_desc){.x = encoder, .weight = w_k, .out = k});
 *     vka_additive_attention(recorder, &(vka_additive_attention_desc){.q = q, .k = k, .v = encoder, .score_vector = s,
 *                                                                     .out = context, .kv_lengths.tensor = lengths});
 *
 * (with views of rank 4). One encoder and many steps of decoding: keys are projected once. Any strides: [B, N, H, A]
 * is the same call with transposed tensors. There is no scale: it would be score_vector's. A pair costs A tanh, which
 * are what time is spent on, and which are as exact as VKA_ACTIVATION_TANH.
 *
 * Edges: a row that sees no key gives out = 0 and lse = -inf, and so does Nk = 0. B = 0 or Nq = 0 records nothing and
 * succeeds. Keys and values that a query may not see change no bit, whatever they hold, NaN or Inf; NaN in what it sees
 * makes its row NaN, and so does a score of +inf. A score of -inf masks. Finite masks may be as large as floats are,
 * and never mask. The same inputs on the same device and path give the same bits, every time.
 *
 * Replay: a recording whose lengths are a tensor stays valid while they change.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded. Tensors may be larger than what a binding sees.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (the keys or values of one
 *         head, one query, its mask, the score vectors or the lengths span more than a binding can see);
 *         VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(additive_attention, ADDITIVE_ATTENTION)

/* Gradients of vka_additive_attention, in O(N) memory: scores and probabilities are computed again, with w the score
 * vector and t_ij = tanh(q_i + k_j):
 *
 *   P = exp(S - lse)    delta = sum(d_out * out) - d_lse    dS_ij = P_ij (d_out_i . v_j - delta_i)
 *   d_q_i = sum over j of dS_ij w (1 - t_ij^2)    d_k_j = sum over i of dS_ij w (1 - t_ij^2)
 *   d_v_j = sum over i of P_ij d_out_i    d_w = sum over i, j of dS_ij t_ij    d_mask = dS
 *
 * A bias of the projections has the gradient of what it was added to, summed over rows: d_bias of vka_linear_backward.
 *
 *     vka_additive_attention_backward(recorder, &(vka_additive_attention_backward_desc){
 *         .q = q, .k = k, .v = v, .score_vector = s, .out = out, .lse = lse, .d_out = d_out, .d_q = d_q, .d_k = d_k});
 *
 * One pass owns queries and one owns keys, so nothing is added up atomically: the same inputs give the same bits every
 * time, and a sequence the same ones whatever else is in the batch (but for what is summed over it).
 *
 * Edges: rows that see no key get d_q = 0 and add nothing, whatever d_out holds there; keys that no query sees get 0.
 * Hidden pairs add nothing, whatever q, k, v and d_out hold. NaN that is seen propagates. P is as exact as the
 * difference of a score and its row's lse, and delta as out's type. Outputs share no memory with others. Where there is
 * nothing to sum up, d_score_vector and d_mask are 0, or with `accumulate` what they were; so are elements of a mask
 * that lie beyond the queries or keys.
 *
 * The workspace has 12 bytes for each row of queries, and with d_score_vector as much as q in f32. These and all
 * tensors must each fit a binding (vka_device_caps.storage_range). With a mask a kernel binds nine storage buffers, and
 * eight without.
 *
 * Records and returns; the rest as vka_additive_attention.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (larger than a binding can
 *         see; a mask with eight storage buffers); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(additive_attention_backward, ADDITIVE_ATTENTION_BACKWARD)

#endif
