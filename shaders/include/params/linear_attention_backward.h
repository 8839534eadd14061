/* What C and GLSL share of gradients of linear attention. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_LINEAR_ATTENTION_BACKWARD_H
#define VKA_PARAMS_LINEAR_ATTENTION_BACKWARD_H

#include "params.h"

/* One recurrence, backwards. Of states n is a key channel, d a value channel. What is summed over value channels goes to
 * the workspace, dense, in copies of the gradient: one for each block of columns, and for each state that shares a head. */
VKA_STRUCT(vka_linear_attention_backward_params) {
    vka_strides q;
    vka_strides k;
    vka_strides v;
    vka_strides decay;
    vka_strides beta;
    vka_strides d_out;
    vka_strides d_v;
    vka_strides state_in;
    vka_strides d_state_in;
    vka_strides d_state_out;
    VKA_UINT_ batch;
    VKA_UINT_ states;       /* of an entry                                                           */
    VKA_UINT_ tokens;
    VKA_UINT_ value_dim;
    VKA_UINT_ queries;      /* that read a state                                                     */
    VKA_UINT_ q_share;      /* states that have a query head in common                               */
    VKA_UINT_ k_share;      /* states that have a key head in common                                 */
    VKA_UINT_ blocks;       /* of columns                                                            */
    VKA_UINT_ chunk;        /* tokens from one state that is kept to the next one                    */
    VKA_UINT_ chunks;
    VKA_UINT_ d_q;          /* where copies begin in the workspace, in words                         */
    VKA_UINT_ d_k;
    VKA_UINT_ d_decay;
    VKA_UINT_ d_beta;
    VKA_FLOAT_ scale;
}
VKA_END(vka_linear_attention_backward_params);

/* VKA_SPEC_RM: key channels of an invocation. VKA_SPEC_TC: invocations that share a column. */

/* Roles of tensors; states are f32. */
#define VKA_ROLE_LINEAR_D_OF_Q     0
#define VKA_ROLE_LINEAR_D_OF_K     1
#define VKA_ROLE_LINEAR_D_OF_V     2
#define VKA_ROLE_LINEAR_D_V        3
#define VKA_ROLE_LINEAR_D_OF_DECAY 4
#define VKA_ROLE_LINEAR_D_OF_BETA  5
#define VKA_ROLE_LINEAR_D_OUT      6

#define VKA_FLAG_LINEAR_D_DELTA     1
#define VKA_FLAG_LINEAR_D_DECAYS    2
#define VKA_FLAG_LINEAR_D_CHANNELS  4 /* each key channel has a decay of its own       */
#define VKA_FLAG_LINEAR_D_BETAS     8
#define VKA_FLAG_LINEAR_D_STATE_IN  16 /* there is a state_in                          */
#define VKA_FLAG_LINEAR_D_STATE_OUT 32 /* there is a d_state_out                       */
/* Gradients that there are. */
#define VKA_FLAG_LINEAR_D_Q         64
#define VKA_FLAG_LINEAR_D_K         128
#define VKA_FLAG_LINEAR_D_V         256
#define VKA_FLAG_LINEAR_D_DECAY     512
#define VKA_FLAG_LINEAR_D_BETA      1024
#define VKA_FLAG_LINEAR_D_STATE     2048

/* Bindings; those of states last, which need not be there. */
#define VKA_BIND_LINEAR_D_OF_Q      1
#define VKA_BIND_LINEAR_D_OF_K      2
#define VKA_BIND_LINEAR_D_OF_V      3
#define VKA_BIND_LINEAR_D_OF_DECAY  4
#define VKA_BIND_LINEAR_D_OF_BETA   5
#define VKA_BIND_LINEAR_D_OUT       6
#define VKA_BIND_LINEAR_D_WS        7
#define VKA_BIND_LINEAR_D_V         8
#define VKA_BIND_LINEAR_D_OF_STATE  9
#define VKA_BIND_LINEAR_D_STATE_OUT 10
#define VKA_BIND_LINEAR_D_STATE_IN  11

#endif
