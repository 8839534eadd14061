/* What the dispatches of an attention bind: slices of batch entries and heads, ranges of queries, parts of keys.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_ATTENTION_SLICES_H
#define VKA_ATTENTION_SLICES_H

#include "ops/attention/plan.h"

/* What a dispatch does. */
typedef enum vka__stage {
    VKA__STAGE_SIZE,
    VKA__STAGE_MAIN,
    VKA__STAGE_MERGE,
    VKA__STAGE_SCORES,
} vka__stage;

/* Where the part of an attention lies that a dispatch binds, and how much of it there may be. */
typedef struct vka__region {
    uint32_t batch, q_head;
    uint32_t row, rows; /* queries                     */
    uint32_t key, keys; /* pages, or rows of k and v   */
} vka__region;

void vka__heads_of_slice(const vka__attention_problem *problem, vka__slice slice, uint32_t *q_heads,
                         uint32_t *kv_heads);

/* Chooses slice, part_rows, parts and part_keys such that each tensor's part, and the parts' partial results, fit a
 * binding: the largest slice that needs no parts, or the largest one with them. Expects the path's tile in the plan. */
bool vka__choose_slice(const vka_device_caps *caps, const vka__attention_problem *problem, vka__attention_plan *plan,
                       vka__refusal *refusal);

/* Is there a slice for a path's tile of so many queries? */
bool vka__has_slice(const vka_device_caps *caps, const vka__attention_problem *problem, uint32_t tile_rows);

/* Does no binding see all keys, or values, of one head? */
bool vka__has_key_parts(const vka_device_caps *caps, const vka__attention_problem *problem);

/* Floats of partial results that one binding holds. */
uint64_t vka__workspace_floats(const vka_device_caps *caps);

void vka__fill_strides(const vka__attention_problem *problem, const vka__attention_plan *plan,
                       vka_attention_params *params);

/* Binds what a stage uses of a region. */
void vka__bind_region(const vka_device_caps *caps, const vka__attention_problem *problem,
                      const vka__attention_plan *plan, vka__stage stage, const vka__region *region, vka__dispatch *out);

#endif
