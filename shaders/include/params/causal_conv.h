/* What C and GLSL share of causal convolutions. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_CAUSAL_CONV_H
#define VKA_PARAMS_CAUSAL_CONV_H

#include "params.h"
#include "params/activation.h"

/* One convolution. Of strides b is an entry, h a token, n a channel. */
VKA_STRUCT(vka_causal_conv_params) {
    vka_strides x;
    vka_strides out_;
    vka_strides state_in;
    vka_strides state_out;
    vka_strides weight; /* n of a channel, d of a tap                                                  */
    VKA_UINT_ bias_step;
    VKA_UINT_ taps; /* K                                                                           */
    VKA_UINT_ run;  /* tokens of an invocation, at most                                            */
}
VKA_END(vka_causal_conv_params);

/* VKA_SPEC_RM: taps that an invocation keeps in registers, all of them; 0: they are read again for each token. */
#define VKA_CONV_MAX_HELD 8

/* Roles of tensors, and VKA_ROLE_X, _OUT. */
#define VKA_ROLE_CONV_WEIGHT    1
#define VKA_ROLE_CONV_BIAS      2
#define VKA_ROLE_CONV_STATE_IN  4
#define VKA_ROLE_CONV_STATE_OUT 5

/* And VKA_FLAG_VEC4, and an activation. */
#define VKA_FLAG_CONV_BIAS       1
#define VKA_FLAG_CONV_STATE_IN   2
#define VKA_FLAG_CONV_STATE_OUT  4
#define VKA_FLAG_CONV_TIME_FIRST 8 /* a channel's tokens lie side by side, not a token's channels           */

/* Bindings, after VKA_BIND_X. */
#define VKA_BIND_CONV_WEIGHT    2
#define VKA_BIND_CONV_BIAS      3
#define VKA_BIND_CONV_STATE_IN  4
#define VKA_BIND_CONV_STATE_OUT 5
#define VKA_BIND_CONV_OUT       6

#endif
