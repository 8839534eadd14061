/* `record`: what recording an operation costs the host.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_BENCH_RECORD_H
#define VKATTN_BENCH_RECORD_H

#include "record_ops.h"
#include "vk.h"

/* ---- record_calls.c: the Vulkan commands that the library records ------------------------------------------------ */

typedef enum call_kind {
    CALL_PIPELINE,
    CALL_SET,
    CALL_CONSTANTS,
    CALL_DISPATCH,
    CALL_INDIRECT,
    CALL_BARRIER,
} call_kind;

typedef struct recorded_call {
    call_kind kind;
    VkPipeline pipeline;
    VkPipelineLayout layout;
    VkDescriptorSet set;
    VkShaderStageFlags stages;
    uint32_t bytes, groups[3];
    unsigned char constants[256];
    VkBuffer buffer;
    VkDeviceSize offset;
    VkPipelineStageFlags from, to;
    VkMemoryBarrier barrier;
} recorded_call;

typedef struct recorded_calls {
    recorded_call *at;
    size_t count, capacity;
    bool lost; /* no memory, or a command of another form */
} recorded_calls;

/* A loader whose commands, of devices made by it, are kept in `calls` on their way to the driver; NULL: they are not.
 * One at a time, and from one thread. */
PFN_vkGetInstanceProcAddr bench_calls_loader(const bench_vk *vk);
void bench_calls_keep(recorded_calls *calls);
void bench_calls_replay(const bench_vk *vk, VkCommandBuffer cmd, const recorded_calls *calls);

#endif
