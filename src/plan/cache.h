/* Plans of vka_cache_append.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_CACHE_H
#define VKA_CACHE_H

#include "plan/rope.h"

#define VKA_MAX_CACHE_DIM 1024

/* Entries of vka__operation.buffers. Those of values follow those of keys in the same order. */
typedef enum vka__cache_source {
    VKA__CACHE_K = 1,
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
    VKA__CACHE_SOURCES,
} vka__cache_source;

/* Keys or values: [B, H, N, D], or packed [1, H, rows, D]; [B or pages, H, capacity or page size, D]; the same with
 * D = 1. All may be absent. */
typedef struct vka__cache_side {
    vka__view x, cache, scale;
} vka__cache_side;

/* A checked description. */
typedef struct vka__cache_problem {
    vka__cache_side side[2]; /* keys, values                                                              */
    vka__view page_table;    /* [.., B, columns]; absent: not paged                                       */
    vka__view lengths, offsets, new_lengths; /* [.., B] and [.., B + 1]                                   */
    uint32_t sequences, heads;
    uint32_t tokens; /* new ones of a sequence, at most                                                   */
    uint32_t capacity;
    uint32_t page; /* rows of a page; 0: not paged                                                        */
    vka__rope rope;
} vka__cache_problem;

/* Boxes of (sequence, head, new token), each for a range of pages, or of a cache's tokens. */
typedef struct vka__cache_side_plan {
    vka__pipeline_key key;
    uint32_t part[3], parts[3];
    uint32_t range, ranges; /* pages, or tokens of a cache that is not paged; how many ranges there are */
    uint32_t group_rows;
    uint64_t dispatches;
} vka__cache_side_plan;

typedef struct vka__cache_plan {
    vka_cache_params params;
    vka__cache_side_plan side[2];
    vka__pipeline_key advance; /* of the kernel that writes new lengths */
    uint32_t advance_groups;   /* 0: not wanted                         */
} vka__cache_plan;

vka_status vka__plan_cache(const vka_device_caps *caps, const vka__cache_problem *problem, vka__cache_plan *plan,
                           vka__refusal *refusal);
uint64_t vka__cache_dispatches(const vka__cache_plan *plan);
void vka__cache_dispatch(const vka_device_caps *caps, const vka__cache_problem *problem, const vka__cache_plan *plan,
                         uint64_t index, vka__dispatch *dispatch);
/* As snprintf: returns the whole length. */
size_t vka__explain_cache(const vka__cache_problem *problem, const vka__cache_plan *plan, char *text, size_t capacity);

#endif
