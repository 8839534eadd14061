/* vkattn: scaled dot-product attention.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_ATTENTION_H
#define VKATTN_ATTENTION_H

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

/* A bound of a window that keeps everything on its side. */
#define VKA_UNBOUNDED INT32_MAX

/* Sliding window: query position p sees the keys p - left <= j <= p + right, both inclusive. Either may be negative
 * (the window then excludes the nearest keys), but left + right must not be. Work follows the window, not Nk. */
typedef struct vka_window {
    bool enabled; /* false: no window, left and right are ignored */
    int32_t left;
    int32_t right;
} vka_window;

/* Which kernel runs. AUTO is right for everything but tests and measurements. */
typedef enum vka_attention_path {
    VKA_PATH_AUTO = 0,    /* chosen from the device's capabilities and the problem                                    */
    VKA_PATH_ROW = 1,     /* an invocation owns query rows, keys come by uniform loads: software drivers              */
    VKA_PATH_TILE = 2,    /* a workgroup owns a query tile, keys are staged in shared memory: GPUs                   */
    VKA_PATH_DECODE = 3,  /* a subgroup owns few query rows, its lanes share each key: decoding                    */
    VKA_PATH_COOPMAT = 4, /* subgroups own query rows and multiply by cooperative matrices; f16 and bf16           */
    VKA_PATH_COOPMAT2 = 5, /* matrices span a tile's rows (VK_NV_cooperative_matrix2); f16 only                    */
} vka_attention_path;

/* How a path cuts its work: the numbers that vka_attention_explain prints. All zero: chosen. */
typedef struct vka_attention_tile {
    uint32_t query_tile;          /* query rows of a workgroup                                                     */
    uint32_t key_tile;            /* keys of a step                                                                */
    uint32_t rows_per_invocation; /* COOPMAT: products stacked in a block of rows                                  */
    uint32_t team;                /* invocations that share rows; DECODE: lanes that share a key; COOPMAT:          */
                                  /*   subgroups that share a block                                                */
} vka_attention_tile;

/* One attention. B batch, Hq query heads, Hkv key/value heads, Nq queries, Nk keys, D and Dv head dimensions. */
typedef struct vka_attention_desc {
    vka_tensor q;   /* required: [B, Hq, Nq, D], any type                                                         */
    vka_tensor k;   /* required: [B, Hkv, Nk, D], same type as q; Hq is a multiple of Hkv, and query head h reads  */
                    /*   key head h / (Hq / Hkv) (GQA, Ainslie 2023; MQA for Hkv = 1)                             */
    vka_tensor v;   /* required: [B, Hkv, Nk, Dv], same type as q                                                 */
    vka_tensor out; /* required: [B, Hq, Nq, Dv], same type as q                                                  */
    vka_tensor lse; /* optional: f32 [B, Hq, Nq], natural log of the sum of exponentials of a row's scores        */

    float scale; /* of q k^T; 0 = 1 / sqrt(D); negative or not finite is refused                                  */

    bool causal; /* keep j <= p                                                                                   */
    vka_diagonal diagonal;
    int32_t diagonal_offset; /* for VKA_DIAGONAL_EXPLICIT; otherwise must be 0                                    */
    vka_window window;

    /* Measurements and tests; leave at zero. */
    vka_attention_path path;
    vka_attention_tile tile; /* one of vka_attention_candidates; needs a path                                     */
    uint32_t splits; /* workgroups that share the keys of one query tile; 0 = chosen; 1 = not split. At most 64.   */

    /* Scratch memory. NULL: the recorder's own. Otherwise at least vka_attention_workspace bytes at the offset, which
     * is a multiple of 256. */
    vka_buffer *workspace;
    uint64_t workspace_offset;
} vka_attention_desc;

/* out = softmax(scale * q k^T, masked) v, in O(N) memory, with scores, softmax state and sums in f32
 * (Vaswani 2017; tiled with an online softmax as in Dao 2022; keys split and merged as in Flash-Decoding, Dao 2023).
 *
 *   q   [B, Hq, Nq, D]    k  [B, Hkv, Nk, D]    v  [B, Hkv, Nk, Dv]    out  [B, Hq, Nq, Dv]    lse  [B, Hq, Nq]
 *
 * D and Dv are independent, 1 .. 256. Any strides. Layouts [B, N, H, D] are the same call with transposed tensors.
 *
 * Edges: a row that sees no key gives out = 0 and lse = -inf, and so does Nk = 0. B = 0 or Nq = 0 records nothing and
 * succeeds. Keys and values that no query may see never reach the output, not even NaN or Inf. NaN in a visible input
 * propagates. The same inputs on the same device give the same bits, every time.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (legal, but no kernel for it
 *         on this device, or a tensor's single head is larger than a binding can see); VKA_OUT_OF_MEMORY;
 *         VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_API vka_status vka_attention(vka_recorder *recorder, const vka_attention_desc *desc);

/* Compiles the pipelines of an attention with this description, so that recording it compiles and allocates nothing.
 * Only types, shapes, strides, alignment of offsets and flags matter; a buffer needs the size of the real one.
 * @return as vka_attention. Threads: any. */
VKA_API vka_status vka_attention_prepare(vka_device *device, const vka_attention_desc *desc);

/* Scratch bytes that recording it needs: 0 unless keys are split. @return as vka_attention. Threads: any. */
VKA_API vka_status vka_attention_workspace(vka_device *device, const vka_attention_desc *desc, uint64_t *bytes);

/* Writes what would run and why, as text with one fact a line, NUL-terminated, at most `capacity` bytes. *length, if
 * not NULL, receives the length that the whole text has without the NUL. @return as vka_attention. Threads: any. */
VKA_API vka_status vka_attention_explain(vka_device *device, const vka_attention_desc *desc, char *text,
                                         size_t capacity, size_t *length);

/* A path and a tile that can run a problem. */
typedef struct vka_attention_candidate {
    vka_attention_path path;
    vka_attention_tile tile;
} vka_attention_candidate;

/* Lists every path and tile that can run an attention with this description (whose path, tile and splits are ignored),
 * for whoever measures them. *count receives how many there are; at most `capacity` are written.
 * @return as vka_attention. Threads: any. */
VKA_API vka_status vka_attention_candidates(vka_device *device, const vka_attention_desc *desc,
                                            vka_attention_candidate *candidates, uint32_t capacity, uint32_t *count);

#ifdef __cplusplus
}
#endif

#endif
