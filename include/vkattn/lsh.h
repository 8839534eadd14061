/* vkattn: tokens sorted by locality-sensitive hashes, for attention among tokens that are alike.
 * SPDX-License-Identifier: MIT
 *
 * REFORMER (Kitaev 2020)
 *
 * Queries are keys as well (q has Hkv = Hq heads), and a token attends to the tokens of its own chunk of a sorted
 * order, and of the one before. Of several rounds, each with a rotation of its own, the results are merged:
 *
 *   vka_lsh_sort(recorder, {.x = q, .rotations = .., .bucket_count = {64}, .permutation = permutation, .keys = k});
 *   for every round r:
 *     vka_attention(recorder, {.q = q, .k = k, .v = v, .permutation = vka_lsh_round(permutation, r), .pattern = chunks,
 *                              .scale = 1, .causal = true, .relative_bias = {0, -1e5, 0}, .relative_zero = 1, ..});
 *   vka_attention_merge(..) of the rounds' results, one after the other
 *
 * where chunks is a pattern of one term, VKA_PATTERN_CHUNKS {.size = 64, .before = 1}.
 * The relative bias is what makes a token attend to itself only when it sees nobody else. As keys are of length 1, the
 * scale is 1. examples/reformer.c is the whole program. */
#ifndef VKATTN_LSH_H
#define VKATTN_LSH_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One sort. B batch, H heads, N tokens, D channels; rounds: sorts of the same tokens by hashes of their own. */
typedef struct vka_lsh_sort_desc {
    vka_tensor x;         /* required: [B, H, N, D]: what is hashed, Reformer's queries; f32, f16 or bf16; D is    */
                          /*   1 .. 1024                                                                           */
    vka_tensor rotations; /* required: f32 [rounds, H, D, columns], or [rounds, 1, D, columns] for all heads       */
                          /*   alike: random matrices, as vka_lsh_rotations makes them; at least 1 round, columns  */
                          /*   = (bucket_count[0] + bucket_count[1]) / 2                                           */
    /* Buckets of a hash: even, at least 2. The second one is for long sequences, which want many: 0 = none; otherwise a
     * token is hashed twice, by the first and by the other columns, to bucket first + bucket_count[0] * second. At most
     * 65536 buckets altogether. Reformer has some 2 N / chunk size of them. */
    uint32_t bucket_count[2];

    vka_integers lengths; /* optional: [B]: entry b has that many tokens, at its beginning. Values from a tensor   */
                          /*   are clamped to 0 .. N; wrong values of the host are refused                         */

    /* Required: i32 [rounds, B, H, N]: the token in each slot. Slots from an entry's length on hold -1. vka_lsh_round
     * makes it what vka_attention_desc.permutation takes. */
    vka_tensor permutation;
    vka_tensor buckets; /* optional: i32 [rounds, B, H, N]: each token's bucket; -1 of tokens from the length on   */
    vka_tensor keys;    /* optional: [B, H, N, D]: x / sqrt(|x|^2 + D epsilon), with |x|^2 summed in f32; f32, f16 */
                        /*   or bf16. Tokens from the length on are not written                                    */
    float epsilon;      /* 0 = 1e-6; negative or not finite is refused                                             */

    vka_workspace workspace; /* scratch memory; all zero: the recorder's own */
} vka_lsh_sort_desc;

/* Random rotations for the host to upload: numbers first .. first + count - 1 of the normal distribution that a seed
 * stands for. Numbers 4 i .. 4 i + 3 come of the words w0 .. w3 of Philox4x32-10 (Salmon 2011) with the counter {i's
 * low word, i's high word, 0, 0} and the key seed (low word first), by Box and Muller in float64, rounded to f32: of
 * (w0, w1)
 *
 *   r cos(2 pi w1 2^-32), r sin(2 pi w1 2^-32)    with    r = sqrt(-2 log((w0 + 0.5) 2^-32))
 *
 * and of (w2, w3) likewise. Another C library may round the last bit otherwise. Threads: any. */
VKA_API void vka_lsh_rotations(uint64_t seed, uint64_t first, size_t count, float *values);

/* The permutation, or the buckets, of one round, as a tensor [B, H, N]. A round that a tensor of rank 4 does not have
 * leaves it unchanged, and so do other ranks. Threads: any. */
VKA_API vka_tensor vka_lsh_round(vka_tensor rounds, uint32_t round);

#ifdef __cplusplus
}
#endif

/* Hashes tokens so that vectors of about one direction likely share a bucket, and sorts them by bucket, and by position
 * within a bucket (Reformer, Kitaev 2020; the hash: Andoni 2015):
 *
 *   p = x R    bucket = argmax [p, -p], the first of equals    permutation = stable sort of 0 .. N - 1 by bucket
 *
 * with sums in f32: where the two largest are closer than their rounding errors, either may win. A NaN never does, and
 * a token all of whose products are NaN has bucket 0; every token has a bucket and every slot one token, whatever x
 * holds. The same inputs on the same device give the same bits, every time. Any strides. B, H or N = 0 records nothing
 * and succeeds.
 *
 *     vka_lsh_sort(recorder, &(vka_lsh_sort_desc){.x = x, .rotations = rotations, .bucket_count = {64},
 *                                                 .permutation = permutation, .workspace = scratch});
 *
 * A permutation is not differentiable: nothing goes back through it to x or the rotations (nor does it in Reformer).
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (rotations, or a single head
 *         of a tensor or of the workspace, are larger than a binding can see); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(lsh_sort, LSH_SORT)

#endif
