/* What C and GLSL share of pattern building. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_PATTERN_H
#define VKA_PARAMS_PATTERN_H

#include "params.h"

/* One pass of building a block map: where its parts begin, in words. */
VKA_STRUCT(vka_pattern_params) {
    VKA_UINT_ tiles_at;
    VKA_UINT_ bits_at;
    VKA_UINT_ permutation_at; /* 0: there is none                                                            */
}
VKA_END(vka_pattern_params);

/* Bindings. */
#define VKA_BIND_PROGRAM    1
#define VKA_BIND_ROWS       2 /* what the counting pass finds, or what the host makes of it                   */
#define VKA_BIND_BUILT      3

#endif
