/* What C and GLSL share of gradients of additive attention. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_ADDITIVE_ATTENTION_BACKWARD_H
#define VKA_PARAMS_ADDITIVE_ATTENTION_BACKWARD_H

#include "params.h"

/* One attention's gradients. */
VKA_STRUCT(vka_additive_attention_backward_params) {
    vka_strides q;
    vka_strides k;
    vka_strides v;
    vka_strides mask;
    vka_strides out_;
    vka_strides lse;
    vka_strides d_out;
    vka_strides d_lse;
    vka_strides d_q;
    vka_strides d_k;
    vka_strides d_v;
    vka_strides d_mask;
    vka_strides d_mask_size;
    VKA_UINT_ batch;
    VKA_UINT_ heads;    /* of queries                                                              */
    VKA_UINT_ group;    /* query heads that share a key head                                       */
    VKA_UINT_ q_len;
    VKA_UINT_ kv_len;
    VKA_UINT_ vector_h; /* strides of the score vectors, and of the lengths                        */
    VKA_UINT_ vector_d;
    VKA_UINT_ length_b;
    VKA_INT_ diagonal;  /* query i sees keys up to i + diagonal; no entry's own one is above that  */
}
VKA_END(vka_additive_attention_backward_params);

/* Words of a query's statistics, in the workspace: its lse, delta, and how many keys it may see at most. */
#define VKA_ADDITIVE_STATS       3
#define VKA_ADDITIVE_STATS_LSE   0
#define VKA_ADDITIVE_STATS_DELTA 1
#define VKA_ADDITIVE_STATS_KEYS  2

/* VKA_SPEC_TC: invocations that share a row. VKA_SPEC_COLS: vectors of channels that each has, VKA_SPEC_RM: vectors of
 * values. VKA_SPEC_BC: partners of a step. */

/* Roles of tensors. */
#define VKA_ROLE_ADDITIVE_D_OF_Q      0
#define VKA_ROLE_ADDITIVE_D_OF_K      1
#define VKA_ROLE_ADDITIVE_D_OF_V      2
#define VKA_ROLE_ADDITIVE_D_RESULT    3 /* d_q, d_k, d_mask                     */
#define VKA_ROLE_ADDITIVE_D_OF_VECTOR 4
#define VKA_ROLE_ADDITIVE_D_OF_MASK   5
#define VKA_ROLE_ADDITIVE_D_OUT       6
#define VKA_ROLE_ADDITIVE_D_V         7 /* d_v, or out                          */

/* Flags, with VKA_FLAG_LENGTHS. */
#define VKA_FLAG_ADDITIVE_D_CAUSAL      1
#define VKA_FLAG_ADDITIVE_D_OWN         2  /* the diagonal is that of the entry's own length                  */
#define VKA_FLAG_ADDITIVE_D_LSE         4  /* there is a d_lse                                                */
#define VKA_FLAG_ADDITIVE_D_RESULT      8  /* there is a d_q, or d_k                                          */
#define VKA_FLAG_ADDITIVE_D_OTHER       16 /* there is a d_score_vector, or d_v                               */
#define VKA_FLAG_ADDITIVE_D_ACCUMULATE  32 /* d_mask is added to what is there                                */
#define VKA_FLAG_ADDITIVE_D_VEC4_QK     64 /* rows can be read or written four elements at a time             */
#define VKA_FLAG_ADDITIVE_D_VEC4_V      256
#define VKA_FLAG_ADDITIVE_D_VEC4_RESULT 512
#define VKA_FLAG_ADDITIVE_D_VEC4_OTHER  1024

/* Bindings. */
#define VKA_BIND_ADDITIVE_D_OF_Q      1
#define VKA_BIND_ADDITIVE_D_OF_K      2
#define VKA_BIND_ADDITIVE_D_OF_V      3
#define VKA_BIND_ADDITIVE_D_OF_VECTOR 4
#define VKA_BIND_ADDITIVE_D_OUT       5
#define VKA_BIND_ADDITIVE_D_STATS     6
#define VKA_BIND_ADDITIVE_D_RESULT    7 /* d_q, d_k, d_mask                         */
#define VKA_BIND_ADDITIVE_D_OTHER     8 /* d_v, partial sums of score vectors       */
#define VKA_BIND_ADDITIVE_D_OF_MASK   9
/* Of statistics, instead. */
#define VKA_BIND_ADDITIVE_D_OF_OUT    1
#define VKA_BIND_ADDITIVE_D_OF_LSE    2
#define VKA_BIND_ADDITIVE_D_LSE       3
#define VKA_BIND_ADDITIVE_D_LENGTHS   4

#endif
