/* vkattn: rotary position embedding.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_ROPE_H
#define VKATTN_ROPE_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How rows of D channels are rotated. Pair k of a row at position p turns by the angle
 * (p + position_offset) * frequency_scale * theta^(-2 k / R), or by what the tables say.
 * All zero: pairs (k, k + D / 2), theta 10000, as in GPT-NeoX and Llama. p + position_offset is -2^31 .. 2^31 - 1: sums
 * beyond are clamped where a tensor has the positions or a table the angles, and refused otherwise. */
typedef struct vka_rope_options {
    uint32_t dims;         /* R: the first R channels are rotated, the others pass through; even, at most D, and at   */
                           /*   most 512 without tables; 0 = D                                                      */
    bool interleaved;      /* pairs are (2 k, 2 k + 1) instead of (k, k + R / 2)                                      */
    float theta;           /* at least 1; 0 = 10000                                                                  */
    float frequency_scale; /* above 0 and at most 1, as for positions interpolated (Chen 2023); 0 = 1                */
    int32_t position_offset;
    /* Optional, both or none: what cosines and sines of pair k are, instead of theta and frequency_scale.
     * vka_rope_tables (vkattn/positions.h) computes them, also as YaRN and others scale them.
     *   [positions, R / 2]   rows are positions; those outside take the first or the last row
     *   [B, N, R / 2]        a row for each row of x, whatever its position; a B of 1 serves all
     * f32, f16 or bf16, both of one type. */
    vka_tensor cos, sin;
} vka_rope_options;

/* One rotation. */
typedef struct vka_rope_desc {
    vka_tensor x; /* required: [B, H, N, D]; f32, f16, bf16, i8, q8_0 or q4_0; D is 1 .. 1024                        */
    vka_tensor out; /* required: x's shape; f32, f16 or bf16; may be the very same view as x, and of quantised x must */
    /* Positions of rows, at most one of the two. Neither: row n has the position n. */
    vka_integers positions;   /* [B]: row n of entry b has the position positions[b] + n                              */
    vka_tensor row_positions; /* i32 [B, N] or [1, N]: each row's own                                                 */
    vka_rope_options options;
    /* Positions are those by which rows move: all rows of entry b are turned by positions[b], or by 0, plus
     * options.position_offset, whatever their number. row_positions are the same with it and without. */
    bool shift;
    vka_tensor scale; /* f32 [B, H, N], written: required with an i8 x, which it scales row by row; refused otherwise */
    bool inverse;     /* turns back: by the same angles the other way                                                */
} vka_rope_desc;

#ifdef __cplusplus
}
#endif

/* Rotates pairs of channels by angles that grow with the position (RoPE, Su 2021):
 *
 *   out1 = cos x1 - sin x2    out2 = sin x1 + cos x2
 *
 * in f32. Angles are multiplied out in integers, so that they are as exact far from the beginning as near to it: to
 * 2^-30 of a turn up to position 2^23; cosines and sines to 2^-23. B, H or N = 0 records nothing and succeeds. Any
 * strides: [B, N, H, D] is the same call with transposed tensors. ONNX's RotaryEmbedding (opset 23) is this with
 * tables.
 *
 *     vka_rope(recorder, &(vka_rope_desc){.x = q, .out = q, .positions.tensor = lengths});
 *
 * Rotations add up: keys that lie rotated in a cache move to other positions when they are turned by the difference.
 * So a context is shifted once its oldest tokens are dropped (of a paged cache, whose pages the table then leaves out,
 * without copying a row), here by 256 positions:
 *
 *     vka_rope(recorder, &(vka_rope_desc){.x = k_cache, .out = k_cache, .scale = k_scale, .shift = true,
 *                                         .options = {.position_offset = -256}});
 *
 * Caches of pages are [pages, Hkv, page size, D], B being pages: positions has a difference for each of them, 0 for
 * those that stay. Tables that scale (YaRN's attention factor) would scale once more; and of a table of positions rows
 * below 0 are the first. Where a quantised row turns by 0, without tables, nothing of it is touched; others get new
 * scales and are rounded as vka_cache_append does it. So each shift costs such a cache up to half a step: its new
 * scale, of a row (i8) or of a block (q8_0, q4_0), divided by 2; of q4_0 up to one, for what is near +8 steps. A row or
 * block with NaN, and those that share pairs with it, become NaN as a whole.
 *
 * Backward is the rotation the other way, of the gradient: all else as forward, and `inverse`.
 *
 *     vka_rope(recorder, &(vka_rope_desc){.x = d_q, .out = d_q, .positions.tensor = lengths, .inverse = true});
 *
 * With tables that scale it is the gradient all the same, though not the inverse: it scales once more.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (a row or a table is larger
 *         than a binding can see); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(rope, ROPE)

#endif
