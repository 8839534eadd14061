/* What C and GLSL share of convolutions whose weights are a softmax. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_DYNAMIC_CONV_H
#define VKA_PARAMS_DYNAMIC_CONV_H

#include "params.h"

/* One convolution. Of x and out b is an entry, h a token, n a channel; of weights n is a head and d a tap. */
VKA_STRUCT(vka_dynamic_conv_params) {
    vka_strides x;
    vka_strides out_;
    vka_strides weight;
    VKA_UINT_ lengths_step;
    VKA_UINT_ tokens;        /* T */
    VKA_UINT_ heads;         /* H */
    VKA_UINT_ head_channels; /* C / H */
    VKA_UINT_ before;        /* taps on tokens before the own one */
    VKA_UINT_ ahead;         /* and after it                      */
}
VKA_END(vka_dynamic_conv_params);

/* Of a workgroup: VKA_SPEC_TC vectors of four channels side by side, VKA_SPEC_BC heads at most; an invocation has
 * VKA_SPEC_RM tokens. VKA_SPEC_BR: K. */

/* Roles of tensors, and VKA_ROLE_X, _OUT. */
#define VKA_ROLE_SHARE_WEIGHT 1

/* And VKA_FLAG_LENGTHS, VKA_FLAG_VEC4. */
#define VKA_FLAG_SHARE_TOKENS     1 /* each token has shares of its own                                   */
#define VKA_FLAG_SHARE_VALID      2 /* of the taps that lie within the sequence                           */
#define VKA_FLAG_SHARE_QUADS      4 /* the channels of a vector of four have one head                     */
#define VKA_FLAG_SHARE_TIME_FIRST 8 /* a channel's tokens lie side by side, not a token's channels        */

/* Bindings, after VKA_BIND_X. */
#define VKA_BIND_SHARE_WEIGHT  2
#define VKA_BIND_SHARE_LENGTHS 3
#define VKA_BIND_SHARE_OUT     4

#endif
