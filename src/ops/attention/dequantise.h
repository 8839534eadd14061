/* Attention whose quantised keys and values are dequantised first.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_ATTENTION_DEQUANTISE_H
#define VKA_ATTENTION_DEQUANTISE_H

#include "ops/attention/plan.h"

/* What is dequantised: each side from a view of the description into one of the workspace. */
typedef struct vka__dequantise {
    bool on[2]; /* keys, values */
    vka__view from[2], scale[2], pages;
    vka__pipeline_key key[2];
    vka__grid grid[2];
    uint64_t chunks[2]; /* dispatches; 0: the side is not dequantised */
} vka__dequantise;

/* Is it possible and, if the description does not say, worth it for a problem with this plan? */
bool vka__dequantise_pays(const vka_device_caps *caps, const vka__attention_problem *problem,
                          const vka__attention_plan *plan);
/* The problem then reads keys and values of the workspace, from its start on. Returns their bytes. */
uint64_t vka__dequantise_problem(vka__attention_problem *problem, const vka__attention_plan *plan, vka__dequantise *d);
/* They move by so many bytes, a multiple of 256. */
void vka__dequantise_move(vka__attention_problem *problem, const vka__dequantise *d, uint64_t bytes);
/* Pipelines, dispatches, and the parameters of both sides. */
void vka__dequantise_plan(const vka_device_caps *caps, const vka__attention_problem *problem, vka__dequantise *d,
                          vka_attention_params params[2]);
uint64_t vka__dequantise_dispatches(const vka__dequantise *d);
/* Dispatch `index` of these, into zeroed memory, but for the numbers of its pipeline and parameters: side is which. */
void vka__dequantise_dispatch(const vka_device_caps *caps, const vka__attention_problem *problem,
                              const vka__dequantise *d, uint64_t index, uint32_t *side, vka__dispatch *out);

#endif
