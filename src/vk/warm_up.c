/* Dispatches of no workgroups, for drivers that compile when a pipeline is first used.
 * SPDX-License-Identifier: MIT */
#include "vk/recorder.h"

#include <string.h>

/* Every slot shows scratch memory, which no invocation is there to touch. */
static void bind_scratch(vka_recorder *r) {
    vka_device *d = r->device;
    uint32_t index;
    vka__page *page = vka__recorder_slot(r, r->dispatches++, &index);
    uint64_t at = (uint64_t)index * r->slot_bytes;
    memset((char *)page->params->mapped + at, 0, r->slot_bytes);
    VkDescriptorBufferInfo params = {page->params->handle, at, r->slot_bytes};
    VkDescriptorBufferInfo scratch = {r->scratch->handle, 0, r->scratch->bytes};
    VkDescriptorBufferInfo info[VKA_MAX_BINDINGS];
    for (uint32_t i = 0; i < d->binding_count; ++i)
        info[i] = i == VKA_BIND_PARAMS ? params : scratch;
    vka__write_set(d, page->sets[index], info);
    d->vk.vkCmdBindDescriptorSets(r->cmd, VK_PIPELINE_BIND_POINT_COMPUTE, d->pipeline_layout, 0, 1, &page->sets[index],
                                  0, NULL);
}

vka_status vka_recorder_warm_up(vka_recorder *r) {
    static const char item[] = "vka_recorder_warm_up";
    if (!r)
        return vka__fail(NULL, VKA_INVALID, "vka_recorder_warm_up.recorder", "must not be NULL");
    vka_device *d = r->device;
    vka_status status = vka__recorder_check(r, item);
    if (status != VKA_OK)
        return status;
    VkPipeline pipeline = vka__pipeline_at(d, 0);
    if (!pipeline)
        return VKA_OK;
    status = vka__recorder_reserve(r, item, 1, 256, 0);
    if (status != VKA_OK)
        return status;
    const vka_push push = {0};
    vka__label_begin(r, item);
    bind_scratch(r);
    d->vk.vkCmdPushConstants(r->cmd, d->pipeline_layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof push, &push);
    for (uint32_t i = 0; pipeline; pipeline = vka__pipeline_at(d, ++i)) {
        vka__recorder_barrier(r, VKA__FOR_KERNELS); /* validation does not know that nothing runs */
        d->vk.vkCmdBindPipeline(r->cmd, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
        d->vk.vkCmdDispatch(r->cmd, 0, 0, 0);
    }
    vka__recorder_barrier(r, VKA__FOR_KERNELS);
    vka__label_end(r);
    return VKA_OK;
}
