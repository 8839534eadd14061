/* What C and GLSL share of additive attention. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_ADDITIVE_ATTENTION_H
#define VKA_PARAMS_ADDITIVE_ATTENTION_H

#include "params.h"

/* One attention. A dispatch has a slice of the batch, of its heads and of their queries. */
VKA_STRUCT(vka_additive_attention_params) {
    vka_strides q;
    vka_strides k;
    vka_strides v;
    vka_strides mask;
    vka_strides out_;
    vka_strides lse;
    VKA_UINT_ q_len;    /* of all slices                                                           */
    VKA_UINT_ kv_len;
    VKA_UINT_ group;    /* query heads that share a key head                                       */
    VKA_UINT_ vector_h; /* strides of the score vectors, and of the lengths                        */
    VKA_UINT_ vector_d;
    VKA_UINT_ length_b;
    VKA_INT_ diagonal;  /* query i sees keys up to i + diagonal                                    */
}
VKA_END(vka_additive_attention_params);

/* Roles of tensors. */
#define VKA_ROLE_ADDITIVE_Q      0
#define VKA_ROLE_ADDITIVE_K      1
#define VKA_ROLE_ADDITIVE_V      2
#define VKA_ROLE_ADDITIVE_OUT    3
#define VKA_ROLE_ADDITIVE_VECTOR 4
#define VKA_ROLE_ADDITIVE_MASK   5 /* 0: there is none */

/* Flags, with VKA_FLAG_LENGTHS. */
#define VKA_FLAG_ADDITIVE_CAUSAL      1
#define VKA_FLAG_ADDITIVE_OWN         2  /* the diagonal is that of the entry's own length                  */
#define VKA_FLAG_ADDITIVE_LSE         4  /* there is an lse                                                 */
#define VKA_FLAG_ADDITIVE_VEC4_QK     8  /* rows can be read or written four elements at a time             */
#define VKA_FLAG_ADDITIVE_VEC4_V      16
#define VKA_FLAG_ADDITIVE_VEC4_OUT    32
#define VKA_FLAG_ADDITIVE_VEC4_VECTOR 64

/* Bindings. */
#define VKA_BIND_ADDITIVE_Q       1
#define VKA_BIND_ADDITIVE_K       2
#define VKA_BIND_ADDITIVE_V       3
#define VKA_BIND_ADDITIVE_VECTOR  4
#define VKA_BIND_ADDITIVE_MASK    5
#define VKA_BIND_ADDITIVE_LENGTHS 6
#define VKA_BIND_ADDITIVE_OUT     7
#define VKA_BIND_ADDITIVE_LSE     8

#endif
