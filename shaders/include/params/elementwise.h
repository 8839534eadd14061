/* What C and GLSL share of operations on elements. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_ELEMENTWISE_H
#define VKA_PARAMS_ELEMENTWISE_H

#include "params.h"

/* One operation on elements of one or two tensors; scales, and ids of rows, are tensors too. */
VKA_STRUCT(vka_elementwise_params) {
    vka_strides first;
    vka_strides second;
    vka_strides out_;
    vka_strides third;
    VKA_UINT_ cols;  /* of a row: elements, of a copy in units of its type                     */
    VKA_UINT_ units; /* invocations that share a row: each does every units-th vector of it     */
    VKA_UINT_ table; /* rows that there are to look up                                         */
    VKA_FLOAT_ scale;
    VKA_FLOAT_ offset;
}
VKA_END(vka_elementwise_params);

#define VKA_ROLE_FIRST  0
#define VKA_ROLE_SECOND 1

/* Besides VKA_FLAG_X_VEC4, which is the first tensor's, and VKA_FLAG_VEC4, which is the output's. VKA_ACT_SHIFT. */
#define VKA_FLAG_SECOND_VEC4 64
#define VKA_FLAG_AFFINE      128 /* scale and offset are not 1 and 0     */
#define VKA_FLAG_X_SCALE     256 /* x is i8 with a scale for each row    */
#define VKA_FLAG_POSITION    1024
#define VKA_FLAG_MULTIPLY    512 /* the product, not the sum             */

/* Bindings. */
#define VKA_BIND_FIRST     1
#define VKA_BIND_SECOND    2
#define VKA_BIND_RESULT    3
#define VKA_BIND_THIRD 4

#endif
