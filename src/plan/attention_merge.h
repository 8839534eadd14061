/* Plans of vka_attention_merge.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_PLAN_ATTENTION_MERGE_H
#define VKA_PLAN_ATTENTION_MERGE_H

#include "plan/plan.h"

typedef struct vka__merge_problem {
    vka__view a, b, out;         /* [B, Hq, Nq, Dv]           */
    vka__view a_lse, b_lse, lse; /* [B, Hq, Nq, 1]; lse may be absent */
} vka__merge_problem;

typedef struct vka__merge_plan {
    vka_merge_params params;
    uint32_t part[3];    /* a dispatch does a box of rows: its size; the last of a dimension may be smaller */
    uint32_t parts[3];   /* boxes of each dimension                                                         */
    uint32_t group_rows; /* of a workgroup                                                                  */
    vka__pipeline_key key;
} vka__merge_plan;

vka_status vka__plan_merge(const vka_device_caps *caps, const vka__merge_problem *problem, vka__merge_plan *plan,
                           vka__refusal *refusal);
uint64_t vka__merge_dispatches(const vka__merge_plan *plan);
void vka__merge_dispatch(const vka_device_caps *caps, const vka__merge_problem *problem, const vka__merge_plan *plan,
                         uint64_t index, vka__dispatch *dispatch);
/* As snprintf: returns the whole length. */
size_t vka__explain_merge(const vka__merge_plan *plan, char *text, size_t capacity);

#endif
