/* Submission of recorders, with the app's semaphores and fence, and waiting for it.
 * SPDX-License-Identifier: MIT */
#include "vk/recorder.h"

/* Work stays pending when waiting for it fails, unless the device is gone: its memory is still in use. */
vka_status vka__recorder_finish(vka_recorder *r, const char *item, uint64_t timeout) {
    if (!r->pending)
        return VKA_OK;
    vka_device *d = r->device;
    VkResult result = d->vk.vkWaitForFences(d->handle, 1, &r->fence, VK_TRUE, timeout);
    r->pending = result != VK_SUCCESS && result != VK_ERROR_DEVICE_LOST;
    return vka__vk_status(&d->ctx, result, item, "vkWaitForFences");
}

vka_status vka_recorder_wait(vka_recorder *r, uint64_t timeout) {
    if (!r)
        return vka__fail(NULL, VKA_INVALID, "vka_recorder_wait.recorder", "must not be NULL");
    return vka__recorder_finish(r, "vka_recorder_wait", timeout);
}

static vka_status end_recording(vka_recorder *r, const char *item) {
    vka_device *d = r->device;
    vka__recorder_barrier(r, VKA__FOR_HOST);
    VkResult result = d->vk.vkEndCommandBuffer(r->own_cmd);
    r->state = result == VK_SUCCESS ? VKA__EXECUTABLE : VKA__IDLE;
    if (result != VK_SUCCESS)
        d->vk.vkResetCommandBuffer(r->own_cmd, 0);
    return vka__vk_status(&d->ctx, result, item, "vkEndCommandBuffer");
}

static vka_status submit(vka_recorder *r, const char *item, const VkSubmitInfo *info, VkFence fence) {
    vka_device *d = r->device;
    if (r->state != VKA__RECORDING && r->state != VKA__EXECUTABLE)
        return vka__fail(&d->ctx, VKA_INVALID, item, "nothing was recorded with vka_recorder_begin");
    vka_status status = r->state == VKA__RECORDING ? end_recording(r, item) : VKA_OK;
    /* One fence and one set of timestamps: a submission ends before the next one of the same commands. */
    if (status == VKA_OK)
        status = vka__recorder_finish(r, item, VKA_FOREVER);
    if (status != VKA_OK)
        return status;
    VkResult result = d->vk.vkResetFences(d->handle, 1, &r->fence);
    if (result != VK_SUCCESS)
        return vka__vk_status(&d->ctx, result, item, "vkResetFences");
    /* Waits are for the recorder's own fence: the app may reset or destroy its one once that has signalled. */
    status = vka__queue_submit(d, item, info, r->fence, fence, &r->pending);
    r->ran = r->ran || r->pending;
    return status;
}

vka_status vka_recorder_submit(vka_recorder *r) {
    if (!r)
        return vka__fail(NULL, VKA_INVALID, "vka_recorder_submit.recorder", "must not be NULL");
    VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &r->own_cmd};
    return submit(r, "vka_recorder_submit", &info, VK_NULL_HANDLE);
}

/* ---- semaphores ------------------------------------------------------------------------------------------------ */

/* The semaphores of one side of a submission, with the names of their fields. */
typedef struct side {
    const char *count_item, *semaphores_item, *values_item;
    uint32_t count;
    const VkSemaphore *semaphores;
    const uint64_t *values;
} side;

static vka_status check_side(const vka_device *d, const side *s) {
    if (s->count > VKA_MAX_SEMAPHORES)
        return vka__fail(&d->ctx, VKA_INVALID, s->count_item, "is %u, at most %d", s->count, VKA_MAX_SEMAPHORES);
    if (s->count && !s->semaphores)
        return vka__fail(&d->ctx, VKA_INVALID, s->semaphores_item, "is NULL, but its count is %u", s->count);
    for (uint32_t i = 0; i < s->count; ++i)
        if (!s->semaphores[i])
            return vka__fail(&d->ctx, VKA_INVALID, s->semaphores_item, "entry %u of %u is NULL", i, s->count);
    if (s->count && s->values && !d->timeline_semaphore)
        return vka__fail(&d->ctx, VKA_UNSUPPORTED, s->values_item,
                         "timeline semaphores need the feature timelineSemaphore, which is not enabled");
    return VKA_OK;
}

static vka_status check_desc(const vka_device *d, const vka_submit_desc *s) {
    const side waits = {"vka_recorder_submit_vk.wait_count",
                        "vka_recorder_submit_vk.wait_semaphores",
                        "vka_recorder_submit_vk.wait_values",
                        s->wait_count,
                        s->wait_semaphores,
                        s->wait_values};
    const side signals = {"vka_recorder_submit_vk.signal_count",
                          "vka_recorder_submit_vk.signal_semaphores",
                          "vka_recorder_submit_vk.signal_values",
                          s->signal_count,
                          s->signal_semaphores,
                          s->signal_values};
    vka_status status = check_side(d, &waits);
    if (status == VKA_OK)
        status = check_side(d, &signals);
    for (uint32_t i = 0; status == VKA_OK && s->wait_stages && i < s->wait_count; ++i)
        if (!s->wait_stages[i])
            status = vka__fail(&d->ctx, VKA_INVALID, "vka_recorder_submit_vk.wait_stages", "entry %u of %u is 0", i,
                               s->wait_count);
    return status;
}

vka_status vka_recorder_submit_vk_sized(vka_recorder *r, const vka_submit_desc *desc, size_t desc_size) {
    if (!r)
        return vka__fail(NULL, VKA_INVALID, "vka_recorder_submit_vk.recorder", "must not be NULL");
    vka_submit_desc s;
    vka_status status = vka__read_desc(&r->device->ctx, "vka_recorder_submit_vk", &s, sizeof s, desc, desc_size);
    if (status == VKA_OK)
        status = check_desc(r->device, &s);
    if (status != VKA_OK)
        return status;
    VkPipelineStageFlags everything[VKA_MAX_SEMAPHORES];
    for (uint32_t i = 0; i < VKA_MAX_SEMAPHORES; ++i)
        everything[i] = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
    /* A side without values has no timeline semaphores, and needs no list of them. */
    VkTimelineSemaphoreSubmitInfo values = {.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
                                            .waitSemaphoreValueCount = s.wait_values ? s.wait_count : 0,
                                            .pWaitSemaphoreValues = s.wait_values,
                                            .signalSemaphoreValueCount = s.signal_values ? s.signal_count : 0,
                                            .pSignalSemaphoreValues = s.signal_values};
    bool timeline = values.waitSemaphoreValueCount || values.signalSemaphoreValueCount;
    VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                         .pNext = timeline ? &values : NULL,
                         .waitSemaphoreCount = s.wait_count,
                         .pWaitSemaphores = s.wait_semaphores,
                         .pWaitDstStageMask = s.wait_stages ? s.wait_stages : everything,
                         .commandBufferCount = 1,
                         .pCommandBuffers = &r->own_cmd,
                         .signalSemaphoreCount = s.signal_count,
                         .pSignalSemaphores = s.signal_semaphores};
    return submit(r, "vka_recorder_submit_vk", &info, s.fence);
}
