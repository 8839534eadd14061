/* vkattn: Hadamard transforms of rows.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_HADAMARD_H
#define VKATTN_HADAMARD_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A transform of each block of a row. */
typedef struct vka_hadamard_desc {
    vka_tensor x;   /* required: [.., C]; f32, f16 or bf16; rank 1 to 4; C is even, 2 .. 2^24                         */
    vka_tensor out; /* required: x's shape; f32, f16 or bf16; may be the very same view as x                         */
    uint32_t block; /* columns of a block: a power of two, 2 .. 1024, that divides C; 0 = the largest such one       */
} vka_hadamard_desc;

#ifdef __cplusplus
}
#endif

/* out = x H / sqrt(n) in each block of n columns, where H is the Hadamard matrix in Sylvester's order: H[i][j] is -1
 * where i & j has an odd number of bits, and 1 elsewhere. By log2(n) rounds of sums and differences in f32 (the fast
 * Walsh-Hadamard transform). The matrix is its own inverse and orthogonal: applied twice it gives x, and products of
 * rows stay what they were.
 *
 * So it can be put in front of a quantised cache, which then serves channels that stand out better (QuaRot, Ashkboos
 * 2024), without attention knowing of it: keys and queries by the same blocks, values by their own, and the same once
 * more of attention's output.
 *
 *     vka_hadamard(recorder, &(vka_hadamard_desc){.x = k, .out = k}); // after vka_rope, before vka_cache_append
 *     vka_hadamard(recorder, &(vka_hadamard_desc){.x = v, .out = v});
 *     vka_hadamard(recorder, &(vka_hadamard_desc){.x = q, .out = q});
 *     ..                                                         // vka_cache_append, vka_attention
 *     vka_hadamard(recorder, &(vka_hadamard_desc){.x = out, .out = out});
 *
 * It is an operation of its own, and no option of those two, as it touches new tokens only, and so costs next to
 * nothing beside reading a cache; and as it then serves every path and every type of cache. Rotations by position
 * (vka_rope) come before it: so vka_cache_append's own `rotate` is not for keys that are transformed, nor is vka_rope's
 * `shift` for their caches, as neither commutes with it. Where a projection makes the values, and another takes the
 * output, both transforms of values can be multiplied into their weights instead, once.
 *
 * Backward is the operation itself: d_x = d_out H / sqrt(n), by the same block.
 *
 * Edges: a block with NaN is NaN, one with an infinite value is NaN or infinite, in all of its columns. Nothing else is
 * infinite, unless a result is beyond the type. Rows = 0 records nothing and succeeds.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (a single row is larger than
 *         a binding can see); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(hadamard, HADAMARD)

#endif
