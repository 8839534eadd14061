/* What C and GLSL share of operations on elements. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_ELEMENTWISE_H
#define VKA_PARAMS_ELEMENTWISE_H

#include "params.h"

/* One operation on elements of up to five tensors; scales, and ids of rows, are tensors too. */
VKA_STRUCT(vka_elementwise_params) {
    vka_strides first;
    vka_strides second;
    vka_strides out_;
    vka_strides third;
    vka_strides fourth;
    VKA_UINT_ cols;  /* of a row: elements, of a copy in units of its type                     */
    VKA_UINT_ units; /* invocations that share a row: each does every units-th vector of it     */
    VKA_UINT_ table; /* rows that there are to look up                                         */
    VKA_FLOAT_ scale;
    VKA_FLOAT_ offset;
    VKA_FLOAT_ rate; /* of AdamW, as the following                                             */
    VKA_FLOAT_ decay;
    VKA_FLOAT_ epsilon;
    VKA_FLOAT_ beta1;
    VKA_FLOAT_ beta2;
    VKA_FLOAT_ log_beta1;
    VKA_FLOAT_ log_beta2;
}
VKA_END(vka_elementwise_params);

#define VKA_ROLE_FIRST  0
#define VKA_ROLE_SECOND 1
#define VKA_ROLE_THIRD  2
#define VKA_ROLE_FOURTH 4

/* Besides VKA_FLAG_X_VEC4, which is the first tensor's, and VKA_FLAG_VEC4, which is the output's. VKA_ACT_SHIFT. */
#define VKA_FLAG_SECOND_VEC4 64
#define VKA_FLAG_AFFINE      128 /* scale and offset are not 1 and 0     */
#define VKA_FLAG_X_SCALE     256 /* x is i8 with a scale for each row    */
#define VKA_FLAG_POSITION    1024
#define VKA_FLAG_MULTIPLY    512 /* the product, not the sum             */
#define VKA_FLAG_THIRD_VEC4  2048
#define VKA_FLAG_FOURTH_VEC4 4096
#define VKA_FLAG_GRAD_SCALE  32768 /* of AdamW: that factor is there      */
#define VKA_FLAG_RATE_SCALE  65536

/* Bindings. */
#define VKA_BIND_FIRST     1
#define VKA_BIND_SECOND    2
#define VKA_BIND_RESULT    3
#define VKA_BIND_THIRD     4
#define VKA_BIND_FOURTH    5
#define VKA_BIND_GRAD_SCALE 6
#define VKA_BIND_STEP       7
#define VKA_BIND_RATE_SCALE 8

#endif
