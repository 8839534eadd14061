/* What C and GLSL share of the gradient of embeddings. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_EMBEDDING_BACKWARD_H
#define VKA_PARAMS_EMBEDDING_BACKWARD_H

#include "params.h"

/* The gradient of a table. */
VKA_STRUCT(vka_embedding_backward_params) {
    vka_strides d_out;
    vka_strides out_;
    VKA_UINT_ cols;
    VKA_UINT_ units;
    VKA_UINT_ dim1; /* of d_out's rows */
    VKA_UINT_ dim2;
    VKA_UINT_ ends; /* where in the scratch memory it says where each bucket ends        */
    VKA_FLOAT_ scale;
}
VKA_END(vka_embedding_backward_params);

#define VKA_FLAG_ADD_TABLE 128 /* the gradient is added to what is there */

/* Beside those of operations on elements. */
#define VKA_BIND_ENDS  2
#define VKA_BIND_ORDER 4

#endif
