/* Copies and fills.
 * SPDX-License-Identifier: MIT */
#include "vk/recorder.h"

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
