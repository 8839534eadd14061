/* vkattn: scaled dot-product attention.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_ATTENTION_H
#define VKATTN_ATTENTION_H

#include <vkattn/pattern.h>
#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where the diagonal lies: query i has the position p = i + diagonal among the keys. Causal attention and windows are
 * relative to p. */
typedef enum vka_diagonal {
    VKA_DIAGONAL_BOTTOM_RIGHT = 0, /* Nk - Nq: the last query sees the last key. Right for KV caches.              */
    VKA_DIAGONAL_TOP_LEFT = 1,     /* 0: the first query is the first key                                         */
    VKA_DIAGONAL_EXPLICIT = 2,     /* vka_attention_desc.diagonal_offset; may be negative                         */
} vka_diagonal;

/* Sliding window: query position p sees the keys p - left <= j <= p + right, both inclusive. Either may be negative
 * (the window then excludes the nearest keys), but left + right must not be. Work follows the window, not Nk. */
typedef struct vka_window {
    bool enabled; /* false: no window, left and right are ignored */
    int32_t left;
    int32_t right;
} vka_window;

/* Which kernel runs. AUTO is right for everything but tests and measurements. */
typedef enum vka_attention_path {
    VKA_ATTENTION_PATH_AUTO = 0,   /* chosen from the device's capabilities and the problem    */
    VKA_ATTENTION_PATH_ROW = 1,    /* an invocation owns query rows, keys come by uniform loads: software drivers     */
    VKA_ATTENTION_PATH_TILE = 2,   /* a workgroup owns a query tile, keys are staged in shared memory: GPUs    */
    VKA_ATTENTION_PATH_DECODE = 3, /* a subgroup owns few query rows, its lanes share each key: decoding  */
    VKA_ATTENTION_PATH_COOPMAT = 4, /* subgroups own query rows and multiply by cooperative matrices; f16 and bf16 */
    /* Matrices span a tile's rows (VK_NV_cooperative_matrix2); queries are f16, keys and values f16 or quantised. */
    VKA_ATTENTION_PATH_COOPMAT2 = 5,
    /* As VKA_ATTENTION_PATH_TILE, by dot products of pairs of f16 that are summed in f32; types as for COOPMAT2.
     * Subnormals of f16 may count as 0. */
    VKA_ATTENTION_PATH_DOT = 6,
    /* As VKA_ATTENTION_PATH_COOPMAT, with a step's scores in registers: reductions, conversions and functions of
     * elements (VK_EXT_cooperative_matrix_maintenance1, or VK_NV_cooperative_matrix2); types as for COOPMAT2. */
    VKA_ATTENTION_PATH_COOPMAT_REGISTERS = 7,
} vka_attention_path;

/* How a path cuts its work: the numbers that vka_attention_explain prints. All zero: chosen. */
typedef struct vka_attention_tile {
    uint32_t query_tile;          /* query rows of a workgroup                                                     */
    uint32_t key_tile;            /* keys of a step                                                                */
    uint32_t rows_per_invocation; /* COOPMAT, COOPMAT_REGISTERS: products stacked in a block of rows               */
    uint32_t team;                /* invocations that share rows; DECODE: lanes that share a key; COOPMAT:          */
                                  /*   subgroups that share a block                                                */
} vka_attention_tile;

/* How probabilities come from a row's scores. Where one key gets all, lse is its score (with a sample's noise). */
typedef enum vka_selection {
    VKA_SELECTION_SOFTMAX = 0,
    VKA_SELECTION_ARGMAX = 1, /* hard attention: the key with the highest score, the first of equals, gets all        */
    VKA_SELECTION_SAMPLE = 2, /* one key, drawn with the probabilities of softmax (Gumbel-max, Maddison 2014)        */
} vka_selection;

/* Which stage of a score vka_attention_desc.scores receives: the modes of ONNX Attention's qk_matmul_output_mode. */
typedef enum vka_score_stage {
    VKA_SCORES_SCALED = 0,        /* scale * q k^T                                                                  */
    VKA_SCORES_CAPPED = 1,        /* after softcap                                                                  */
    VKA_SCORES_MASKED = 2,        /* after biases and masks, without a sample's noise: -inf where a query may not see */
                                  /*   a key                                                                      */
    VKA_SCORES_PROBABILITIES = 3, /* after softmax; rows that see nothing are 0. Needs lse, and VKA_SELECTION_SOFTMAX */
                                  /*   From lse, which loses digits where scores exceed 10^4; with stats from those */
} vka_score_stage;

/* Where quantised keys and values become floats. */
typedef enum vka_dequantise {
    VKA_DEQUANTISE_AUTO = 0,
    VKA_DEQUANTISE_READ = 1,  /* wherever they are read: no memory for it                                          */
    VKA_DEQUANTISE_FIRST = 2, /* before, where that is possible                                                    */
} vka_dequantise;

/* A function of scores of the caller's own, in GLSL: vkattn_add_score_function of CMake compiles it into attention's
 * kernels, and makes this of it (docs/score-functions.md). Constant; lives as long as calls and plans that name it are
 * made, and plans prepared for slices. Whatever is recorded or planned needs it no more. */
typedef struct vka_score_kernel {
    const char *name;      /* of the kernel that it takes the place of */
    const uint32_t *words; /* SPIR-V                                   */
    uint64_t bytes;
} vka_score_kernel;
typedef struct vka_score_function {
    uint64_t shaders;    /* hash of the shaders that it was compiled into: those of another library are refused */
    uint64_t code;       /* hash of its SPIR-V, by which its pipelines are known                              */
    const char *name;    /* in vka_attention_explain                                                          */
    const char *version; /* of vkattn, that had these shaders                                                 */
    const vka_score_kernel *kernels;
    uint32_t kernel_count;
} vka_score_function;

#define VKA_SCORE_TENSORS   4
#define VKA_SCORE_CONSTANTS 4

/* One attention. B batch, Hq query heads, Hkv key/value heads, Nq queries, Nk keys, D and Dv head dimensions. Position
 * of query i: p = i + diagonal. */
typedef struct vka_attention_desc {
    vka_tensor q; /* required: [B, Hq, Nq, D]; f32, f16 or bf16                                                 */
    vka_tensor k; /* required: [B, Hkv, Nk, D]; f32, f16, bf16, q8_0, q4_0 or i8; Hq is a multiple of Hkv, and   */
    /*   query head h reads key head h / (Hq / Hkv) (GQA, Ainslie 2023; MQA for Hkv = 1). A batch of 1   */
    /*   serves all of q's                                                                        */
    vka_tensor v; /* required: [B, Hkv, Nk, Dv]; types and batch as k's, each of its own. May be a view of k's first */
    /*   channels (latent attention): keys are then read once where that is faster                */
    vka_tensor out; /* required: [B, Hq, Nq, Dv]; f32, f16 or bf16                                                */
    vka_tensor lse; /* optional: f32 [B, Hq, Nq], natural log of the sum of exponentials of a row's scores        */

    float scale; /* of q k^T; 0 = 1 / sqrt(D), else 1e-37 .. 1e37; anything else is refused                        */

    /* A score is scaled, capped, biased, masked, in this order. */
    float softcap;   /* c: score becomes c tanh(score / c) (Gemma 2); 0 = none, else any positive finite number   */
    vka_tensor mask; /* optional: rank 2 to 4, [.., Nq, Nk] right-aligned to [B, Hq, Nq, Nk], sizes of 1 broadcast. */
                     /*   u8: 0 masks. f32, f16, bf16: added to the score; -inf masks, +inf and NaN propagate     */
    vka_tensor alibi_slopes;  /* optional: f32 [Hq]; -slope |p - j| is added (Press 2021)                          */
    vka_tensor relative_bias; /* optional: f32 [Hq, L] or [1, L]; element clamp(j - p + relative_zero, 0, L - 1) of */
                              /*   a head's row is added: any bias of relative positions. -inf masks. T5's by       */
                              /*   vka_relative_bias_t5, adaptive spans by vka_relative_bias_span                   */
    uint32_t relative_zero;   /* where in a row j = p lies; below L                                                */
    /* Tokens of a picture, in rows of relative_width: token t lies in row t / width, column t % width. relative_bias is
     * then [Hq, Ly, Lx] or [1, Ly, Lx], and its element [row of j - row of p + relative_zero_row][column of j - column
     * of p + relative_zero], each clamped, is added: Swin's table of (2w - 1)^2 with both zeros w - 1 (Liu 2021). */
    uint32_t relative_width;    /* 0: no picture                                                                   */
    uint32_t relative_zero_row; /* below Ly                                                                        */
    vka_tensor sinks;           /* optional: f32 [Hq]: a logit that joins a row's softmax and has no value           */
                                /*   (Xiao 2023; gpt-oss). Neither scaled nor capped. Softmax only                   */

    bool causal; /* keep j <= p                                                                                   */
    vka_diagonal diagonal;
    int32_t diagonal_offset; /* for VKA_DIAGONAL_EXPLICIT; otherwise must be 0                                    */
    vka_window window;

    /* Sequences of different length. A side (q with out, lse and so on; k with v) has lengths or offsets, not both.
     *   lengths  int32 [B]: entry b has that many queries (keys), at its beginning
     *   offsets  int32 [sequences + 1], monotone: the tensors have a batch of 1, and sequence b lies in the rows
     *            offsets[b] .. offsets[b + 1] - 1 (cu_seqlens)
     * Values from a tensor are clamped to what exists; wrong values of the host are refused. Rows of queries that no
     * sequence has are not written. VKA_DIAGONAL_BOTTOM_RIGHT takes the sequence's own lengths. Masks, scores and
     * positions count from a sequence's beginning. */
    vka_integers q_lengths, kv_lengths;
    vka_integers q_offsets, kv_offsets;
    uint32_t sequences;  /* of offsets: B of the whole attention; 0 without offsets                                */
    uint32_t max_q_len;  /* no sequence has more queries, or they are left out; 0 = Nq. Work follows it           */
    uint32_t max_kv_len; /* likewise of keys; 0 = Nk                                                               */

    /* Sparse and local attention: position p sees the keys of its row in the pattern; work follows the pattern's live
     * tiles. It has all positions and keys that there may be (those of BOTTOM_RIGHT are below max_kv_len), and one map
     * for all heads or Hq. Whatever else masks keys joins by intersection. A pattern that is walked in boxes of a grid
     * is for queries and keys that begin at the same token: the diagonal is 0. */
    const vka_pattern *pattern; /* optional */
    /* Queries and keys in another order: i32 [B or 1, Hq or 1, N]. Slot s has query and key permutation[b][h][s];
     * entries outside of the sequence are holes. A query or key that no slot has is left out: its rows are not written,
     * it is not seen. The pattern is then about slots; everything else here is about tokens. For sorted attention
     * (Reformer, Kitaev 2020). Not with a page table, nor with a pattern that has a permutation. */
    vka_tensor permutation;

    /* Paged keys and values (PagedAttention, Kwon 2023): k [pages, Hkv, page size, D], v likewise; key j of sequence
     * b lies in row j % page size of page page_table[b][j / page size]. The page size is a multiple of 8. Nk is page
     * table columns * page size. Pages that do not exist count as the last one. Not with kv_offsets. */
    vka_tensor page_table; /* optional: i32 [B, columns]                                                           */

    /* Scales of i8 keys and values, for each key and head: f32 [B, Hkv, Nk], or [pages, Hkv, page size]. */
    vka_tensor k_scale, v_scale;

    vka_selection selection;
    float dropout; /* probability, 0 .. below 1, with which a key's weight becomes 0; the others grow by            */
                   /*   1 / (1 - dropout). lse, stats and scores are those without. Softmax only                  */
    /* Randomness of dropout and VKA_SELECTION_SAMPLE: word j % 4 of Philox4x32-10 (Salmon 2011) with the counter
     * {j / 4, i, b Hq + h, random_offset} and the key seed (low word first), for query i, key j. Dropout drops where
     * word < dropout 2^32; a sample adds -log(-log((word / 256 + 0.5) 2^-24)) to the score. */
    uint64_t seed;
    uint32_t random_offset;

    vka_tensor stats;  /* optional: f32 [B, Hq, Nq, 2]: a row's highest score m and its sum of exp(score - m), sinks  */
                       /*   included; -inf and 0 where it sees nothing                                              */
    vka_tensor scores; /* optional, to look at: f32, f16 or bf16 [B, Hq, Nq, Nk], where B are the sequences, and Nq */
                       /*   and Nk are max_q_len and max_kv_len if these are given and lower. The one thing here    */
                       /*   that needs memory for every pair; costs a pass of its own                               */
    vka_score_stage score_stage;

    /* Measurements and tests; leave at zero. */
    vka_attention_path path;
    vka_attention_tile tile; /* one of vka_attention_candidates; needs a path                                     */
    uint32_t splits; /* workgroups that share the keys of one query tile, or what one binding sees of them;       */
                     /*   0 = chosen; 1 = not split. At most 64                                                   */

    vka_workspace workspace; /* scratch memory; all zero: the recorder's own */

    /* Cosine attention (Swin v2, Liu 2022): rows of q and k are divided by their length, x / max(|x|, 1e-12) as
     * PyTorch's F.normalize has it, so a row of zeros has cosines of 0; the product is multiplied by a factor of the
     * head, and by scale, whose 0 is 1 here. The sum of a row's squares must be a float: |x| < 1.8e19. Not with
     * alibi_slopes. */
    vka_tensor cosine_scale; /* optional: f32 [Hq]; Swin v2's is exp(min(tau, ln 100))                              */

    /* Keys of relative positions (Transformer-XL, Dai 2019): with them a score is
     * scale * ((q + content_bias) . k + (q + position_bias) . r), where r is row clamp(p - j + relative_keys_zero, 0, L
     * - 1) of a head's relative_keys. Of M keys that come before the first query p - j is i + M - j:
     * VKA_DIAGONAL_BOTTOM_RIGHT of Nk = M + Nq. Causal attention needs L = Nk rows with relative_keys_zero = 0, XLNet's
     * both ways Nq + Nk. Not with cosine_scale, relative_bias, alibi_slopes and sinks. */
    vka_tensor relative_keys; /* optional: f32, f16 or bf16 [Hq, L, D] or [1, L, D]                                  */
    vka_tensor content_bias;  /* u; optional: f32, f16 or bf16 [Hq, D]; absent: 0 (Shaw 2018). Needs relative_keys    */
    vka_tensor position_bias; /* v; likewise, of content_bias's type                                                 */
    uint32_t relative_keys_zero; /* the row of j = p; below L                                                       */

    /* VKA_DETERMINISM_BATCH: a sequence's results have the same bits alone and in any batch, whatever the others'
     * lengths, Nq, Nk, max_q_len and max_kv_len are. Given are heads, D, Dv, types, options, path, tile, splits,
     * whether strides and offsets are multiples of 4 elements; and dropout and samples count batch entries. So nothing
     * is chosen by lengths: the path is the one for many queries, query heads don't share a tile, and keys are split
     * among workgroups only as `splits` says, each sequence's in parts of at least 256 keys (1024 on a CPU). That is
     * slower where queries are few: for steps of decoding name VKA_ATTENTION_PATH_DECODE and 8 to 64 splits. Keys that
     * take more than one binding are refused. (He 2025, "Defeating Nondeterminism in LLM Inference".) */
    vka_determinism determinism;

    /* Keys selected for each query (DeepSeek's sparse attention, Liu 2025; NSA, Yuan 2025): query i of head h sees the
     * keys key_lists[b][h][i][0 .. T-1] and no others, and only those are read: work follows T, not Nk. A negative
     * entry ends a list, whatever stands behind it; one that is not below the sequence's number of keys lists nothing.
     * Entries count from the sequence's first key, in pages too. Whatever else masks keys joins by intersection. A key
     * that is listed twice has twice the weight. Of equal scores the first one listed wins. Rows of queries are q's. A
     * list of one head serves all, one of a key head its query heads. Not with pattern, permutation and scores. */
    vka_tensor key_lists; /* optional: i32 [B, Hl, Nq, T]; Hl is 1, Hkv or Hq                                         */

    /* Quantised keys and values can be dequantised once, into the workspace, before attention reads them there: as f32,
     * or in q's type where the path multiplies that. Worth it where many tiles of queries read each key, as those of a
     * prompt. Not done with key_lists, VKA_DETERMINISM_BATCH, tensors that take more than one binding, or, unless it is
     * asked for, more than 256 MiB. */
    vka_dequantise dequantise;

    /* A number in device memory that is added to random_offset, modulo 2^32, each time the commands run. A recording
     * that is submitted again drops or draws something else once the number is another one, and with the old number
     * what it did before. vka_attention_backward is given the same tensor, and finds the dropped pairs again if the
     * number is still the same: it changes between steps, not between forward and backward. In training it can be
     * vka_adamw's step, which vka_gradient_norm counts after both. Read with dropout and VKA_SELECTION_SAMPLE only; not
     * with page_table, permutation and patterns that have one. */
    vka_tensor random_step; /* optional: i32 [1]                                                                      */
    /* A function of your own makes another score of each, or hides keys, as PyTorch's FlexAttention has it (Dong 2024):
     * once a score is scaled and capped, before it is biased and masked. What the function may read, by element:
     * tensors of any shape, each of which fits a binding, and constants. Absent tensors read as 0. The tensors take the
     * bindings of alibi_slopes, relative_bias, mask and sinks, in this order, and each excludes that one. Not with
     * cosine_scale and relative_keys; a diagonal is at most 2^29 off. Paths that it was not compiled for can't be
     * taken. */
    const vka_score_function *score_function;    /* optional */
    vka_tensor score_tensors[VKA_SCORE_TENSORS]; /* optional: f32, f16, bf16, i32 or u8                              */
    float score_constants[VKA_SCORE_CONSTANTS];
} vka_attention_desc;

/* A path and a tile that can run an attention, as vka_attention_candidates lists them: with the description's own path,
 * tile and splits left aside (see vka_operation_candidates). */
typedef struct vka_attention_candidate {
    vka_attention_path path;
    vka_attention_tile tile;
} vka_attention_candidate;

/* Which kernels run the backward pass. AUTO is right for everything but tests and measurements. */
typedef enum vka_attention_backward_path {
    VKA_ATTENTION_BACKWARD_PATH_AUTO = 0,
    VKA_ATTENTION_BACKWARD_PATH_ROW = 1,  /* an invocation owns rows: software drivers                              */
    VKA_ATTENTION_BACKWARD_PATH_TILE = 2, /* a workgroup owns rows, the others are staged in shared memory: GPUs;   */
                                          /*   not with relative_keys                                             */
    /* Subgroups own rows and multiply by cooperative matrices: q, k, v and d_out of f16, or all of bf16, causality and
     * windows, and no other options. Probabilities and gradients of scores are rounded to that type. */
    VKA_ATTENTION_BACKWARD_PATH_COOPMAT = 3,
    /* As TILE, with products of rows by pairs of f16 that are summed in f32: q, k, v and d_out of f16, not with
     * cosine_scale and relative_keys. Taken unasked where a device has an instruction for it. */
    VKA_ATTENTION_BACKWARD_PATH_DOT = 4,
} vka_attention_backward_path;

/* The gradients of one attention. Each is that of a loss with respect to the tensor in its name, whose shape it has;
 * any may be absent, and is not computed then. Types are f32, f16 or bf16, each of its own; biases' and sinks' f32. */
typedef struct vka_attention_backward_desc {
    vka_tensor d_out;  /* required: [B, Hq, Nq, Dv], of forward.out                                               */
    vka_tensor d_lse;  /* optional: f32 [B, Hq, Nq], of forward.lse, where the loss depends on it                  */
    vka_tensor d_q;    /* [B, Hq, Nq, D]                                                                           */
    vka_tensor d_k;    /* [B, Hkv, Nk, D]: the sum over the query heads, and sequences, that share a row           */
    vka_tensor d_v;    /* [B, Hkv, Nk, Dv]                                                                         */
    vka_tensor d_mask; /* f32, f16 or bf16, as forward.mask, which is not u8: summed where it broadcasts      */
    vka_tensor d_alibi_slopes;  /* f32 [Hq]                                                                       */
    vka_tensor d_relative_bias; /* f32, as forward.relative_bias                                                  */
    vka_tensor d_sinks;         /* f32 [Hq]                                                                       */
    vka_tensor d_cosine_scale;  /* f32 [Hq]                                                                       */
    vka_tensor d_relative_keys; /* f32, f16 or bf16, as forward.relative_keys: summed where heads share them      */
    vka_tensor d_content_bias, d_position_bias; /* f32, f16 or bf16 [Hq, D]                                        */

    vka_attention_backward_path path; /* measurements and tests; leave at zero                                   */
    vka_workspace workspace;          /* scratch memory; all zero: the recorder's own                            */

    /* What vka_attention was given, with out and lse as it wrote them. Its stats, scores, path, tile, splits and
     * workspace play no part here. */
    vka_attention_desc forward;
} vka_attention_backward_desc;

#ifdef __cplusplus
}
#endif

/* out = softmax(scale * q k^T, capped, biased, masked) v, in O(N) memory, with scores, softmax state and sums in f32
 * (Vaswani 2017; tiled with an online softmax as in Dao 2022; keys split and merged as in Flash-Decoding, Dao 2023).
 *
 *   q   [B, Hq, Nq, D]    k  [B, Hkv, Nk, D]    v  [B, Hkv, Nk, Dv]    out  [B, Hq, Nq, Dv]    lse  [B, Hq, Nq]
 *
 * D is 1 .. 576, Dv 1 .. 512, independently. Any strides. Layouts [B, N, H, D] are the same call with transposed
 * tensors. Types of q, k, v and out mix freely.
 *
 *     vka_attention(recorder, &(vka_attention_desc){.q = q, .k = k, .v = v, .out = out, .causal = true});
 *
 * Everything composes with everything, but for what is said above. Options beyond causal, window, scale and lse need a
 * device with 17 storage buffers (vka_device_caps.storage_buffers). vka_attention_candidates tells which paths take a
 * description; AUTO takes one that does.
 *
 * Edges: a row that sees no key gives out = 0 and lse = -inf (its sink, if there is one), and so does Nk = 0. B = 0 or
 * Nq = 0 records nothing and succeeds. NaN in a visible input propagates. The same inputs on the same device give the
 * same bits, every time: keys and values that a query may not see change none of them, whatever they hold, NaN or Inf.
 *
 * Numbers: finite masks, biases, sinks and soft caps may be as large as floats are, and finite masks never mask: a row
 * of nothing but -3.4e38 is the mean of its values. q k^T and each score must be floats as well, before and after
 * scaling: what exceeds 3.4e38 counts as infinite (a slope times a distance: as 3.4e38).
 *
 * Replay: a recording whose lengths and page table are tensors stays valid while their contents change: append to the
 * cache, raise the length, submit again.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded.
 *
 * Tensors may be larger than what a binding sees (vka_device_caps.storage_range), pools of pages, masks and scores too:
 * what one can't see takes several dispatches. The exceptions, which are refused: a single page of one head; the masks,
 * scores, queries or results of a single tile of queries; one head of packed queries, or of queries and keys in a
 * permutation; lists, page tables and patterns.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (legal, but no kernel for it
 *         on this device, or larger than a binding can see and one of these exceptions); VKA_OUT_OF_MEMORY;
 *         VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(attention, ATTENTION)
VKA_OPERATION_CANDIDATES(attention, ATTENTION)

/* Gradients of vka_attention, in O(N) memory: probabilities are computed again from q, k and lse, tile by tile (Dao
 * 2022).
 *
 *   P = exp(S - lse)    delta = sum(d_out * out) - d_lse    dV = P^T d_out    dS = P * (d_out V^T - delta)
 *   dQ = scale dS K     dK = scale dS^T Q, each through the soft cap; biases get dS, summed where they broadcast;
 *   d_sinks = -sum(exp(sink - lse) delta)
 *   of cosines   rows that were divided by their length get what is perpendicular to them, divided by it, too; those of
 *                at most 1e-12 all of it, divided by 1e-12 (as PyTorch's F.normalize)
 *   of relative_keys   dQ = scale dS (K + R)    dK = scale dS^T (Q + u)    dR = scale dS^T (Q + v), summed by row
 *                du = scale sum(dS K)    dv = scale sum(dS R)
 *
 *     vka_attention_backward(recorder, &(vka_attention_backward_desc){
 *         .forward = forward, .d_out = d_out, .d_q = d_q, .d_k = d_k, .d_v = d_v});
 *
 * Determinism: one pass owns keys and one owns queries, and every sum has one order. So the same inputs on the same
 * device, by the same path, give the same bits every time; and a sequence's own gradients (not those of tensors that
 * sequences share, which are sums over them) have the same bits whatever else is in the batch, but for dropout, which
 * counts batch entries. There is no other mode, and nothing to ask for.
 *
 * Dropout: pairs that forward dropped are found again from its seed, random_offset and random_step, so nothing of them
 * is stored. A recording of both passes stays valid while the number in random_step changes between its submissions.
 *
 * Edges: rows that see no key get d_q = 0 and add nothing, whatever d_out holds there; keys that no query sees get 0.
 * Of lengths, rows beyond a sequence's end get 0; of offsets, rows that no sequence has are not written. Hidden pairs
 * add nothing to any gradient, whatever q, k, v and d_out hold. NaN that is seen propagates. Scores above 10^4 lose
 * digits of P, as lse is an f32. delta is as exact as out's type: with an out of 16 bits d_sinks, which are sums of it,
 * have fewer digits than an f32 out gives them.
 *
 * Of key_lists each entry is a pair of its own, so a key that a query lists twice gets twice the gradient; entries are
 * sorted by keys first, for each key to find the queries that list it. With cosine_scale and relative_keys by ROW only.
 *
 * Not differentiated, and refused: pages and quantised keys and values, which are for inference; permutations (and
 * patterns that have one); score_function; VKA_SELECTION_ARGMAX and SAMPLE. Of the latter only v has a gradient, that
 * of the keys that were chosen, and forward does not say which they were: out and lse are the key's value and its
 * score, but scores have other last bits on other paths, so that of nearly equal ones another key than forward's would
 * be found.
 *
 * Tensors must each fit a binding (vka_device_caps.storage_range), and so must the workspace: 4 bytes for each row of
 * queries, as many with d_alibi_slopes or d_cosine_scale, with cosines for each row of queries and of keys, and 8 D
 * with d_content_bias or d_position_bias; with a pattern 24 for each of its live tiles, which are sorted by columns,
 * and with key_lists at most 16 for each entry and 4 for each key of each head that has lists. Forward's options need a
 * device with 17 storage buffers, as there.
 *
 * @return, threads and lifetime: as vka_attention. */
VKA_OPERATION_FUNCTIONS(attention_backward, ATTENTION_BACKWARD)

#endif
