/* What C and GLSL share of caches. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_CACHE_H
#define VKA_PARAMS_CACHE_H

#include "params/rope.h"

/* One append to a cache. Of pairs, the first is of keys and the second of values. */
VKA_STRUCT(vka_cache_params) {
    vka_rope_params rope;
    vka_strides x[2];
    vka_strides cache[2]; /* b of a sequence or a page, n of a token there                           */
    vka_strides scale[2];
    VKA_UINT_ capacity;
    VKA_UINT_ tokens; /* new ones of a sequence, at most                                          */
    VKA_UINT_ sequences;
    VKA_UINT_ rows;        /* of packed tensors, which offsets may not leave                           */
    VKA_UINT_ length_step; /* strides of lists                                                         */
    VKA_UINT_ offset_step;
    VKA_UINT_ new_step;
    VKA_UINT_ page_row; /* strides of a sequence's pages in the table, and of a page there             */
    VKA_UINT_ page_step;
}
VKA_END(vka_cache_params);

/* Bindings, after VKA_BIND_X and those of rope. */
#define VKA_BIND_LENGTHS    3
#define VKA_BIND_OFFSETS    7
#define VKA_BIND_PAGE_TABLE 8
#define VKA_BIND_NEW        1 /* of the kernel that advances lengths                                      */

#endif
