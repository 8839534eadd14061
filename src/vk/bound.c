/* Descriptor sets: what they show, and their memory.
 * SPDX-License-Identifier: MIT */
#include "vk/bound.h"

#include <string.h>

void vka__place_sources(const vka__commands *op, vka__place at[VKA__MAX_SOURCES]) {
    for (uint32_t i = 0; i < op->source_count; ++i)
        at[i] = (vka__place){op->source[i].buffer, op->source[i].offset};
    vka__place *workspace = &at[VKA__SOURCE_WORKSPACE];
    workspace->offset = op->workspace_offset + (workspace->buffer ? workspace->buffer->base : 0);
}

/* Kernels name every binding, whatever their specialization uses. A binding without a tensor shows memory that the
 * dispatch writes anyway: whatever validation then assumes about the binding is covered by the barriers of that tensor.
 */
static void fill_unused(const vka__dispatch *dispatch, uint32_t count, VkDescriptorBufferInfo *info) {
    uint32_t written = 1;
    while (written < count - 1 && !(dispatch->binding[written].access & VKA__WRITE))
        ++written;
    for (uint32_t i = 1; i < count; ++i)
        if (dispatch->binding[i].access == VKA__UNUSED)
            info[i] = info[written];
}

void vka__bind_dispatch(const vka_device *d, const vka__place at[VKA__MAX_SOURCES], VkDescriptorBufferInfo params,
                        const vka__dispatch *dispatch, vka__bound *out) {
    out->range_count = 0;
    out->info[VKA_BIND_PARAMS] = params;
    for (uint32_t i = 1; i < d->binding_count; ++i) {
        const vka__binding *b = &dispatch->binding[i];
        if (!b->access)
            continue;
        const vka__place *p = &at[b->source];
        uint64_t offset = p->offset + b->offset, end = p->buffer->base + p->buffer->bytes;
        /* The last word of an odd number of 16-bit elements may lie outside a wrapped buffer. */
        uint64_t range = vka__min_u64(b->range, end - offset);
        out->info[i] = (VkDescriptorBufferInfo){p->buffer->handle, offset, range};
        out->range[out->range_count++] =
            (vka__range){(uint64_t)p->buffer->handle, offset, offset + range, b->access & VKA__WRITE};
    }
    fill_unused(dispatch, d->binding_count, out->info);
}

void vka__write_set(const vka_device *d, VkDescriptorSet set, const VkDescriptorBufferInfo *info) {
    d->vk.vkUpdateDescriptorSetWithTemplate(d->handle, set, d->set_template, info);
}

vka_status vka__create_sets(vka_device *d, const char *item, uint32_t count, VkDescriptorPool *pool,
                            VkDescriptorSet *sets) {
    const VkDescriptorPoolSize sizes[] = {
        {VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER, count},
        {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, count * (d->binding_count - 1)},
    };
    const VkDescriptorPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                             .maxSets = count,
                                             .poolSizeCount = 2,
                                             .pPoolSizes = sizes};
    VkResult result = d->vk.vkCreateDescriptorPool(d->handle, &info, NULL, pool);
    if (result != VK_SUCCESS) {
        *pool = VK_NULL_HANDLE;
        return vka__vk_status(&d->ctx, result, item, "vkCreateDescriptorPool");
    }
    for (uint32_t i = 0; i < count && result == VK_SUCCESS; ++i) {
        const VkDescriptorSetAllocateInfo one = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                                 .descriptorPool = *pool,
                                                 .descriptorSetCount = 1,
                                                 .pSetLayouts = &d->set_layout};
        result = d->vk.vkAllocateDescriptorSets(d->handle, &one, &sets[i]);
    }
    if (result != VK_SUCCESS) {
        d->vk.vkDestroyDescriptorPool(d->handle, *pool, NULL);
        *pool = VK_NULL_HANDLE;
    }
    return vka__vk_status(&d->ctx, result, item, "vkAllocateDescriptorSets");
}
