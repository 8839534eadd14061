/* What C and GLSL share of linear attention. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_LINEAR_ATTENTION_H
#define VKA_PARAMS_LINEAR_ATTENTION_H

#include "params.h"

/* One recurrence. Of states n is a key channel, d a value channel. */
VKA_STRUCT(vka_linear_attention_params) {
    vka_strides q;
    vka_strides k;
    vka_strides v;
    vka_strides decay;
    vka_strides beta;
    vka_strides out_;
    vka_strides state_in;
    vka_strides state_out;
    VKA_UINT_ value_dim;
    VKA_UINT_ queries; /* that read a state: query heads, and rows of the output                    */
    VKA_UINT_ q_share; /* states that have a query head in common                                   */
    VKA_UINT_ k_share; /* states that have a key head in common                                     */
    VKA_FLOAT_ scale;
}
VKA_END(vka_linear_attention_params);

/* Roles of tensors; states are f32. */
#define VKA_ROLE_LINEAR_Q     0
#define VKA_ROLE_LINEAR_K     1
#define VKA_ROLE_LINEAR_V     2
#define VKA_ROLE_LINEAR_OUT   3
#define VKA_ROLE_LINEAR_DECAY 4
#define VKA_ROLE_LINEAR_BETA  5

#define VKA_FLAG_LINEAR_DELTA      1   /* what the state has for a key is subtracted from its value         */
#define VKA_FLAG_LINEAR_DECAY      2   /* the state decays                                                  */
#define VKA_FLAG_LINEAR_CHANNELS   4   /* each key channel has a decay of its own                           */
#define VKA_FLAG_LINEAR_BETA       8   /* there is a beta                                                   */
#define VKA_FLAG_LINEAR_STATE_OUT  16  /* the state is stored                                               */
#define VKA_FLAG_LINEAR_VEC4_Q     32  /* rows can be read or written four elements at a time               */
#define VKA_FLAG_LINEAR_VEC4_K     64
#define VKA_FLAG_LINEAR_VEC4_V     128
#define VKA_FLAG_LINEAR_VEC4_OUT   256
#define VKA_FLAG_LINEAR_VEC4_DECAY 512
#define VKA_FLAG_LINEAR_VEC4_STATE 1024

/* push.z0: where the state comes from. */
#define VKA_LINEAR_FROM_ZERO 0
#define VKA_LINEAR_FROM_IN   1
#define VKA_LINEAR_FROM_OUT  2 /* what the dispatch before stored                                        */

/* Bindings. */
#define VKA_BIND_LINEAR_Q         1
#define VKA_BIND_LINEAR_K         2
#define VKA_BIND_LINEAR_V         3
#define VKA_BIND_LINEAR_DECAY     4
#define VKA_BIND_LINEAR_BETA      5
#define VKA_BIND_LINEAR_OUT       6
#define VKA_BIND_LINEAR_STATE_IN  7
#define VKA_BIND_LINEAR_STATE_OUT 8

#endif
