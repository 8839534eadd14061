/* What C and GLSL share of linear layers. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_LINEAR_H
#define VKA_PARAMS_LINEAR_H

#include "params.h"
#include "params/activation.h"

/* Rows of x, residual and out are n of the strides, those of the weights are outputs; b and h are batches. */
VKA_STRUCT(vka_linear_params) {
    vka_strides x;
    vka_strides weight;
    vka_strides residual;
    vka_strides out_;
    VKA_UINT_ bias_stride;
    VKA_UINT_ k;       /* columns of x and of the weights                        */
    VKA_UINT_ splits;  /* workgroups that share the columns of an output         */
    VKA_UINT_ split_k; /* columns of each of them; a multiple of 64 */
}
VKA_END(vka_linear_params);

/* Push constants: rows of x, dim1 outputs and dim2 entries of the second batch dimension of a dispatch. */

#define VKA_ROLE_BIAS     1
#define VKA_ROLE_WEIGHT   2
#define VKA_ROLE_RESIDUAL 4

/* Flags, beside the activation's. */
#define VKA_LINEAR_X_VEC4        16   /* rows can be read four, or eight, elements at a time */
#define VKA_LINEAR_X_VEC8        32
#define VKA_LINEAR_WEIGHT_VEC4   64
#define VKA_LINEAR_WEIGHT_VEC8   128
#define VKA_LINEAR_OUT_VEC4      256  /* outputs likewise, and what is added to them         */
#define VKA_LINEAR_RESIDUAL_VEC4 512
#define VKA_LINEAR_BIAS_VEC4     1024
#define VKA_LINEAR_BIAS          2048
#define VKA_LINEAR_RESIDUAL      4096
#define VKA_LINEAR_SPLIT         8192 /* sums go to the workspace                            */
#define VKA_LINEAR_UNIFORM       16384 /* row.comp: weights are loaded once for all lanes    */
#define VKA_LINEAR_INPUTS        (240 | VKA_LINEAR_UNIFORM) /* those that sums depend on     */

/* Bindings, after VKA_BIND_X. */
#define VKA_BIND_LINEAR_WEIGHT    2
#define VKA_BIND_LINEAR_BIAS      3
#define VKA_BIND_LINEAR_RESIDUAL  4
#define VKA_BIND_LINEAR_OUT       5
#define VKA_BIND_LINEAR_WORKSPACE 6

#endif
