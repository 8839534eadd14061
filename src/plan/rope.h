/* Rotary position embedding: its options as plans see them, and the plan of vka_rope.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_ROPE_H
#define VKA_ROPE_H

#include "plan/plan.h"

/* Checked options. */
typedef struct vka__rope {
    bool enabled;
    bool interleaved;
    uint32_t pairs; /* R / 2                                                             */
    double theta;   /* as applied, of frequency, too                                     */
    double frequency_scale;
    int32_t offset;
    bool table_rows;    /* tables are [B, N, R / 2], not [positions, R / 2]              */
    vka__view cos, sin; /* right-aligned                                                 */
} vka__rope;

/* Flags of a kernel that rotates. */
uint32_t vka__rope_flags(const vka__rope *rope);
void vka__rope_fill(const vka__rope *rope, vka_rope_params *params);
/* Binds the tables; `cos` and `sin` are where vka__operation.buffers has them. */
void vka__rope_bind(const vka_device_caps *caps, const vka__rope *rope, uint32_t cos, uint32_t sin, vka__dispatch *out);

#define VKA_MAX_ROPE_DIM 1024

typedef struct vka__rotate_problem {
    vka__view x, out;
    vka__view positions; /* [.., B, N], where N = 1 stands for the position of the first row; may be absent */
    const char *positions_field;
    vka__rope rope;
} vka__rotate_problem;

typedef struct vka__rotate_plan {
    vka_rotate_params params;
    vka__pipeline_key key;
    uint32_t part[3], parts[3]; /* boxes of rows, as layer norm's */
} vka__rotate_plan;

vka_status vka__plan_rotate(const vka_device_caps *caps, const vka__rotate_problem *problem, vka__rotate_plan *plan,
                            vka__refusal *refusal);
uint64_t vka__rotate_dispatches(const vka__rotate_plan *plan);
void vka__rotate_dispatch(const vka_device_caps *caps, const vka__rotate_problem *problem, const vka__rotate_plan *plan,
                          uint64_t index, vka__dispatch *dispatch);
/* As snprintf: returns the whole length. */
size_t vka__explain_rotate(const vka__rotate_problem *problem, const vka__rotate_plan *plan, char *text,
                           size_t capacity);

#endif
