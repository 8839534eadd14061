/* What C and GLSL share of softmax over rows. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_SOFTMAX_H
#define VKA_PARAMS_SOFTMAX_H

#include "params.h"

/* One softmax. Rows lie in up to three leading dimensions: b, h and n of the strides. */
VKA_STRUCT(vka_softmax_params) {
    vka_strides x;
    vka_strides out_;
    vka_strides lengths; /* of the dimension that has lengths; the others are 0 */
    VKA_UINT_ cols;
    VKA_FLOAT_ exp_scale; /* of differences of halves of x: 2 scale log2(e), for exp2 */
    VKA_FLOAT_ log_scale; /* the same, for results that are logarithms: 2 scale        */
    VKA_UINT_ unused;
}
VKA_END(vka_softmax_params);

/* The gradient of one. */
VKA_STRUCT(vka_softmax_backward_params) {
    vka_strides y;
    vka_strides g;
    vka_strides dx;
    vka_strides lengths;
    VKA_UINT_ cols;
    VKA_FLOAT_ scale;
    VKA_UINT_ unused0;
    VKA_UINT_ unused1;
}
VKA_END(vka_softmax_backward_params);

#define VKA_FLAG_LOG 256 /* softmax: results are logarithms */

/* Bindings, after VKA_BIND_X. */
#define VKA_BIND_ROW_LENGTHS   2
#define VKA_BIND_SOFTMAX       3
#define VKA_BIND_SOFTMAX_D_OUT 4

#endif
