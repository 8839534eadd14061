/* `record`: what recording an operation costs the host.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_BENCH_RECORD_H
#define VKATTN_BENCH_RECORD_H

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

/* ---- record_ops.c: one description of every operation ------------------------------------------------------------ */

typedef struct record_memory {
    vka_device *device;
    vka_buffer *buffers[32];
    size_t count;
    bool failed;
} record_memory;

typedef struct record_op {
    vka_operation operation;
    const char *name;
    size_t desc_size;
    void (*describe)(record_memory *memory, void *desc);
} record_op;

extern const record_op bench_record_ops[];
extern const size_t bench_record_op_count;
/* Where in the description its vka_workspace is; 0: it has none. */
size_t bench_record_workspace(vka_operation operation);
enum { RECORD_DESC_SIZE = 2048 };

vka_buffer *bench_record_buffer(record_memory *memory, uint64_t bytes);
void bench_record_free(record_memory *memory);

#endif
