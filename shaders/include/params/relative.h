/* What C and GLSL share of relative biases. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_RELATIVE_H
#define VKA_PARAMS_RELATIVE_H

#include "params.h"

/* One row of relative biases for every head, made from T5's table; or the gradients of both. */
VKA_STRUCT(vka_relative_t5_params) {
    VKA_UINT_ table_row; /* strides of a bucket and of a head */
    VKA_UINT_ table_step;
    VKA_UINT_ out_row; /* strides of a head and of a distance */
    VKA_UINT_ out_step;
    VKA_UINT_ cols;  /* L                                                                            */
    VKA_INT_ zero;   /* where the distance is 0                                                      */
    VKA_UINT_ edges; /* how many there are                                                           */
    VKA_UINT_ ahead; /* first bucket of keys after the query; 0: they count as being at the query    */
}
VKA_END(vka_relative_t5_params);

/* One row of relative biases for every head, made from adaptive spans; or the gradients of both. */
VKA_STRUCT(vka_relative_span_params) {
    VKA_UINT_ spans_step;
    VKA_UINT_ d_spans_step;
    VKA_UINT_ out_row; /* strides of a head and of a distance */
    VKA_UINT_ out_step;
    VKA_UINT_ cols;  /* L                                                                            */
    VKA_INT_ zero;   /* where the distance is 0                                                      */
    VKA_FLOAT_ ramp; /* R                                                                            */
}
VKA_END(vka_relative_span_params);

#define VKA_ROLE_BIAS_TABLE 0

#define VKA_FLAG_ADD_SUMS 1 /* gradients are added to what is there */

/* Bindings. */
#define VKA_BIND_BIAS_TABLE 1
#define VKA_BIND_SPANS      1
#define VKA_BIND_EDGES      2
#define VKA_BIND_BIASES     3
#define VKA_BIND_D_SUMS     4 /* of backward: the gradient of the table, or of spans */

#endif
