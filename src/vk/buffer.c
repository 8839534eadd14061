/* Buffers, and the blocking copies between them and the host.
 * SPDX-License-Identifier: MIT */
#include "vk/vk.h"

#include <string.h>

static void count_memory(vka_device *d, uint64_t add, uint64_t remove) {
    vka__lock(&d->memory_mutex);
    d->memory.bytes += add;
    d->memory.bytes -= remove;
    d->memory.bytes_peak = vka__max_u64(d->memory.bytes_peak, d->memory.bytes);
    vka__unlock(&d->memory_mutex);
}

vka_status vka__buffer_create(vka_device *d, const char *item, uint64_t size, vka_memory memory,
                              VkBufferUsageFlags usage, vka_buffer **buffer) {
    *buffer = NULL;
    if (size > UINT64_MAX - 15 || vka__align_up(size, 16) > d->max_buffer)
        return vka__fail(&d->ctx, VKA_OUT_OF_MEMORY, item, "%llu bytes are more than a buffer can have here: %llu",
                         (unsigned long long)size, (unsigned long long)d->max_buffer);
    vka_buffer *b = vka__alloc(&d->ctx, 1, sizeof *b);
    if (!b)
        return vka__fail(&d->ctx, VKA_OUT_OF_MEMORY, item, "no host memory");
    /* Kernels may read 16-bit tensors through words, so the memory is padded. */
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = vka__align_up(size, 16), .usage = usage};
    uint64_t allocated;
    VkResult result = vka__vma_create_buffer(d->vma, &info, memory, d->caps.unified_memory, &b->handle, &b->allocation,
                                             &b->mapped, &allocated);
    if (result != VK_SUCCESS) {
        vka__free(&d->ctx, b);
        return vka__vk_status(&d->ctx, result, item, "vmaCreateBuffer");
    }
    b->device = d;
    b->size = size;
    b->bytes = info.size;
    b->memory = memory;
    count_memory(d, b->bytes, 0);
    *buffer = b;
    return VKA_OK;
}

vka_status vka_buffer_create_sized(vka_device *device, const vka_buffer_desc *desc, size_t desc_size,
                                   vka_buffer **buffer) {
    if (buffer)
        *buffer = NULL;
    if (!device)
        return vka__fail(NULL, VKA_INVALID, "vka_buffer_create.device", "must not be NULL");
    const vka__context *ctx = &device->ctx;
    if (!buffer)
        return vka__fail(ctx, VKA_INVALID, "vka_buffer_create.buffer", "must not be NULL");
    if (!desc)
        return vka__fail(ctx, VKA_INVALID, "vka_buffer_create.desc", "must not be NULL");
    vka_buffer_desc own;
    vka_status status = vka__read_desc(ctx, "vka_buffer_create", &own, sizeof own, desc, desc_size);
    if (status != VKA_OK)
        return status;
    if (!own.size)
        return vka__fail(ctx, VKA_INVALID, "vka_buffer_create.size", "is 0, but must be 1 or more");
    if ((unsigned)own.memory > VKA_MEMORY_READBACK)
        return vka__fail(ctx, VKA_INVALID, "vka_buffer_create.memory", "%d is not a vka_memory", (int)own.memory);
    VkBufferUsageFlags usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                               VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT;
    status = vka__buffer_create(device, "vka_buffer_create", own.size, own.memory, usage, buffer);
    if (status != VKA_OK)
        return status;
    (*buffer)->child = true;
    vka__device_count(device, VKA__CHILD_BUFFER, 1);
    return VKA_OK;
}

vka_status vka_buffer_wrap(vka_device *device, VkBuffer handle, uint64_t offset, uint64_t size, vka_buffer **wrapped) {
    if (wrapped)
        *wrapped = NULL;
    if (!device)
        return vka__fail(NULL, VKA_INVALID, "vka_buffer_wrap.device", "must not be NULL");
    const vka__context *ctx = &device->ctx;
    if (!wrapped)
        return vka__fail(ctx, VKA_INVALID, "vka_buffer_wrap.wrapped", "must not be NULL");
    if (!handle)
        return vka__fail(ctx, VKA_INVALID, "vka_buffer_wrap.buffer", "is required");
    if (offset % 4)
        return vka__fail(ctx, VKA_INVALID, "vka_buffer_wrap.offset", "is %llu, not a multiple of 4",
                         (unsigned long long)offset);
    if (!size)
        return vka__fail(ctx, VKA_INVALID, "vka_buffer_wrap.size", "is 0, but must be 1 or more");
    if (size > UINT64_MAX - offset)
        return vka__fail(ctx, VKA_INVALID, "vka_buffer_wrap.offset",
                         "is %llu: with a size of %llu it overflows 64 bits", (unsigned long long)offset,
                         (unsigned long long)size);
    vka_buffer *b = vka__alloc(ctx, 1, sizeof *b);
    if (!b)
        return vka__fail(ctx, VKA_OUT_OF_MEMORY, "vka_buffer_wrap", "no host memory");
    *b = (vka_buffer){.device = device, .handle = handle, .base = offset, .size = size, .bytes = size, .child = true};
    vka__device_count(device, VKA__CHILD_BUFFER, 1);
    *wrapped = b;
    return VKA_OK;
}

/* A copy is still under way when waiting for it failed. */
static void finish_copy(const vka_buffer *b) {
    vka_device *d = b->device;
    vka__lock(&d->transfer_mutex);
    if (d->transfer_busy && d->transfer_buffer == b)
        vka__queue_finish(d, d->transfer_fence);
    vka__unlock(&d->transfer_mutex);
}

static void release(vka_buffer *b) {
    vka_device *d = b->device;
    if (b->allocation) {
        vka__vma_destroy_buffer(d->vma, b->handle, b->allocation);
        count_memory(d, 0, b->bytes);
    }
    vka__free(&d->ctx, b);
}

void vka__buffer_adopt(vka_buffer *b) {
    if (b->child)
        vka__device_count(b->device, VKA__CHILD_BUFFER, -1);
    b->child = false;
}

void vka_buffer_destroy(vka_buffer **buffer) {
    if (!buffer || !*buffer)
        return;
    vka_buffer *b = *buffer;
    *buffer = NULL;
    if (b->child)
        vka__device_count(b->device, VKA__CHILD_BUFFER, -1);
    finish_copy(b);
    release(b);
}

uint64_t vka_buffer_size(const vka_buffer *buffer) {
    return buffer->size;
}

void *vka_buffer_map(vka_buffer *buffer) {
    return buffer->memory == VKA_MEMORY_DEVICE ? NULL : buffer->mapped;
}

VkBuffer vka_buffer_vk(const vka_buffer *buffer) {
    return buffer->handle;
}

/* ---- copies between host and device ------------------------------------------------------------------------ */

static const uint64_t staging_bytes = UINT64_C(16) << 20;

/* Command buffer and fence of the blocking copies, made at the first one. */
static vka_status open_transfer(vka_device *d, const char *item) {
    if (d->transfer_fence)
        return VKA_OK;
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                    .queueFamilyIndex = d->queue_family};
    VkResult result = VK_SUCCESS;
    if (!d->transfer_pool)
        result = d->vk.vkCreateCommandPool(d->handle, &pool, NULL, &d->transfer_pool);
    if (result != VK_SUCCESS) {
        d->transfer_pool = VK_NULL_HANDLE;
        return vka__vk_status(&d->ctx, result, item, "vkCreateCommandPool");
    }
    VkCommandBufferAllocateInfo cmd = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                       .commandPool = d->transfer_pool,
                                       .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                       .commandBufferCount = 1};
    if (!d->transfer_cmd)
        result = d->vk.vkAllocateCommandBuffers(d->handle, &cmd, &d->transfer_cmd);
    if (result != VK_SUCCESS) {
        d->transfer_cmd = VK_NULL_HANDLE;
        return vka__vk_status(&d->ctx, result, item, "vkAllocateCommandBuffers");
    }
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    result = d->vk.vkCreateFence(d->handle, &fence, NULL, &d->transfer_fence);
    if (result != VK_SUCCESS)
        d->transfer_fence = VK_NULL_HANDLE;
    return vka__vk_status(&d->ctx, result, item, "vkCreateFence");
}

static void release_staging(vka_device *d) {
    if (d->transfer_staging)
        release(d->transfer_staging);
    d->transfer_staging = NULL;
}

/* Waits for the copy that is under way, if any. While waiting fails it stays under way: its memory is kept. */
static vka_status settle(vka_device *d, const char *item) {
    if (!d->transfer_busy)
        return VKA_OK;
    VkResult result = d->vk.vkWaitForFences(d->handle, 1, &d->transfer_fence, VK_TRUE, UINT64_MAX);
    if (result != VK_SUCCESS)
        return vka__vk_status(&d->ctx, result, item, "vkWaitForFences");
    d->transfer_busy = false;
    result = d->vk.vkResetFences(d->handle, 1, &d->transfer_fence);
    if (result != VK_SUCCESS) {
        /* A fence that stays signalled would end the next wait too early. */
        d->vk.vkDestroyFence(d->handle, d->transfer_fence, NULL);
        d->transfer_fence = VK_NULL_HANDLE;
    }
    return vka__vk_status(&d->ctx, result, item, "vkResetFences");
}

void vka__transfer_close(vka_device *d) {
    if (d->transfer_busy)
        vka__queue_finish(d, d->transfer_fence);
    release_staging(d);
    if (d->transfer_fence)
        d->vk.vkDestroyFence(d->handle, d->transfer_fence, NULL);
    if (d->transfer_pool)
        d->vk.vkDestroyCommandPool(d->handle, d->transfer_pool, NULL);
}

/* Copies on the queue and waits. Everything before on the queue is made visible, and the copy to everything after. */
static vka_status copy_and_wait(vka_device *d, const char *item, VkBuffer dst, uint64_t dst_offset, VkBuffer src,
                                uint64_t src_offset, uint64_t size) {
    VkCommandBuffer cmd = d->transfer_cmd;
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                      .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    VkMemoryBarrier before = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                              .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                              .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT};
    VkMemoryBarrier after = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                             .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                             .dstAccessMask = VK_ACCESS_HOST_READ_BIT | VK_ACCESS_SHADER_READ_BIT |
                                              VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_READ_BIT};
    VkBufferCopy region = {.srcOffset = src_offset, .dstOffset = dst_offset, .size = size};
    VkPipelineStageFlags device_stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
    VkResult result = d->vk.vkBeginCommandBuffer(cmd, &begin);
    if (result != VK_SUCCESS)
        return vka__vk_status(&d->ctx, result, item, "vkBeginCommandBuffer");
    d->vk.vkCmdPipelineBarrier(cmd, device_stages, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &before, 0, NULL, 0, NULL);
    d->vk.vkCmdCopyBuffer(cmd, src, dst, 1, &region);
    d->vk.vkCmdPipelineBarrier(cmd, VK_PIPELINE_STAGE_TRANSFER_BIT, device_stages | VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                               &after, 0, NULL, 0, NULL);
    result = d->vk.vkEndCommandBuffer(cmd);
    if (result != VK_SUCCESS) {
        d->vk.vkResetCommandBuffer(cmd, 0);
        return vka__vk_status(&d->ctx, result, item, "vkEndCommandBuffer");
    }
    VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &cmd};
    vka_status status = vka__queue_submit(d, item, &submit, d->transfer_fence, VK_NULL_HANDLE, &d->transfer_busy);
    return status == VKA_OK ? settle(d, item) : status;
}

/* Command buffer, fence and a staging buffer for the coming copy; what an earlier failure left is cleared first. */
static vka_status begin_transfer(vka_device *d, const char *item, uint64_t bytes, bool write) {
    vka_status status = settle(d, item);
    if (status != VKA_OK)
        return status;
    release_staging(d);
    status = open_transfer(d, item);
    if (status != VKA_OK)
        return status;
    return vka__buffer_create(d, item, bytes, write ? VKA_MEMORY_UPLOAD : VKA_MEMORY_READBACK,
                              write ? VK_BUFFER_USAGE_TRANSFER_SRC_BIT : VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                              &d->transfer_staging);
}

/* Through a staging buffer, a piece at a time. */
static vka_status staged_copy(vka_buffer *b, const char *item, uint64_t offset, void *to_host, const void *from_host,
                              uint64_t size) {
    vka_device *d = b->device;
    bool write = from_host;
    uint64_t piece = vka__min_u64(size, staging_bytes);
    vka__lock(&d->transfer_mutex);
    vka_status status = begin_transfer(d, item, piece, write);
    if (status == VKA_OK)
        d->transfer_buffer = b;
    for (uint64_t done = 0; done < size && status == VKA_OK; done += piece) {
        vka_buffer *staging = d->transfer_staging;
        uint64_t n = vka__min_u64(piece, size - done), at = offset + done;
        if (write)
            memcpy(staging->mapped, (const char *)from_host + done, n);
        status = write ? copy_and_wait(d, item, b->handle, at, staging->handle, 0, n)
                       : copy_and_wait(d, item, staging->handle, 0, b->handle, at, n);
        if (!write && status == VKA_OK)
            memcpy((char *)to_host + done, staging->mapped, n);
    }
    if (!d->transfer_busy)
        release_staging(d);
    vka__unlock(&d->transfer_mutex);
    return status;
}

static vka_status check_copy(const vka_buffer *b, const char *function, uint64_t offset, const void *data,
                             uint64_t size) {
    const vka__context *ctx = &b->device->ctx;
    if (!b->allocation)
        return vka__fail(ctx, VKA_INVALID, function, "the buffer is wrapped: its memory belongs to the app");
    if (offset > b->size || size > b->size - offset)
        return vka__fail(ctx, VKA_INVALID, function, "bytes %llu + %llu lie outside the buffer of %llu",
                         (unsigned long long)offset, (unsigned long long)size, (unsigned long long)b->size);
    if (!data && size)
        return vka__fail(ctx, VKA_INVALID, function, "data is NULL");
    return VKA_OK;
}

vka_status vka_buffer_write(vka_buffer *b, uint64_t offset, const void *data, uint64_t size) {
    static const char item[] = "vka_buffer_write";
    if (!b)
        return vka__fail(NULL, VKA_INVALID, "vka_buffer_write.buffer", "must not be NULL");
    vka_status status = check_copy(b, item, offset, data, size);
    if (status != VKA_OK || !size)
        return status;
    if (!b->mapped)
        return staged_copy(b, item, offset, NULL, data, size);
    memcpy((char *)b->mapped + offset, data, size);
    VkResult result = vka__vma_flush(b->device->vma, b->allocation, offset, size);
    return vka__vk_status(&b->device->ctx, result, item, "vkFlushMappedMemoryRanges");
}

vka_status vka_buffer_read(vka_buffer *b, uint64_t offset, void *data, uint64_t size) {
    static const char item[] = "vka_buffer_read";
    if (!b)
        return vka__fail(NULL, VKA_INVALID, "vka_buffer_read.buffer", "must not be NULL");
    vka_status status = check_copy(b, item, offset, data, size);
    if (status != VKA_OK || !size)
        return status;
    if (!b->mapped)
        return staged_copy(b, item, offset, data, NULL, size);
    VkResult result = vka__vma_invalidate(b->device->vma, b->allocation, offset, size);
    if (result == VK_SUCCESS)
        memcpy(data, (const char *)b->mapped + offset, size);
    return vka__vk_status(&b->device->ctx, result, item, "vkInvalidateMappedMemoryRanges");
}
