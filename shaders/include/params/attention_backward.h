/* What C and GLSL share of the backward pass of attention. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_ATTENTION_BACKWARD_H
#define VKA_PARAMS_ATTENTION_BACKWARD_H

#include "params/attention.h"

/* Comes before vka_attention_params, which says what the forward pass did. */
VKA_STRUCT(vka_attention_backward_params) {
    vka_strides d_out;
    vka_strides d_lse;
    vka_strides d_q;
    vka_strides d_k;
    vka_strides d_v;
    vka_strides d_mask;
    vka_strides mask_size;     /* its shape                                                                     */
    vka_strides d_relative;    /* h of a head, n and d of a row and a column                                    */
    vka_strides relative_size; /* its shape; b is 1                                                             */
    vka_strides d_relative_keys;
    vka_strides d_content;     /* n of a head */
    vka_strides d_position;
    vka_strides key_norm;  /* of a key's 1 / length in the workspace; d: where they begin                              */
    vka_strides delta;     /* of a row's number in the workspace; d: where the rows' sums for ALiBi begin              */
    VKA_UINT_ out_rows;    /* batches, heads and rows of the output, as a tensor                                       */
    VKA_UINT_ out_heads;
    VKA_UINT_ out_batches;
    VKA_UINT_ key_batches;  /* and those of keys                                                                      */
    VKA_UINT_ sequences;
    VKA_UINT_ sharers;     /* sequences whose keys are the same rows                                                   */
    VKA_FLOAT_ grad_scale; /* a gradient of a score to that of q . k                                                   */
    VKA_UINT_ d_sinks_step;
    VKA_UINT_ d_alibi_step; /* or of cosines' factors                                                                 */
    VKA_UINT_ query_norms;  /* where queries' 1 / length begin in the workspace, in the order of deltas               */
    VKA_UINT_ parts;        /* where rows' parts of d_q begin, D4 vectors each: all by keys, then all by positions    */
    VKA_UINT_ relative_heads; /* heads that share a row of relative keys                                              */
    /* Of a block map's tiles by columns, or of the entries of lists by keys, in the workspace, in words: */
    VKA_UINT_ map_columns;    /* a map's columns of tiles                                                             */
    VKA_UINT_ column_ends;    /* where it says where each column's tiles, or key's entries, end, head by head         */
    VKA_UINT_ column_row;     /* of lists: from there on to where it says so for the next one's heads                 */
    VKA_UINT_ column_tiles;   /* where tiles lie in that order, two words each: row and bits; or entries, each head's */
}
VKA_END(vka_attention_backward_params);

/* Types of kernels with products (VKA_WITH_PRODUCTS) that have no field among the others, in VKA_SPEC_COLS. */
#define VKA_PRODUCT_TYPE_KEYS 0 /* relative keys                                                                          */
#define VKA_PRODUCT_TYPE_BIAS 1 /* biases of queries                                                                      */

/* Roles of tensors: in VKA_ROLE_OUT is the output's gradient, but for the first pass, which reads both. */
#define VKA_ROLE_DELTA_D_OUT 5 /* of the first pass                      */
#define VKA_ROLE_GRAD   5 /* what is written: of q, k, or biases    */
#define VKA_ROLE_GRAD_V 6

/* Bindings. Those of the gradients differ between kernels with and without options: VKA_OPTION_BIND is added. */
#define VKA_BIND_D_OUT       VKA_BIND_OUT
#define VKA_BIND_GRAD        7
#define VKA_BIND_GRAD_V      8
#define VKA_OPTION_BIND      7
/* Of the first pass. */
#define VKA_BIND_DELTA_OUT   1
#define VKA_BIND_DELTA_D_OUT 2
#define VKA_BIND_DELTA_D_LSE 3
/* Of sums over all rows of a head. */
#define VKA_BIND_D_SINKS     14
#define VKA_BIND_D_ALIBI     15

/* Flags, in places of those that this pass has no use for. VKA_FLAG_VEC4_OUT is about the output's gradient, but in the
 * first pass. */
#define VKA_FLAG_VEC4_GRAD   VKA_FLAG_LSE
#define VKA_FLAG_VEC4_GRAD_V VKA_FLAG_STATS
#define VKA_FLAG_D_PARTS     VKA_FLAG_VEC4_MASK /* rows' two parts of d_q are wanted: see `parts` */
#define VKA_FLAG_BY_POSITION VKA_FLAG_VEC4_MASK /* of sums of such parts */
#define VKA_FLAG_D_ALIBI     1073741824 /* the gradients of slopes, or of cosines' factors, are wanted */
#define VKA_FLAG_D_SINKS     2147483648u
#define VKA_BACKWARD_FLAGS   (VKA_FLAG_LSE | VKA_FLAG_STATS | VKA_FLAG_VEC4_MASK)
/* Of the first pass. */
#define VKA_FLAG_VEC4_D_OUT  33554432
#define VKA_FLAG_D_LSE       268435456

#endif
