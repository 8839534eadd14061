/* What C and GLSL share of norms over rows. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_NORM_H
#define VKA_PARAMS_NORM_H

#include "params.h"

/* One norm. Rows lie in up to three leading dimensions: b, h and n of the strides. A group of channels is a row, too,
 * of several runs: group h of batch entry b. */
VKA_STRUCT(vka_norm_params) {
    vka_strides x;
    vka_strides residual;
    vka_strides sum;
    vka_strides out_;
    vka_strides mean;
    vka_strides inv_std;
    VKA_UINT_ weight_stride;
    VKA_UINT_ bias_stride;
    VKA_UINT_ cols;
    VKA_FLOAT_ epsilon;
    VKA_UINT_ inner;         /* of groups: elements that lie side by side, at strides d; n is from one such run  */
    VKA_UINT_ inner_vectors; /*   to the next. Vectors of four of a run                                        */
    VKA_UINT_ outer;         /*   runs                                                                         */
    VKA_UINT_ channels;
}
VKA_END(vka_norm_params);

/* Gradients of one, behind its own parameters: statistics are taken by its kernels. */
VKA_STRUCT(vka_norm_gradient_params) {
    vka_strides d_out;
    vka_strides d_sum;
    vka_strides d_x;
    vka_strides x_column;     /* of groups: of a batch entry, nothing, position and channel */
    vka_strides d_out_column;
    VKA_UINT_ columns;        /* of weights: all                                              */
    VKA_UINT_ chunk;          /* rows, or positions, whose sum is one row of partial sums     */
    VKA_UINT_ chunks;         /* of all; each has a row of partial sums                       */
    VKA_UINT_ bias_partials;  /* where those of biases begin behind those of weights          */
    VKA_UINT_ d_weight_stride;
    VKA_UINT_ d_bias_stride;
    VKA_UINT_ positions;      /* of groups                                                    */
    VKA_UINT_ entry_chunks;   /* of groups whose positions lie side by side: of a batch entry */
}
VKA_END(vka_norm_gradient_params);

#ifndef VKA_GLSL
typedef struct vka_norm_backward_params {
    vka_norm_params norm;
    vka_norm_gradient_params gradient;
} vka_norm_backward_params;
#endif

/* Weights and biases are the role VKA_ROLE_TABLE. */
#define VKA_FLAG_WEIGHT       128 /* norms: optional tensors                                               */
#define VKA_FLAG_BIAS         256
#define VKA_FLAG_RESIDUAL     512
#define VKA_FLAG_SUM          1024
#define VKA_FLAG_MEAN         2048
#define VKA_FLAG_INV_STD      4096
#define VKA_FLAG_RMS          16384 /* norms: of squares, not of deviations from the mean              */
#define VKA_FLAG_ZERO_CENTRED 32768 /* norms: weights are what there is above 1                         */
#define VKA_FLAG_CHANNELS_LAST 65536 /* groups: a run is a position's channels, not a channel's positions */
#define VKA_FLAG_STATISTICS    131072 /* norms: nothing else is wanted                                    */
#define VKA_FLAG_ACCUMULATE    262144 /* gradients of weights and biases are added to what is there       */

/* Bindings, after VKA_BIND_X. */
#define VKA_BIND_RESIDUAL   2
#define VKA_BIND_WEIGHT     3
#define VKA_BIND_NORM_OUT   4
#define VKA_BIND_SUM        5
#define VKA_BIND_BIAS       6
#define VKA_BIND_STATS_MEAN 7
#define VKA_BIND_STATS_INV  8
/* Of gradients of rows; partial sums of columns stand in place of d_x. */
#define VKA_BIND_NORM_D_X      4
#define VKA_BIND_NORM_PARTIALS 4
#define VKA_BIND_NORM_D_OUT    5
#define VKA_BIND_NORM_D_SUM    6
/* Of what is made of partial sums. */
#define VKA_BIND_D_WEIGHT 2
#define VKA_BIND_D_BIAS   3

/* Types of gradients of weights and biases. */
#define VKA_ROLE_D_WEIGHT 4
#define VKA_ROLE_D_BIAS   5

#endif
