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

#endif
