/* What C and GLSL share of Hadamard transforms. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_HADAMARD_H
#define VKA_PARAMS_HADAMARD_H

#include "params.h"

/* One transform. Rows lie in up to three leading dimensions: b, h and n of the strides. */
VKA_STRUCT(vka_hadamard_params) {
    vka_strides x;
    vka_strides out_;
    VKA_UINT_ cols;
    VKA_UINT_ units; /* of a row: blocks, or vectors of four columns where those are longer */
    VKA_FLOAT_ scale; /* 1 / sqrt(block) */
    VKA_UINT_ unused;
}
VKA_END(vka_hadamard_params);

/* VKA_SPEC_D: columns of a block, VKA_SPEC_TC: invocations that share a unit. */

/* Bindings, after VKA_BIND_X. */
#define VKA_BIND_HADAMARD 2

#endif
