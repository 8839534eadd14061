/* What C and GLSL share of gradients of causal convolutions. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_CAUSAL_CONV_BACKWARD_H
#define VKA_PARAMS_CAUSAL_CONV_BACKWARD_H

#include "params.h"

/* One convolution's gradients. Of strides b is an entry, h a token, n a channel. g is the gradient before the
 * activation. */
VKA_STRUCT(vka_causal_conv_backward_params) {
    vka_strides x;
    vka_strides state_in;
    vka_strides g;
    vka_strides d_x;
    vka_strides d_state_in;
    vka_strides d_state_out;
    vka_strides weight; /* n of a channel, d of a tap                                                  */
    VKA_UINT_ entries;  /* B                                                                           */
    VKA_UINT_ tokens;   /* T                                                                           */
    VKA_UINT_ channels; /* C                                                                           */
    VKA_UINT_ taps;     /* K                                                                           */
    VKA_UINT_ run;      /* inputs of an invocation, at most                                            */
    VKA_UINT_ chunk;    /* tokens of all entries that an invocation sums for weights, at most          */
    VKA_UINT_ chunks;
}
VKA_END(vka_causal_conv_backward_params);

/* VKA_SPEC_RM of inputs' gradients: as of the convolution. Of weights': taps whose sums an invocation owns. */

/* Roles of tensors, and VKA_ROLE_X, _D_OUT (g), _OUT (d_x). */
#define VKA_ROLE_CONV_D_WEIGHT     1 /* weight */
#define VKA_ROLE_CONV_D_STATE_IN   4
#define VKA_ROLE_CONV_D_STATE_OUT  5
#define VKA_ROLE_CONV_D_OF_STATE   6 /* state_in */

/* And VKA_FLAG_VEC4. */
#define VKA_FLAG_CONV_D_X         1
#define VKA_FLAG_CONV_D_STATE_IN  2
#define VKA_FLAG_CONV_D_STATE_OUT 4
#define VKA_FLAG_CONV_D_STATE     8  /* there is a state_in                                                 */
#define VKA_FLAG_CONV_D_TIME      16 /* a channel's tokens lie side by side, not a token's channels         */

/* Bindings, after VKA_BIND_X. */
#define VKA_BIND_CONV_D_WEIGHT    2 /* weight */
#define VKA_BIND_CONV_G           3
#define VKA_BIND_CONV_D_OF_STATE  4 /* state_in */
#define VKA_BIND_CONV_D_STATE_OUT 5
#define VKA_BIND_CONV_D_X         6
#define VKA_BIND_CONV_D_STATE_IN  7
#define VKA_BIND_CONV_PARTIALS    8

#endif
