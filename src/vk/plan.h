/* The inside of plans, shared by plan.c and slice.c.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_PLAN_H
#define VKA_PLAN_H

#include "vk/recorder.h"

/* Of a plan that is recorded in slices: each has a descriptor set. */
#define VKA__MAX_SLICED_DISPATCHES 16384

/* A dispatch with a descriptor set of its own. */
typedef struct vka__planned {
    uint32_t key; /* which of the plan's pipelines */
    VkDescriptorSet set;
    vka_push push;
    uint32_t groups[3];
    uint64_t group_ops;          /* as in vka__dispatch */
    uint32_t range, range_count; /* of the plan's ranges */
} vka__planned;

struct vka_plan {
    vka_device *device;
    vka__commands commands;
    void *owned; /* that `commands` points into; NULL: dispatches are in `dispatch` */
    vka__pipeline_key keys[VKA__MAX_KEYS];
    VkPipeline pipelines[VKA__MAX_KEYS];
    vka_buffer *memory; /* parameters and host values */
    VkDescriptorPool pool;
    vka__planned *dispatch; /* NULL: sets are written while recording */
    vka__range *ranges;
    uint64_t work;             /* of all dispatches; 0 until slices are prepared               */
    bool sliced;               /* slices are prepared                                          */
    bool whole[VKA__MAX_KEYS]; /* kernels that ask how many workgroups there are: not to be cut */
};

/* Fills in `dispatch`, `ranges` and `pool`, or nothing. With numbers of workgroups that the device computes, without
 * the first dispatch, which does. */
vka_status vka__plan_create_dispatches(vka_plan *plan);
/* A dispatch as a command. */
vka__command vka__plan_command(const vka_plan *plan, uint64_t index);

#endif
