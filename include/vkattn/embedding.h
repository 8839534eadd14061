/* vkattn: embeddings.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_EMBEDDING_H
#define VKATTN_EMBEDDING_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Rows of a table. */
typedef struct vka_embedding_desc {
    vka_tensor table;    /* required: [V, C]; f32, f16, bf16, q8_0 or q4_0                                           */
    vka_tensor ids;      /* required: i32, out's shape without the last dimension (rank 1 with out: [1]); of any     */
                         /*   strides, read when the commands run                                                    */
    vka_tensor out;      /* required: [.., C]; f32, f16 or bf16; rank 1 to 4                                         */
    vka_tensor position; /* optional: what is added to each row; f32, f16 or bf16. Dimensions of 1, or none in       */
                         /*   front, broadcast to out's: [N, C] serves a batch of [B, N, C]                          */
    float scale;         /* of the table's rows; finite; 0 = 1                                                       */
} vka_embedding_desc;

/* The gradients of an embedding. */
typedef struct vka_embedding_backward_desc {
    vka_tensor ids;        /* required: forward's                                                                    */
    vka_tensor d_out;      /* required: [.., C], the gradient of forward's out; f32, f16 or bf16; rank 1 to 4         */
    vka_tensor d_table;    /* optional, written: [V, C]; f32, f16 or bf16                                             */
    vka_tensor d_position; /* optional, written: position's shape; f32, f16 or bf16. It is summed over what broadcast */
    uint32_t table_rows;   /* V, where d_table is absent; 0: d_table's                                               */
    float scale;           /* forward's; finite; 0 = 1                                                               */
    bool accumulate;       /* gradients are added to what is there                                                   */
    vka_workspace workspace; /* scratch memory; all zero: the recorder's own                                          */
} vka_embedding_backward_desc;

#ifdef __cplusplus
}
#endif

/* out[i] = table[ids[i]] * scale + position[i], in f32:
 *
 *     vka_embedding(recorder, &(vka_embedding_desc){.table = w, .ids = tokens, .out = x});
 *     .position = vka_tensor_2d(table_of_positions, VKA_F32, N, C)
 *
 * Positions are learned ones, or those of vka_sinusoidal_positions (vkattn/positions.h). Where tokens begin at position
 * n, their offset is that of row n.
 *
 * An id that is not 0 .. V - 1 gives a row of zeros, without scale and position: padding has an id of -1. A table that
 * a binding can't see is read in parts, a dispatch each. No ids, or C = 0, records nothing and succeeds.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (a row is larger than a
 *         binding can see, or there are 2^32 of them); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(embedding, EMBEDDING)

/* The gradients of out[i] = table[ids[i]] * scale + position[i]:
 *
 *   d_table[v] = scale * sum of d_out[i] where ids[i] = v    d_position = sum of d_out
 *
 *     vka_embedding_backward(recorder, &(vka_embedding_backward_desc){.ids = tokens, .d_out = g, .d_table = d_w});
 *
 * Rows whose id is not 0 .. V - 1 contribute to neither. All rows of the table are written, those that no id names with
 * 0 unless `accumulate` keeps them. Ids are sorted by counting, and each row of the table sums its own in their order,
 * in f32: the same bits every time. That takes time for ids and rows of the table, not for their product; the sums of
 * one row wait for each other, so ids of which most are the same take longer.
 *
 * d_out must fit a binding, and d_position. C = 0 records nothing and succeeds. Records and returns; the rest as
 * vka_embedding.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(embedding_backward, EMBEDDING_BACKWARD)

#endif
