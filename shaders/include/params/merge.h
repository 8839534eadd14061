/* What C and GLSL share of merges. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_MERGE_H
#define VKA_PARAMS_MERGE_H

#include "params.h"

/* One merge of two attentions. */
VKA_STRUCT(vka_merge_params) {
    vka_strides a;
    vka_strides b;
    vka_strides a_lse;
    vka_strides b_lse;
    vka_strides out_;
    vka_strides lse;
    VKA_UINT_ cols; /* Dv */
}
VKA_END(vka_merge_params);

/* The gradient of one with respect to a. */
VKA_STRUCT(vka_merge_backward_params) {
    vka_strides a;
    vka_strides b;
    vka_strides a_lse;
    vka_strides b_lse;
    vka_strides d_out;
    vka_strides d_lse;
    vka_strides d_a;
    vka_strides d_a_lse;
    VKA_UINT_ cols; /* Dv */
}
VKA_END(vka_merge_backward_params);

#define VKA_ROLE_A 0
#define VKA_ROLE_B 1
#define VKA_ROLE_MERGE_D_OUT 2

#define VKA_FLAG_MERGED_LSE 2 /* the log-sum-exp is wanted; of backward: it has a gradient */
#define VKA_FLAG_D_A_LSE    4

/* Bindings. */
#define VKA_BIND_A          1
#define VKA_BIND_B          2
#define VKA_BIND_A_LSE      3
#define VKA_BIND_B_LSE      4
#define VKA_BIND_MERGED     5
#define VKA_BIND_MERGED_LSE 6
/* Of backward. */
#define VKA_BIND_MERGE_D_OUT 5
#define VKA_BIND_MERGE_D_LSE 6
#define VKA_BIND_D_A        7
#define VKA_BIND_D_A_LSE    8

#endif
