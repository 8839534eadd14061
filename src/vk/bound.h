/* What a dispatch binds, as Vulkan and the hazard table want it.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_BOUND_H
#define VKA_BOUND_H

#include "vk/hazard.h"
#include "vk/vk.h"

/* Where a source of an operation lies: `offset` is added to what bindings say. */
typedef struct vka__place {
    const vka_buffer *buffer;
    uint64_t offset;
} vka__place;

/* Places of all sources but host values that were not copied yet, computed numbers of workgroups, and a workspace that
 * the operation does not name. */
void vka__place_sources(const vka__commands *commands, vka__place at[VKA__MAX_SOURCES]);

typedef struct vka__bound {
    VkDescriptorBufferInfo info[VKA_MAX_BINDINGS];
    vka__range range[VKA_MAX_BINDINGS + 1]; /* memory that is accessed; room for one more */
    uint32_t range_count;
} vka__bound;

/* `params`: the parameter block. */
void vka__bind_dispatch(const vka_device *device, const vka__place at[VKA__MAX_SOURCES], VkDescriptorBufferInfo params,
                        const vka__dispatch *dispatch, vka__bound *out);

/* Writes all bindings of a set of the device's layout. */
void vka__write_set(const vka_device *device, VkDescriptorSet set, const VkDescriptorBufferInfo *info);

/* A pool with `count` sets of the device's layout. On an error there is none. */
vka_status vka__create_sets(vka_device *device, const char *item, uint32_t count, VkDescriptorPool *pool,
                            VkDescriptorSet *sets);

#endif
