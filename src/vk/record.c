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

/* Where the recorder placed what the sources of an operation name. */
typedef struct placed {
    const vka_buffer *buffer;
    uint64_t offset; /* added to what bindings say */
} placed;

/* A binding as Vulkan wants it, and as the hazard table wants it. */
typedef struct bound {
    VkDescriptorBufferInfo info;
    vka__access access;
} bound;

static bound bind_one(const placed *at, const vka__binding *b) {
    uint64_t offset = at->offset + b->offset, end = at->buffer->base + at->buffer->bytes;
    return (bound){
        .info = {.buffer = at->buffer->handle,
                 .offset = offset,
                 /* The last word of an odd number of 16-bit elements may lie outside a wrapped buffer. */
                 .range = vka__min_u64(b->range, end - offset)},
        .access = b->access,
    };
}

/* Kernels name every binding, whatever their specialization uses. A binding without a tensor shows memory that the
 * dispatch writes anyway: whatever validation then assumes about the binding is covered by the barriers of that tensor.
 */
static void fill_unused(bound bounds[VKA_MAX_BINDINGS], uint32_t count) {
    uint32_t written = 1;
    while (written < count - 1 && !(bounds[written].access & VKA__WRITE))
        ++written;
    for (uint32_t i = 1; i < count; ++i)
        if (bounds[i].access == VKA__UNUSED)
            bounds[i].info = bounds[written].info;
}

static void write_set(vka_device *d, VkDescriptorSet set, const bound *bounds) {
    VkWriteDescriptorSet writes[VKA_MAX_BINDINGS];
    for (uint32_t i = 0; i < d->binding_count; ++i)
        writes[i] = (VkWriteDescriptorSet){
            .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
            .dstSet = set,
            .dstBinding = i,
            .descriptorCount = 1,
            .descriptorType =
                i == VKA_BIND_PARAMS ? VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
            .pBufferInfo = &bounds[i].info,
        };
    d->vk.vkUpdateDescriptorSets(d->handle, d->binding_count, writes, 0, NULL);
}

static void add_hazards(vka_recorder *r, const bound *bounds, const vka__range *counts) {
    vka__range ranges[VKA_MAX_BINDINGS + 1];
    uint32_t count = 0;
    if (counts->end)
        ranges[count++] = *counts;
    for (uint32_t i = 1; i < VKA_MAX_BINDINGS; ++i)
        if (bounds[i].access)
            ranges[count++] = (vka__range){
                .buffer = (uint64_t)bounds[i].info.buffer,
                .begin = bounds[i].info.offset,
                .end = bounds[i].info.offset + bounds[i].info.range,
                .write = bounds[i].access & VKA__WRITE,
            };
    if (vka__hazards_add(&r->hazards, ranges, count))
        vka__recorder_barrier(r, VKA__FOR_KERNELS);
}

static void record_dispatch(vka_recorder *r, const vka__commands *op, const placed *at, const vka__dispatch *dispatch,
                            const VkPipeline *pipelines) {
    vka_device *d = r->device;
    uint32_t index;
    vka__page *page = vka__recorder_slot(r, r->dispatches++, &index);
    uint64_t params = (uint64_t)index * r->slot_bytes;
    memcpy((char *)page->params->mapped + params, op->params, op->params_size);
    bound bounds[VKA_MAX_BINDINGS] = {0};
    bounds[0].info = (VkDescriptorBufferInfo){page->params->handle, params, vka__align_up(op->params_size, 16)};
    for (uint32_t i = 1; i < VKA_MAX_BINDINGS; ++i)
        if (dispatch->binding[i].access)
            bounds[i] = bind_one(&at[dispatch->binding[i].source], &dispatch->binding[i]);
    uint64_t count_at = at[VKA__SOURCE_COUNTS].offset;
    count_at += dispatch->indirect == 2 ? sizeof(VkDispatchIndirectCommand) : 0;
    vka__range count = {0};
    if (dispatch->indirect)
        count =
            (vka__range){(uint64_t)r->values->handle, count_at, count_at + sizeof(VkDispatchIndirectCommand), false};
    add_hazards(r, bounds, &count);
    fill_unused(bounds, d->binding_count);
    write_set(d, page->sets[index], bounds);
    d->vk.vkCmdBindPipeline(r->cmd, VK_PIPELINE_BIND_POINT_COMPUTE, pipelines[dispatch->key]);
    d->vk.vkCmdBindDescriptorSets(r->cmd, VK_PIPELINE_BIND_POINT_COMPUTE, d->pipeline_layout, 0, 1, &page->sets[index],
                                  0, NULL);
    d->vk.vkCmdPushConstants(r->cmd, d->pipeline_layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof dispatch->push,
                             &dispatch->push);
    if (dispatch->indirect)
        d->vk.vkCmdDispatchIndirect(r->cmd, r->values->handle, count_at);
    else
        d->vk.vkCmdDispatch(r->cmd, dispatch->groups[0], dispatch->groups[1], dispatch->groups[2]);
}

static vka_status get_pipelines(vka_device *device, const char *item, const vka__pipeline_key *keys, uint32_t count,
                                VkPipeline *pipelines) {
    vka_status status = VKA_OK;
    for (uint32_t i = 0; i < count && status == VKA_OK; ++i)
        if (keys[i].kernel != VKA__KERNEL_COUNT) /* otherwise no dispatch has it */
            status = vka__pipeline_get(device, item, &keys[i], &pipelines[i]);
    return status;
}

vka_status vka__prepare(vka_device *device, const char *item, const vka__pipeline_key *keys, uint32_t count) {
    VkPipeline pipelines[VKA__MAX_KEYS];
    return get_pipelines(device, item, keys, count, pipelines);
}

/* Room that a source takes in the recorder's memory for host values. */
static uint64_t value_room(const vka_device *d, const vka__commands *op, uint32_t source) {
    uint64_t bytes =
        source == VKA__SOURCE_COUNTS ? (op->counts ? VKA__COUNTS_BYTES : 0) : op->source[source].value_bytes;
    return vka__align_up(bytes, vka__max_u32(d->caps.storage_align, 16));
}

uint64_t vka__value_bytes(const vka_device *device, const vka__commands *op) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < op->source_count; ++i)
        bytes += value_room(device, op, i);
    return bytes;
}

/* Host values are copied, so that they may change or die once the operation is recorded. */
static void place_sources(vka_recorder *r, const vka__commands *op, placed *at) {
    for (uint32_t i = 0; i < op->source_count; ++i) {
        uint64_t room = value_room(r->device, op, i);
        at[i] = (placed){op->source[i].buffer, 0};
        if (!room)
            continue;
        at[i] = (placed){r->values, r->values_used};
        r->values_used += room;
        if (op->source[i].values)
            memcpy((char *)r->values->mapped + at[i].offset, op->source[i].values, op->source[i].value_bytes);
    }
    placed *workspace = &at[VKA__SOURCE_WORKSPACE];
    if (!workspace->buffer)
        workspace->buffer = r->scratch;
    workspace->offset = op->workspace_offset + (workspace->buffer ? workspace->buffer->base : 0);
}

vka_status vka__record(vka_recorder *r, const vka__commands *op) {
    vka_device *d = r->device;
    if (r->state != VKA__RECORDING && r->state != VKA__WRAPPED)
        return vka__fail(&d->ctx, VKA_INVALID, op->item, "the recorder is not recording");
    /* Everything that can fail comes before the first command. */
    VkPipeline pipelines[VKA__MAX_KEYS];
    vka_status status = get_pipelines(d, op->item, op->keys, op->key_count, pipelines);
    bool own = op->workspace_bytes && !op->source[VKA__SOURCE_WORKSPACE].buffer;
    if (status == VKA_OK)
        status = vka__recorder_reserve(r, op->item, op->dispatches,
                                       own ? op->workspace_offset + op->workspace_bytes : 0, vka__value_bytes(d, op));
    if (status != VKA_OK)
        return status;
    placed at[VKA__MAX_SOURCES];
    place_sources(r, op, at);
    vka__label_begin(r, op->item);
    for (uint64_t i = 0; i < op->dispatches; ++i) {
        vka__dispatch dispatch;
        op->dispatch(op->user, i, &dispatch);
        record_dispatch(r, op, at, &dispatch, pipelines);
    }
    vka__label_end(r);
    return VKA_OK;
}

/* What must hold of an argument, in the order in which it is looked at. */
struct rule {
    bool ok;
    const char *item, *text;
};

static vka_status check_rules(const vka_recorder *r, const struct rule *rules, size_t count) {
    for (size_t i = 0; i < count; ++i)
        if (!rules[i].ok)
            return vka__fail(&r->device->ctx, VKA_INVALID, rules[i].item, "%s", rules[i].text);
    return VKA_OK;
}

static vka_status check_copy(const vka_recorder *r, const vka_buffer *dst, uint64_t dst_offset, const vka_buffer *src,
                             uint64_t src_offset, uint64_t size) {
    bool overlap = dst && src && dst->handle == src->handle && dst->base + dst_offset < src->base + src_offset + size &&
                   src->base + src_offset < dst->base + dst_offset + size;
    const struct rule rules[] = {
        {r->state == VKA__RECORDING || r->state == VKA__WRAPPED, "vka_copy", "the recorder is not recording"},
        {dst && dst->device == r->device, "vka_copy.dst", "must be a buffer of the recorder's device"},
        {src && src->device == r->device, "vka_copy.src", "must be a buffer of the recorder's device"},
        {dst_offset % 4 == 0, "vka_copy.dst_offset", "must be a multiple of 4"},
        {src_offset % 4 == 0, "vka_copy.src_offset", "must be a multiple of 4"},
        {size % 4 == 0, "vka_copy.size", "must be a multiple of 4"},
        {!dst || (dst_offset <= dst->bytes && size <= dst->bytes - dst_offset), "vka_copy.dst_offset",
         "the range must lie within dst"},
        {!src || (src_offset <= src->bytes && size <= src->bytes - src_offset), "vka_copy.src_offset",
         "the range must lie within src"},
        {!overlap, "vka_copy.src_offset", "the ranges must not overlap"},
    };
    return check_rules(r, rules, sizeof rules / sizeof *rules);
}

vka_status vka_fill(vka_recorder *r, vka_buffer *buffer, uint64_t offset, uint64_t size, uint32_t value) {
    if (!r)
        return vka__fail(NULL, VKA_INVALID, "vka_fill.recorder", "must not be NULL");
    bool inside = buffer && offset <= buffer->bytes && size <= buffer->bytes - offset;
    const struct rule rules[] = {
        {r->state == VKA__RECORDING || r->state == VKA__WRAPPED, "vka_fill", "the recorder is not recording"},
        {buffer && buffer->device == r->device, "vka_fill.buffer", "must be a buffer of the recorder's device"},
        {offset % 4 == 0, "vka_fill.offset", "must be a multiple of 4"},
        {size % 4 == 0, "vka_fill.size", "must be a multiple of 4"},
        {inside, "vka_fill.offset", "the range must lie within the buffer"},
    };
    vka_status status = check_rules(r, rules, sizeof rules / sizeof *rules);
    if (status != VKA_OK || !size)
        return status;
    uint64_t begin = buffer->base + offset;
    const vka__range range = {(uint64_t)buffer->handle, begin, begin + size, true};
    vka__label_begin(r, "vka_fill");
    if (vka__hazards_add(&r->hazards, &range, 1))
        vka__recorder_barrier(r, VKA__FOR_KERNELS);
    r->device->vk.vkCmdFillBuffer(r->cmd, buffer->handle, begin, size, value);
    vka__label_end(r);
    return VKA_OK;
}

vka_status vka_copy(vka_recorder *r, vka_buffer *dst, uint64_t dst_offset, vka_buffer *src, uint64_t src_offset,
                    uint64_t size) {
    if (!r)
        return vka__fail(NULL, VKA_INVALID, "vka_copy.recorder", "must not be NULL");
    vka_status status = check_copy(r, dst, dst_offset, src, src_offset, size);
    if (status != VKA_OK || !size)
        return status;
    VkBufferCopy region = {src->base + src_offset, dst->base + dst_offset, size};
    vka__range ranges[] = {
        {(uint64_t)src->handle, region.srcOffset, region.srcOffset + size, false},
        {(uint64_t)dst->handle, region.dstOffset, region.dstOffset + size, true},
    };
    vka__label_begin(r, "vka_copy");
    if (vka__hazards_add(&r->hazards, ranges, 2))
        vka__recorder_barrier(r, VKA__FOR_KERNELS);
    r->device->vk.vkCmdCopyBuffer(r->cmd, src->handle, dst->handle, 1, &region);
    vka__label_end(r);
    return VKA_OK;
}
