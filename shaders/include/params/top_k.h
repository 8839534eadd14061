/* What C and GLSL share of the k largest. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_TOP_K_H
#define VKA_PARAMS_TOP_K_H

#include "params.h"

/* One selection. Rows lie in up to three leading dimensions: b, h and n of the strides. */
VKA_STRUCT(vka_top_k_params) {
    vka_strides x;
    vka_strides values;
    vka_strides indices;
    VKA_UINT_ cols;
    VKA_UINT_ count; /* k */
    VKA_UINT_ unused0;
    VKA_UINT_ unused1;
}
VKA_END(vka_top_k_params);

#define VKA_FLAG_TOP_VALUES  256 /* optional outputs that are there */
#define VKA_FLAG_TOP_INDICES 512

/* Bindings, after VKA_BIND_X. */
#define VKA_BIND_TOP_VALUES  2
#define VKA_BIND_TOP_INDICES 3

/* The most that a workgroup sorts in shared memory. */
#define VKA_TOP_MOST 1024

#endif
