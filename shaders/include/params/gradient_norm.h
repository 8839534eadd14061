/* What C and GLSL share of the norm of gradients. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_GRADIENT_NORM_H
#define VKA_PARAMS_GRADIENT_NORM_H

#include "params.h"

#define VKA_GRADIENTS 16

/* The push constants of a sum of squares: x0 columns, y0 its gradient, z0 where its partial sums begin. */
VKA_STRUCT(vka_gradient_norm_params) {
    vka_strides gradient[VKA_GRADIENTS];
    VKA_UINT_ partials; /* sums of all gradients' workgroups                                     */
    VKA_UINT_ interval;
    VKA_FLOAT_ max_norm;
    VKA_FLOAT_ growth;
    VKA_FLOAT_ backoff;
}
VKA_END(vka_gradient_norm_params);

/* Which scalars there are. */
#define VKA_FLAG_NORM_SUM        1
#define VKA_FLAG_NORM_ADD        2 /* to the sum that is there */
#define VKA_FLAG_NORM_NORM       4
#define VKA_FLAG_NORM_GRAD_SCALE 8
#define VKA_FLAG_NORM_LOSS_SCALE 16
#define VKA_FLAG_NORM_UPDATE     64
#define VKA_FLAG_NORM_STEP       128
#define VKA_FLAG_NORM_LIMIT      256

/* Bindings, after VKA_BIND_X. */
#define VKA_BIND_NORM_PARTIALS     2
#define VKA_BIND_NORM_SUM          3
#define VKA_BIND_NORM_NORM         4
#define VKA_BIND_NORM_GRAD_SCALE   5
#define VKA_BIND_NORM_LOSS_SCALE   6
#define VKA_BIND_NORM_FINITE_STEPS 7
#define VKA_BIND_NORM_STEP         8

#endif
