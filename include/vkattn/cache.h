/* vkattn: caches of keys and values.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_CACHE_H
#define VKATTN_CACHE_H

#include <vkattn/rope.h>
#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* New keys and values for a cache. B sequences, Hkv heads, N new tokens each, D and Dv channels, 1 .. 1024.
 *
 * The caches are what vka_attention reads:
 *   [B, Hkv, capacity, D]      a row for each token, or
 *   [pages, Hkv, page size, D] with a page table: token t of sequence b lies in row t % page size of page
 *                              page_table[b][t / page size], and the capacity is columns * page size
 * in f32, f16, bf16, i8, q8_0 or q4_0, keys and values each of their own type. What is not written stays as it is. */
typedef struct vka_cache_append_desc {
    vka_tensor k;       /* [B, Hkv, N, D]; f32, f16 or bf16; absent when only values are appended                     */
    vka_tensor v;       /* [B, Hkv, N, Dv]; likewise; one of the two is required                                      */
    vka_tensor k_cache; /* required with k, written                                                                  */
    vka_tensor v_cache; /* required with v, written; its capacity is k_cache's                                       */
    vka_tensor k_scale; /* f32, written: required with an i8 k_cache, which it scales token by token:                 */
                        /*   [B, Hkv, capacity], or [pages, Hkv, page size]                                         */
    vka_tensor v_scale; /* likewise                                                                                  */
    vka_tensor page_table; /* optional: i32 [B, columns]; then the caches are paged. The page size is a multiple of 8 */

    /* [B]: how many tokens each sequence has already, which is where the new ones go. Absent: none. */
    vka_integers lengths;

    /* Packed sequences of different length: k and v have a batch of 1, and the new tokens of sequence b are the rows
     * offsets[b] .. offsets[b + 1] - 1, at most max_len of them. [sequences + 1], monotone. */
    vka_integers offsets;
    uint32_t sequences; /* of offsets: B of everything else; 0 without offsets                                       */
    uint32_t max_len;   /* of offsets: no sequence has more new tokens, or they are left out; 0 = N. Work follows it  */

    /* Optional: i32 [B], written: lengths plus the new tokens, at most the capacity. A tensor of its own: attend with
     * it and vka_copy it over a `lengths` tensor, and a step that was recorded once goes on by itself. */
    vka_tensor new_lengths;

    /* Rotates keys before they are stored (vka_rope); the first new token of sequence b has the position lengths[b]
     * (plus rope.position_offset; sums beyond 32 bits as there). Values are never rotated. Tables of rank 3 have a row
     * for each row of k. */
    bool rotate;
    vka_rope_options rope; /* not used unless `rotate`                                                              */
} vka_cache_append_desc;

#ifdef __cplusplus
}
#endif

/* Writes new keys and values into a cache, rotated and quantised as asked.
 *
 * Tokens that would lie beyond the capacity are refused when lengths (and offsets) come from the host, and dropped when
 * a tensor has them; lengths from a tensor that are negative count as 0. Tokens whose page does not exist are dropped:
 * nothing is ever written outside of the pages that the table names. Two tokens must not share a row: no page may
 * serve two sequences at the rows that are appended to.
 *
 *     vka_cache_append(recorder, &(vka_cache_append_desc){.k = k, .v = v, .k_cache = keys, .v_cache = values,
 *                                                         .lengths.tensor = lengths, .rotate = true});
 *
 * Quantisation is symmetric: of a token's head (i8) or of a block of 32 channels (q8_0, q4_0), in f32,
 *   scale = max|x| * (1 / 127), rounded to f16 for q8_0, at most 65504 there
 *   q     = x / scale, rounded to the nearest integer, halves to even, clamped to -127 .. 127
 * and of q4_0, m being the first of the largest magnitude, which becomes -8 but for the scale's rounding,
 *   scale = m * (-1 / 8), rounded to f16, of magnitude 65504 at most
 *   half  = x / scale + 8, rounded to the nearest integer, halves to even, clamped to 0 .. 15
 * A largest value below 2^-100, or a block's scale that rounds to 0, stores zeros with a scale of 0. Where a head or
 * block has a NaN or infinite value, zeros with a scale of NaN are stored: all of it reads as NaN, and nothing else
 * does.
 *
 * B = 0 records nothing and succeeds; N = 0 writes new_lengths only. Records and returns; never submits or waits.
 * `desc` may die on return, buffers must live until the recorder's work has completed. On any error nothing is
 * recorded.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (larger than a binding can
 *         see are a single row, of packed new tokens a single head, of paged caches a single page of one head, as for
 *         vka_attention, or lists and tables); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(cache_append, CACHE_APPEND)

#endif
