/* vka_cache_append: what its checks leave for its plan.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_CACHE_H
#define VKA_CACHE_H

#include <vkattn/cache.h>

#include "ops/rope/options.h"

/* The tensors. Those of values follow those of keys in the same order. */
typedef enum vka__cache_arg {
    VKA__CACHE_K,
    VKA__CACHE_K_CACHE,
    VKA__CACHE_K_SCALE,
    VKA__CACHE_V,
    VKA__CACHE_V_CACHE,
    VKA__CACHE_V_SCALE,
    VKA__CACHE_PAGES,
    VKA__CACHE_LENGTHS,
    VKA__CACHE_OFFSETS,
    VKA__CACHE_NEW,
    VKA__CACHE_COS,
    VKA__CACHE_SIN,
    VKA__CACHE_ARGS,
} vka__cache_arg;
#define VKA__CACHE_SIDE (VKA__CACHE_V - VKA__CACHE_K)

/* Boxes of (sequence, head, new token), each for a range of pages, or of a cache's tokens. */
typedef struct vka__cache_side {
    uint32_t key; /* among the call's */
    uint32_t part[3], parts[3];
    uint32_t range, ranges; /* pages, or tokens of a cache that is not paged; how many ranges there are */
    uint32_t group_rows;
    uint64_t dispatches;
} vka__cache_side;

typedef struct vka__cache {
    uint32_t sequences, heads;
    uint32_t tokens; /* new ones of a sequence, at most                  */
    uint32_t capacity;
    uint32_t page; /* rows of a page; 0: not paged                       */
    vka__rope rope;
    vka__cache_side side[2]; /* of keys, of values                      */
    uint32_t advance_key;    /* of the kernel that writes new lengths   */
    uint32_t advance_groups; /* 0: not wanted                           */
} vka__cache;

/* The rows that RoPE's options are for. */
vka__rotated vka__cache_rotated(const vka__call *call);

/* plan.c */
bool vka__cache_plan(vka__call *call);
void vka__cache_dispatch(const vka__call *call, uint64_t index, vka__dispatch *out);
void vka__cache_explain(const vka__call *call, vka__text *text);

#endif
