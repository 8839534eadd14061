/* What C and GLSL share of cross entropy. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_CROSS_ENTROPY_H
#define VKA_PARAMS_CROSS_ENTROPY_H

#include "params.h"

/* One cross entropy. Rows lie in up to three leading dimensions: b, h and n of the strides. */
VKA_STRUCT(vka_cross_entropy_params) {
    vka_strides x;
    vka_strides targets;
    vka_strides loss;
    vka_strides lse;
    VKA_UINT_ cols;
    VKA_FLOAT_ exp_scale; /* as softmax has it, of a scale of 1                                         */
    VKA_FLOAT_ smoothing;
    VKA_INT_ ignored;
    VKA_UINT_ rows_h; /* of all: sizes of the second and third dimension of rows                     */
    VKA_UINT_ rows_n;
    VKA_UINT_ rows; /* of all                                                                          */
    VKA_UINT_ unused;
}
VKA_END(vka_cross_entropy_params);

/* The gradient of one. */
VKA_STRUCT(vka_cross_entropy_backward_params) {
    vka_strides x;
    vka_strides targets;
    vka_strides lse;
    vka_strides d_loss;
    vka_strides d_lse;
    vka_strides d_x;
    vka_strides all_targets; /* of all rows, not of those of a dispatch */
    VKA_UINT_ cols;
    VKA_FLOAT_ exp_scale;
    VKA_FLOAT_ smoothing;
    VKA_INT_ ignored;
    VKA_UINT_ rows_h;
    VKA_UINT_ rows_n;
    VKA_UINT_ rows;
    VKA_UINT_ unused;
}
VKA_END(vka_cross_entropy_backward_params);

#define VKA_FLAG_LOSS      256 /* a loss of each row is wanted                         */
#define VKA_FLAG_LSE_OUT   512
#define VKA_FLAG_TOTAL     1024 /* losses are stored for the total                      */
#define VKA_FLAG_SMOOTHING 2048
#define VKA_FLAG_MEAN_LOSS 4096 /* the total is their mean                              */

/* Of gradients those are the flags of d_loss, d_lse and d_total. */
#define VKA_FLAG_LSE_IN    8388608 /* log-sum-exps are given */

/* Bindings, after VKA_BIND_X. */
#define VKA_BIND_TARGETS    2
#define VKA_BIND_LOSS       3
#define VKA_BIND_LOSS_LSE   4
#define VKA_BIND_TOTAL      5
#define VKA_BIND_ROW_LOSSES 6 /* the workspace: a loss of each row */

/* Of gradients, besides VKA_BIND_TARGETS. */
#define VKA_BIND_D_LOSS   3
#define VKA_BIND_LSE_IN   4
#define VKA_BIND_D_TOTAL  5
#define VKA_BIND_SHARE    6 /* the workspace: a row's share of the mean */
#define VKA_BIND_D_LSE    7
#define VKA_BIND_D_LOGITS 8

/* In the workspace: the row does not count. */
#define VKA_LOSS_IGNORED 0xffffffffu

#endif
