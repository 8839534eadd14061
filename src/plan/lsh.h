/* Plans of vka_lsh_sort.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_PLAN_LSH_H
#define VKA_PLAN_LSH_H

#include "plan/plan.h"

#define VKA_MAX_LSH_DIM     1024
#define VKA_MAX_LSH_BUCKETS 65536

typedef struct vka__lsh_problem {
    vka__view x, keys;        /* [B, H, N, D]           */
    vka__view rotations;      /* [rounds, H or 1, D, C] */
    vka__view order, buckets; /* [rounds, B, H, N]      */
    vka__view lengths;        /* [1, 1, 1, B]           */
    uint32_t bucket_count[2];
    float epsilon; /* as applied */
} vka__lsh_problem;

/* A kernel of the three, on all rows of a slice. */
typedef struct vka__lsh_step {
    vka__pipeline_key key;
    vka__grid grid; /* blocks x rows */
    uint64_t dispatches;
} vka__lsh_step;

enum { VKA__LSH_HASH, VKA__LSH_OFFSETS, VKA__LSH_PLACE, VKA__LSH_STEPS };

typedef struct vka__lsh_plan {
    vka_lsh_params params;
    uint32_t part[3];  /* a slice has so many rounds, batch entries and heads: all, or one */
    uint32_t parts[3]; /* slices of each                                                   */
    vka__lsh_step step[VKA__LSH_STEPS];
    uint64_t workspace_bytes; /* of a slice: the next one takes the same */
} vka__lsh_plan;

/* B, H and N are not zero. */
vka_status vka__plan_lsh(const vka_device_caps *caps, const vka__lsh_problem *problem, vka__lsh_plan *plan,
                         vka__refusal *refusal);
uint64_t vka__lsh_dispatches(const vka__lsh_plan *plan);
void vka__lsh_dispatch(const vka_device_caps *caps, const vka__lsh_problem *problem, const vka__lsh_plan *plan,
                       uint64_t index, vka__dispatch *dispatch);
/* As snprintf: returns the whole length. */
size_t vka__explain_lsh(const vka__lsh_plan *plan, char *text, size_t capacity);

#endif
