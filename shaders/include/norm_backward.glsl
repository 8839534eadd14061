// What the gradients of norms share: parameters, rows of d_out, statistics.
// SPDX-License-Identifier: MIT

#include "params/norm.h"

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_norm_params p;
    vka_norm_gradient_params b;
};

#include "norm_rows.glsl"

VKA_INPUT(VKA_BIND_NORM_D_OUT, d_out)
VKA_INPUT_F32(VKA_BIND_STATS_MEAN, mean)
VKA_INPUT_F32(VKA_BIND_STATS_INV, inv_std)
VKA_READERS(d_out, VKA_BIND_NORM_D_OUT, X_TYPE)
VKA_WORD_READERS(d_out, X_TYPE)
