/* Commands that the library records, kept on their way to the driver, and recorded again without the library.
 * SPDX-License-Identifier: MIT */
#include "record.h"

#include <stdlib.h>
#include <string.h>

/* Vulkan's functions have no argument for them. */
static const bench_vk *driver;
static recorded_calls *kept;

static void keep(const recorded_call *call) {
    if (!kept || kept->lost) {
        return;
    }
    if (kept->count == kept->capacity) {
        size_t capacity = kept->capacity ? 2 * kept->capacity : 64;
        recorded_call *grown = realloc(kept->at, capacity * sizeof *grown);
        if (!grown) {
            kept->lost = true;
            return;
        }
        kept->at = grown;
        kept->capacity = capacity;
    }
    kept->at[kept->count++] = *call;
}

static VKAPI_ATTR void VKAPI_CALL bind_pipeline(VkCommandBuffer cmd, VkPipelineBindPoint point, VkPipeline pipeline) {
    keep(&(recorded_call){.kind = CALL_PIPELINE, .pipeline = pipeline});
    driver->CmdBindPipeline(cmd, point, pipeline);
}

static VKAPI_ATTR void VKAPI_CALL bind_sets(VkCommandBuffer cmd, VkPipelineBindPoint point, VkPipelineLayout layout,
                                            uint32_t first, uint32_t count, const VkDescriptorSet *sets,
                                            uint32_t offset_count, const uint32_t *offsets) {
    if (kept && (first || count != 1 || offset_count)) {
        kept->lost = true;
    }
    keep(&(recorded_call){.kind = CALL_SET, .layout = layout, .set = sets[0]});
    driver->CmdBindDescriptorSets(cmd, point, layout, first, count, sets, offset_count, offsets);
}

static VKAPI_ATTR void VKAPI_CALL push_constants(VkCommandBuffer cmd, VkPipelineLayout layout,
                                                 VkShaderStageFlags stages, uint32_t offset, uint32_t size,
                                                 const void *values) {
    recorded_call call = {.kind = CALL_CONSTANTS, .layout = layout, .stages = stages, .bytes = size};
    if (kept && (offset || size > sizeof call.constants)) {
        kept->lost = true;
    } else {
        memcpy(call.constants, values, size);
    }
    keep(&call);
    driver->CmdPushConstants(cmd, layout, stages, offset, size, values);
}

static VKAPI_ATTR void VKAPI_CALL dispatch(VkCommandBuffer cmd, uint32_t x, uint32_t y, uint32_t z) {
    keep(&(recorded_call){.kind = CALL_DISPATCH, .groups = {x, y, z}});
    driver->CmdDispatch(cmd, x, y, z);
}

static VKAPI_ATTR void VKAPI_CALL dispatch_indirect(VkCommandBuffer cmd, VkBuffer buffer, VkDeviceSize offset) {
    keep(&(recorded_call){.kind = CALL_INDIRECT, .buffer = buffer, .offset = offset});
    driver->CmdDispatchIndirect(cmd, buffer, offset);
}

static VKAPI_ATTR void VKAPI_CALL barrier(VkCommandBuffer cmd, VkPipelineStageFlags from, VkPipelineStageFlags to,
                                          VkDependencyFlags flags, uint32_t count, const VkMemoryBarrier *barriers,
                                          uint32_t buffer_count, const VkBufferMemoryBarrier *buffers,
                                          uint32_t image_count, const VkImageMemoryBarrier *images) {
    if (kept && (count != 1 || buffer_count || image_count)) {
        kept->lost = true;
    } else {
        keep(&(recorded_call){.kind = CALL_BARRIER, .from = from, .to = to, .barrier = barriers[0]});
    }
    driver->CmdPipelineBarrier(cmd, from, to, flags, count, barriers, buffer_count, buffers, image_count, images);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_proc_addr(VkDevice device, const char *name) {
    static const struct {
        const char *name;
        PFN_vkVoidFunction function;
    } own[] = {
        {"vkCmdBindPipeline", (PFN_vkVoidFunction)bind_pipeline},
        {"vkCmdBindDescriptorSets", (PFN_vkVoidFunction)bind_sets},
        {"vkCmdPushConstants", (PFN_vkVoidFunction)push_constants},
        {"vkCmdDispatch", (PFN_vkVoidFunction)dispatch},
        {"vkCmdDispatchIndirect", (PFN_vkVoidFunction)dispatch_indirect},
        {"vkCmdPipelineBarrier", (PFN_vkVoidFunction)barrier},
    };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (strcmp(own[i].name, name) == 0) {
            return own[i].function;
        }
    }
    return driver->GetDeviceProcAddr(device, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_instance_proc_addr(VkInstance instance, const char *name) {
    return strcmp(name, "vkGetDeviceProcAddr") == 0 ? (PFN_vkVoidFunction)get_device_proc_addr
                                                    : driver->GetInstanceProcAddr(instance, name);
}

PFN_vkGetInstanceProcAddr bench_calls_loader(const bench_vk *vk) {
    driver = vk;
    return get_instance_proc_addr;
}

void bench_calls_keep(recorded_calls *calls) {
    kept = calls;
}

static void replay(const bench_vk *vk, VkCommandBuffer cmd, const recorded_call *c) {
    switch (c->kind) {
    case CALL_PIPELINE:
        vk->CmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, c->pipeline);
        break;
    case CALL_SET:
        vk->CmdBindDescriptorSets(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, c->layout, 0, 1, &c->set, 0, NULL);
        break;
    case CALL_CONSTANTS:
        vk->CmdPushConstants(cmd, c->layout, c->stages, 0, c->bytes, c->constants);
        break;
    case CALL_DISPATCH:
        vk->CmdDispatch(cmd, c->groups[0], c->groups[1], c->groups[2]);
        break;
    case CALL_INDIRECT:
        vk->CmdDispatchIndirect(cmd, c->buffer, c->offset);
        break;
    case CALL_BARRIER:
        vk->CmdPipelineBarrier(cmd, c->from, c->to, 0, 1, &c->barrier, 0, NULL, 0, NULL);
        break;
    }
}

void bench_calls_replay(const bench_vk *vk, VkCommandBuffer cmd, const recorded_calls *calls) {
    for (size_t i = 0; i < calls->count; i++) {
        replay(vk, cmd, &calls->at[i]);
    }
}
