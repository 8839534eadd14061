/* What C and GLSL share of gradients of convolutions whose weights are a softmax. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_DYNAMIC_CONV_BACKWARD_H
#define VKA_PARAMS_DYNAMIC_CONV_BACKWARD_H

#include "params.h"

/* One convolution's gradients. Of strides b is an entry, h a token, n a channel; of weights and shares n is a head and d
 * a tap; of d_weight, which may be of chunks of tokens, h is a chunk. */
VKA_STRUCT(vka_dynamic_conv_backward_params) {
    vka_strides x;
    vka_strides d_out;
    vka_strides d_x;
    vka_strides weight;
    vka_strides shares;
    vka_strides d_weight;
    VKA_UINT_ lengths_step;
    VKA_UINT_ entries;       /* B                                         */
    VKA_UINT_ tokens;        /* T                                         */
    VKA_UINT_ channels;      /* C                                         */
    VKA_UINT_ heads;         /* H                                         */
    VKA_UINT_ head_channels; /* C / H                                     */
    VKA_UINT_ before;        /* taps on tokens before the own one         */
    VKA_UINT_ ahead;         /* and after it                              */
    VKA_UINT_ chunk;         /* tokens whose weights' gradients are added */
    VKA_UINT_ chunks;        /* of an entry                               */
    VKA_UINT_ share_entries; /* entries and tokens that have shares       */
    VKA_UINT_ share_tokens;
}
VKA_END(vka_dynamic_conv_backward_params);

/* VKA_SPEC_BR: K. VKA_SPEC_RM: tokens of an invocation. VKA_SPEC_TC: invocations that share a head's taps. */

/* Roles of tensors, and VKA_ROLE_X, _D_OUT, _OUT (d_x, or d_weight). */
#define VKA_ROLE_SHARE_D_WEIGHT 1 /* weight */

/* And VKA_FLAG_LENGTHS, VKA_FLAG_VEC4. */
#define VKA_FLAG_SHARE_D_VALID      1 /* shares are of the taps that lie within the sequence                   */
#define VKA_FLAG_SHARE_D_QUADS      2 /* the channels of a vector of four have one head                        */
#define VKA_FLAG_SHARE_D_TIME       4 /* a channel's tokens lie side by side, not a token's channels           */
#define VKA_FLAG_SHARE_D_ACCUMULATE 8 /* d_weight is added to what is there                                    */

/* Bindings, after VKA_BIND_X. */
#define VKA_BIND_SHARE_D_OF_WEIGHT 2 /* weight */
#define VKA_BIND_SHARE_D_LENGTHS   3
#define VKA_BIND_SHARE_D_OUT       4
#define VKA_BIND_SHARES            5
#define VKA_BIND_SHARE_D_X         6
#define VKA_BIND_SHARE_D_WEIGHT    7

#endif
