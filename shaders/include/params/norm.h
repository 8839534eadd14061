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

/* Bindings, after VKA_BIND_X. */
#define VKA_BIND_RESIDUAL   2
#define VKA_BIND_WEIGHT     3
#define VKA_BIND_NORM_OUT   4
#define VKA_BIND_SUM        5
#define VKA_BIND_BIAS       6
#define VKA_BIND_STATS_MEAN 7
#define VKA_BIND_STATS_INV  8

#endif
