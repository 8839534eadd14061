/* Recording commands: descriptors, parameters, barriers, dispatches. The one place that inserts barriers.
 * SPDX-License-Identifier: MIT */
#include "vk/recorder.h"

#include <string.h>

const vka__context *vka__device_context(const vka_device *device) {
    return &device->ctx;
}

const vka__tuning *vka__device_tuning(const vka_device *device) {
    return &device->tuning;
}

bool vka__device_has_queue(const vka_device *device) {
    return device->queue;
}

vka_device *vka__buffer_device(const vka_buffer *buffer) {
    return buffer->device;
}

uint64_t vka__buffer_base(const vka_buffer *buffer) {
    return buffer->base;
}

uint64_t vka__buffer_bytes(const vka_buffer *buffer) {
    return buffer->bytes;
}

bool vka__buffer_same_memory(const vka_buffer *a, const vka_buffer *b) {
    return a && b && a->handle == b->handle;
}

void vka__recorder_barrier(vka_recorder *r, vka__barrier_target target) {
    bool host = target == VKA__FOR_HOST;
    VkPipelineStageFlags stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
    VkPipelineStageFlags later = stages | VK_PIPELINE_STAGE_DRAW_INDIRECT_BIT; /* sizes of dispatches */
    VkAccessFlags kernels = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_READ_BIT |
                            VK_ACCESS_TRANSFER_WRITE_BIT | VK_ACCESS_INDIRECT_COMMAND_READ_BIT;
    VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                              .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                              .dstAccessMask = host ? VK_ACCESS_HOST_READ_BIT : kernels};
    r->device->vk.vkCmdPipelineBarrier(r->cmd, stages, host ? VK_PIPELINE_STAGE_HOST_BIT : later, 0, 1, &memory, 0,
                                       NULL, 0, NULL);
}

void vka__label_begin(const vka_recorder *r, const char *name) {
    const vka__instance *in = &r->device->instance;
    if (!in->CmdBeginDebugUtilsLabelEXT)
        return;
    const VkDebugUtilsLabelEXT label = {.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_LABEL_EXT, .pLabelName = name};
    in->CmdBeginDebugUtilsLabelEXT(r->cmd, &label);
}

void vka__label_end(const vka_recorder *r) {
    const vka__instance *in = &r->device->instance;
    if (in->CmdBeginDebugUtilsLabelEXT)
        in->CmdEndDebugUtilsLabelEXT(r->cmd);
}

/* Everything but the dispatch. */
static void bind(vka_recorder *r, const vka__command *command) {
    const vka_device *d = r->device;
    if (vka__hazards_add(&r->hazards, command->range, command->range_count))
        vka__recorder_barrier(r, VKA__FOR_KERNELS);
    d->vk.vkCmdBindPipeline(r->cmd, VK_PIPELINE_BIND_POINT_COMPUTE, command->pipeline);
    d->vk.vkCmdBindDescriptorSets(r->cmd, VK_PIPELINE_BIND_POINT_COMPUTE, d->pipeline_layout, 0, 1, &command->set, 0,
                                  NULL);
    d->vk.vkCmdPushConstants(r->cmd, d->pipeline_layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof *command->push,
                             command->push);
}

void vka__emit(vka_recorder *r, const vka__command *command) {
    const vka_device *d = r->device;
    bind(r, command);
    if (command->indirect)
        d->vk.vkCmdDispatchIndirect(r->cmd, command->indirect->handle, command->indirect_at);
    else
        d->vk.vkCmdDispatch(r->cmd, command->groups[0], command->groups[1], command->groups[2]);
}

/* The largest box of workgroups that begins with number `first` of a grid, in the order x, y, z, and has at most
 * `count` of them, all in a row. */
static uint64_t next_box(const uint32_t grid[3], uint64_t first, uint64_t count, uint32_t begin[3], uint32_t size[3]) {
    uint64_t line = grid[0], plane = line * grid[1];
    begin[0] = (uint32_t)(first % line);
    begin[1] = (uint32_t)(first / line % grid[1]);
    begin[2] = (uint32_t)(first / plane);
    bool planes = first % plane == 0 && count >= plane, lines = planes || (!begin[0] && count >= line);
    size[0] = lines ? grid[0] : (uint32_t)vka__min_u64(count, line - begin[0]);
    size[1] = planes ? grid[1] : lines ? (uint32_t)vka__min_u64(count / line, grid[1] - begin[1]) : 1;
    size[2] = planes ? (uint32_t)vka__min_u64(count / plane, grid[2] - begin[2]) : 1;
    return (uint64_t)size[0] * size[1] * size[2];
}

void vka__emit_part(vka_recorder *r, const vka__command *command, uint64_t first, uint64_t count) {
    const vka_device *d = r->device;
    uint32_t begin[3], size[3];
    bind(r, command);
    for (uint64_t end = first + count; first < end;) {
        first += next_box(command->groups, first, end - first, begin, size);
        if (begin[0] || begin[1] || begin[2])
            d->vk.vkCmdDispatchBase(r->cmd, begin[0], begin[1], begin[2], size[0], size[1], size[2]);
        else
            d->vk.vkCmdDispatch(r->cmd, size[0], size[1], size[2]);
    }
}

static void record_dispatch(vka_recorder *r, const vka__commands *op, const vka__place *at,
                            const vka__dispatch *dispatch, const VkPipeline *pipelines) {
    uint32_t index;
    vka__page *page = vka__recorder_slot(r, r->dispatches++, &index);
    uint64_t params = (uint64_t)index * r->slot_bytes;
    memcpy((char *)page->params->mapped + params, (const char *)op->params + dispatch->params * op->params_size,
           op->params_size);
    vka__bound bound;
    vka__bind_dispatch(r->device, at,
                       (VkDescriptorBufferInfo){page->params->handle, params, vka__align_up(op->params_size, 16)},
                       dispatch, &bound);
    vka__write_set(r->device, page->sets[index], bound.info);
    vka__command command = {
        .pipeline = pipelines[dispatch->key],
        .set = page->sets[index],
        .push = &dispatch->push,
        .range = bound.range,
        .groups = {dispatch->groups[0], dispatch->groups[1], dispatch->groups[2]},
    };
    if (dispatch->indirect) {
        command.indirect = r->values;
        command.indirect_at =
            at[VKA__SOURCE_COUNTS].offset + (dispatch->indirect == 2 ? sizeof(VkDispatchIndirectCommand) : 0);
        bound.range[bound.range_count++] = (vka__range){(uint64_t)r->values->handle, command.indirect_at,
                                                        command.indirect_at + sizeof(VkDispatchIndirectCommand), false};
    }
    command.range_count = bound.range_count;
    vka__emit(r, &command);
}

vka_status vka__get_pipelines(vka_device *device, const char *item, const vka__pipeline_key *keys, uint32_t count,
                              VkPipeline pipelines[VKA__MAX_KEYS]) {
    vka_status status = VKA_OK;
    for (uint32_t i = 0; i < count && status == VKA_OK; ++i)
        if (keys[i].kernel != VKA__KERNEL_COUNT) /* otherwise no dispatch has it */
            status = vka__pipeline_get(device, item, &keys[i], &pipelines[i]);
    return status;
}

vka_status vka__prepare(vka_device *device, const char *item, const vka__pipeline_key *keys, uint32_t count) {
    VkPipeline pipelines[VKA__MAX_KEYS];
    return vka__get_pipelines(device, item, keys, count, pipelines);
}

uint64_t vka__value_room(const vka_device *d, const vka__commands *op, uint32_t source) {
    uint64_t bytes = op->source[source].values ? op->source[source].value_bytes : 0;
    if (source == VKA__SOURCE_COUNTS)
        bytes = op->counts ? VKA__COUNTS_BYTES : 0;
    return vka__align_up(bytes, vka__max_u32(d->caps.storage_align, 16));
}

uint64_t vka__value_bytes(const vka_device *device, const vka__commands *op) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < op->source_count; ++i)
        bytes += vka__value_room(device, op, i);
    return bytes;
}

/* Host values are copied, so that they may change or die once the operation is recorded. */
static void place_own(vka_recorder *r, const vka__commands *op, vka__place *at) {
    for (uint32_t i = 0; i < op->source_count; ++i) {
        uint64_t room = vka__value_room(r->device, op, i);
        if (!room)
            continue;
        at[i] = (vka__place){r->values, r->values_used};
        r->values_used += room;
        if (op->source[i].values)
            memcpy((char *)r->values->mapped + at[i].offset, op->source[i].values, op->source[i].value_bytes);
    }
    if (!at[VKA__SOURCE_WORKSPACE].buffer)
        at[VKA__SOURCE_WORKSPACE].buffer = r->scratch;
}

vka_status vka__recorder_check(const vka_recorder *r, const char *item) {
    return r->state == VKA__RECORDING || r->state == VKA__WRAPPED
               ? VKA_OK
               : vka__fail(&r->device->ctx, VKA_INVALID, item, "the recorder is not recording");
}

vka_status vka__record_compiled(vka_recorder *r, const vka__commands *op, const VkPipeline *pipelines) {
    vka_device *d = r->device;
    bool own = op->workspace_bytes && !op->source[VKA__SOURCE_WORKSPACE].buffer;
    vka_status status = vka__recorder_reserve(
        r, op->item, op->dispatches, own ? op->workspace_offset + op->workspace_bytes : 0, vka__value_bytes(d, op));
    if (status != VKA_OK)
        return status;
    vka__place at[VKA__MAX_SOURCES];
    vka__place_sources(op, at);
    place_own(r, op, at);
    vka__label_begin(r, op->item);
    for (uint64_t i = 0; i < op->dispatches; ++i) {
        vka__dispatch dispatch;
        op->dispatch(op->user, i, &dispatch);
        record_dispatch(r, op, at, &dispatch, pipelines);
    }
    vka__label_end(r);
    return VKA_OK;
}

vka_status vka__record(vka_recorder *r, const vka__commands *op) {
    /* Everything that can fail comes before the first command. */
    VkPipeline pipelines[VKA__MAX_KEYS];
    vka_status status = vka__recorder_check(r, op->item);
    if (status == VKA_OK)
        status = vka__get_pipelines(r->device, op->item, op->keys, op->key_count, pipelines);
    return status == VKA_OK ? vka__record_compiled(r, op, pipelines) : status;
}
