/* vka_lsh_sort: what its checks leave for its plan.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_LSH_H
#define VKA_LSH_H

#include <vkattn/lsh.h>

#include "op/op.h"

/* The tensors. */
enum {
    VKA__LSH_X,
    VKA__LSH_ROTATIONS,
    VKA__LSH_LENGTHS,
    VKA__LSH_PERMUTATION,
    VKA__LSH_BUCKETS,
    VKA__LSH_KEYS,
    VKA__LSH_ARGS
};

/* Three kernels, each on all rows of a slice: one hashes and counts, one turns counts into places, one puts tokens
 * there. Their pipelines have the same numbers. */
enum { VKA__LSH_HASH, VKA__LSH_OFFSETS, VKA__LSH_PLACE, VKA__LSH_STEPS };

typedef struct vka__lsh_step {
    vka__grid grid; /* blocks x rows */
    uint64_t dispatches;
} vka__lsh_step;

typedef struct vka__lsh {
    float epsilon;     /* as applied                                                           */
    uint32_t part[3];  /* a slice has so many rounds, batch entries and heads: all, or one     */
    uint32_t parts[3]; /* slices of each; one after the other takes the same workspace         */
    vka__lsh_step step[VKA__LSH_STEPS];
} vka__lsh;

/* plan.c */
bool vka__lsh_plan(vka__call *call);
void vka__lsh_dispatch(const vka__call *call, uint64_t index, vka__dispatch *out);
void vka__lsh_explain(const vka__call *call, vka__text *text);

#endif
