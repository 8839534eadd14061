/* Recorders: creation, memory, begin and end, timestamps.
 * SPDX-License-Identifier: MIT */
#include "vk/recorder.h"

#include <string.h>

/* ---- pages and scratch ----------------------------------------------------------------------------------------- */

static void destroy_page(vka_recorder *r, vka__page *page) {
    vka_device *d = r->device;
    if (page->pool)
        d->vk.vkDestroyDescriptorPool(d->handle, page->pool, NULL);
    vka_buffer_destroy(&page->params);
    vka__free(&d->ctx, page->sets);
    *page = (vka__page){0};
}

static vka_status add_page(vka_recorder *r, const char *item, uint32_t capacity) {
    vka_device *d = r->device;
    vka__page *pages = vka__realloc(&d->ctx, r->pages, (r->page_count + 1) * sizeof *pages);
    if (!pages)
        return vka__fail(&d->ctx, VKA_OUT_OF_MEMORY, item, "no host memory");
    r->pages = pages;
    vka__page page = {.capacity = capacity};
    page.sets = vka__alloc(&d->ctx, capacity, sizeof *page.sets);
    vka_status status = page.sets ? VKA_OK : vka__fail(&d->ctx, VKA_OUT_OF_MEMORY, item, "no host memory");
    if (status == VKA_OK)
        status = vka__create_sets(d, item, capacity, &page.pool, page.sets);
    if (status == VKA_OK)
        status = vka__buffer_create(d, item, (uint64_t)capacity * r->slot_bytes, VKA_MEMORY_UPLOAD,
                                    VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT, &page.params);
    if (status != VKA_OK) {
        destroy_page(r, &page);
        return status;
    }
    r->pages[r->page_count++] = page;
    r->capacity += capacity;
    return VKA_OK;
}

/* Commands recorded so far keep using the old memory, so it is kept until they are done. */
static vka_status grow(vka_recorder *r, const char *item, uint64_t bytes, vka_memory memory, VkBufferUsageFlags usage,
                       vka_buffer **buffer) {
    vka_device *d = r->device;
    if (*buffer) {
        vka_buffer **retired = vka__realloc(&d->ctx, r->retired, (r->retired_count + 1) * sizeof *retired);
        if (!retired)
            return vka__fail(&d->ctx, VKA_OUT_OF_MEMORY, item, "no host memory");
        r->retired = retired;
    }
    vka_buffer *grown;
    vka_status status = vka__buffer_create(d, item, bytes, memory, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | usage, &grown);
    if (status != VKA_OK)
        return status;
    if (*buffer)
        r->retired[r->retired_count++] = *buffer;
    *buffer = grown;
    return VKA_OK;
}

vka_status vka__recorder_reserve(vka_recorder *r, const char *item, uint64_t count, uint64_t scratch_bytes,
                                 uint64_t value_bytes) {
    vka_status status = VKA_OK;
    if (count > r->capacity - r->dispatches) {
        uint64_t more = vka__max_u64(count - (r->capacity - r->dispatches), r->capacity);
        if (more > UINT32_MAX / 16)
            return vka__fail(&r->device->ctx, VKA_OUT_OF_MEMORY, item, "%llu dispatches in one recording",
                             (unsigned long long)count);
        status = add_page(r, item, (uint32_t)more);
    }
    if (status == VKA_OK && scratch_bytes && (!r->scratch || r->scratch->size < scratch_bytes))
        status = grow(r, item, scratch_bytes, VKA_MEMORY_DEVICE, 0, &r->scratch);
    uint64_t room = r->values ? r->values->size : 0;
    if (status == VKA_OK && value_bytes > room - r->values_used) {
        /* Twice what was needed so far, so that the next recording of this kind finds room for all of it; but at first
         * what is asked for. */
        uint64_t need = r->values_used + vka__min_u64(value_bytes, UINT64_MAX / 4);
        status = grow(r, item, r->values ? 2 * need : value_bytes, VKA_MEMORY_UPLOAD,
                      VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT, &r->values);
        r->values_used = status == VKA_OK ? 0 : r->values_used;
    }
    return status;
}

vka__page *vka__recorder_slot(vka_recorder *r, uint32_t dispatch, uint32_t *index) {
    vka__page *page = r->pages;
    for (; dispatch >= page->capacity; ++page)
        dispatch -= page->capacity;
    *index = dispatch;
    return page;
}

/* Forgets the previous recording, whose work has completed. */
static void reset(vka_recorder *r) {
    r->dispatches = 0;
    r->ran = false;
    r->hazards.count = 0;
    r->values_used = 0;
    for (uint32_t i = 0; i < r->retired_count; ++i)
        vka_buffer_destroy(&r->retired[i]);
    r->retired_count = 0;
    if (r->query_count)
        memset(r->query_written, 0, r->query_count * sizeof *r->query_written);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static vka_status create_commands(vka_recorder *r, const char *item) {
    vka_device *d = r->device;
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                    .queueFamilyIndex = d->queue_family};
    VkResult result = d->vk.vkCreateCommandPool(d->handle, &pool, NULL, &r->pool);
    if (result != VK_SUCCESS) {
        r->pool = VK_NULL_HANDLE;
        return vka__vk_status(&d->ctx, result, item, "vkCreateCommandPool");
    }
    VkCommandBufferAllocateInfo cmd = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                       .commandPool = r->pool,
                                       .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                       .commandBufferCount = 1};
    result = d->vk.vkAllocateCommandBuffers(d->handle, &cmd, &r->own_cmd);
    if (result != VK_SUCCESS)
        return vka__vk_status(&d->ctx, result, item, "vkAllocateCommandBuffers");
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    result = d->vk.vkCreateFence(d->handle, &fence, NULL, &r->fence);
    if (result != VK_SUCCESS)
        r->fence = VK_NULL_HANDLE;
    return vka__vk_status(&d->ctx, result, item, "vkCreateFence");
}

static vka_status create_queries(vka_recorder *r, const char *item, uint32_t count) {
    vka_device *d = r->device;
    if (!count || !d->caps.timestamps)
        return VKA_OK;
    r->query_written = vka__alloc(&d->ctx, count, sizeof *r->query_written);
    if (!r->query_written)
        return vka__fail(&d->ctx, VKA_OUT_OF_MEMORY, item, "no host memory");
    VkQueryPoolCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP, .queryCount = count};
    VkResult result = d->vk.vkCreateQueryPool(d->handle, &info, NULL, &r->queries);
    if (result != VK_SUCCESS)
        r->queries = VK_NULL_HANDLE;
    else
        r->query_count = count;
    return vka__vk_status(&d->ctx, result, item, "vkCreateQueryPool");
}

vka_status vka_recorder_create_sized(vka_device *device, const vka_recorder_desc *desc, size_t desc_size,
                                     vka_recorder **recorder) {
    static const char item[] = "vka_recorder_create";
    if (recorder)
        *recorder = NULL;
    if (!device)
        return vka__fail(NULL, VKA_INVALID, "vka_recorder_create.device", "must not be NULL");
    if (!recorder)
        return vka__fail(&device->ctx, VKA_INVALID, "vka_recorder_create.recorder", "must not be NULL");
    vka_recorder_desc d;
    vka_status status = vka__read_desc(&device->ctx, item, &d, sizeof d, desc, desc_size);
    if (status != VKA_OK)
        return status;
    if (d.max_dispatches > 1u << 20)
        return vka__fail(&device->ctx, VKA_INVALID, "vka_recorder_create.max_dispatches", "is %u, at most %u",
                         d.max_dispatches, 1u << 20);
    if (d.timestamps > 1u << 20)
        return vka__fail(&device->ctx, VKA_INVALID, "vka_recorder_create.timestamps", "is %u, at most %u", d.timestamps,
                         1u << 20);
    vka_recorder *r = vka__alloc(&device->ctx, 1, sizeof *r);
    if (!r)
        return vka__fail(&device->ctx, VKA_OUT_OF_MEMORY, item, "no host memory");
    r->device = device;
    vka__device_count(device, VKA__CHILD_RECORDER, 1);
    r->slot_bytes = (uint32_t)vka__align_up(VKA__MAX_PARAMS, vka__max_u32(device->uniform_align, 16));
    status = create_commands(r, item);
    if (status == VKA_OK)
        status = create_queries(r, item, d.timestamps);
    if (status == VKA_OK)
        status = vka__recorder_reserve(r, item, d.max_dispatches ? d.max_dispatches : 256, 0, 0);
    if (status == VKA_OK)
        status = vka__recorder_reserve(r, "vka_recorder_create.scratch_bytes", 0, d.scratch_bytes, 0);
    if (status == VKA_OK)
        status = vka__recorder_reserve(r, "vka_recorder_create.value_bytes", 0, 0, d.value_bytes);
    if (status != VKA_OK)
        vka_recorder_destroy(&r);
    *recorder = r;
    return status;
}

void vka_recorder_destroy(vka_recorder **recorder) {
    if (!recorder || !*recorder)
        return;
    vka_recorder *r = *recorder;
    *recorder = NULL;
    vka_device *d = r->device;
    vka__device_count(d, VKA__CHILD_RECORDER, -1);
    if (r->pending)
        vka__queue_finish(d, r->fence);
    reset(r);
    for (uint32_t i = 0; i < r->page_count; ++i)
        destroy_page(r, &r->pages[i]);
    vka_buffer_destroy(&r->scratch);
    vka_buffer_destroy(&r->values);
    if (r->queries)
        d->vk.vkDestroyQueryPool(d->handle, r->queries, NULL);
    if (r->fence)
        d->vk.vkDestroyFence(d->handle, r->fence, NULL);
    if (r->pool)
        d->vk.vkDestroyCommandPool(d->handle, r->pool, NULL);
    vka__free(&d->ctx, r->pages);
    vka__free(&d->ctx, r->retired);
    vka__free(&d->ctx, r->query_written);
    vka__free(&d->ctx, r);
}

vka_device *vka__recorder_device(const vka_recorder *recorder) {
    return recorder->device;
}

/* ---- begin, wrap, unwrap --------------------------------------------------------------------------------------- */

static void reset_queries(vka_recorder *r) {
    if (r->query_count)
        r->device->vk.vkCmdResetQueryPool(r->cmd, r->queries, 0, r->query_count);
}

vka_status vka_recorder_begin(vka_recorder *r) {
    static const char item[] = "vka_recorder_begin";
    if (!r)
        return vka__fail(NULL, VKA_INVALID, "vka_recorder_begin.recorder", "must not be NULL");
    vka_device *d = r->device;
    if (r->state == VKA__RECORDING || r->state == VKA__WRAPPED)
        return vka__fail(&d->ctx, VKA_INVALID, item, "the recorder is recording already");
    vka_status status = vka__recorder_finish(r, item, VKA_FOREVER);
    if (status != VKA_OK)
        return status;
    reset(r);
    r->state = VKA__IDLE;
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VkResult result = d->vk.vkBeginCommandBuffer(r->own_cmd, &begin);
    if (result != VK_SUCCESS)
        return vka__vk_status(&d->ctx, result, item, "vkBeginCommandBuffer");
    r->cmd = r->own_cmd;
    r->state = VKA__RECORDING;
    /* Against everything submitted earlier, by this recorder or another. */
    vka__recorder_barrier(r, VKA__FOR_KERNELS);
    reset_queries(r);
    return VKA_OK;
}

vka_status vka_recorder_wrap(vka_recorder *r, VkCommandBuffer command_buffer) {
    static const char item[] = "vka_recorder_wrap";
    if (!r)
        return vka__fail(NULL, VKA_INVALID, "vka_recorder_wrap.recorder", "must not be NULL");
    const vka__context *ctx = &r->device->ctx;
    if (r->state == VKA__RECORDING || r->state == VKA__WRAPPED)
        return vka__fail(ctx, VKA_INVALID, item, "the recorder is recording already");
    if (!command_buffer)
        return vka__fail(ctx, VKA_INVALID, "vka_recorder_wrap.command_buffer", "is required");
    vka_status status = vka__recorder_finish(r, item, VKA_FOREVER);
    if (status != VKA_OK)
        return status;
    reset(r);
    r->cmd = command_buffer;
    r->state = VKA__WRAPPED;
    reset_queries(r);
    return VKA_OK;
}

vka_status vka_recorder_unwrap(vka_recorder *r) {
    if (!r)
        return vka__fail(NULL, VKA_INVALID, "vka_recorder_unwrap.recorder", "must not be NULL");
    if (r->state != VKA__WRAPPED)
        return vka__fail(&r->device->ctx, VKA_INVALID, "vka_recorder_unwrap", "no command buffer is wrapped");
    r->cmd = VK_NULL_HANDLE;
    r->state = VKA__IDLE;
    r->ran = true; /* when it has, only the app knows */
    return VKA_OK;
}

VkCommandBuffer vka_recorder_vk(const vka_recorder *r) {
    return r && (r->state == VKA__RECORDING || r->state == VKA__WRAPPED) ? r->cmd : VK_NULL_HANDLE;
}

/* ---- timestamps ------------------------------------------------------------------------------------------------ */

vka_status vka_recorder_timestamp(vka_recorder *r, uint32_t index) {
    static const char item[] = "vka_recorder_timestamp";
    if (!r)
        return vka__fail(NULL, VKA_INVALID, "vka_recorder_timestamp.recorder", "must not be NULL");
    const vka__context *ctx = &r->device->ctx;
    vka_status status = vka__recorder_check(r, item);
    if (status != VKA_OK)
        return status;
    if (!r->device->caps.timestamps)
        return vka__fail(ctx, VKA_UNSUPPORTED, item, "the device's queue has no timestamps");
    if (index >= r->query_count || r->query_written[index])
        return vka__fail(ctx, VKA_INVALID, "vka_recorder_timestamp.index", "%u is %s", index,
                         index >= r->query_count ? "outside vka_recorder_desc.timestamps" : "written already");
    r->query_written[index] = true;
    r->device->vk.vkCmdWriteTimestamp(r->cmd, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, r->queries, index);
    return VKA_OK;
}

vka_status vka_recorder_read_timestamps(vka_recorder *r, uint64_t *nanoseconds, uint32_t count) {
    static const char item[] = "vka_recorder_read_timestamps";
    if (!r)
        return vka__fail(NULL, VKA_INVALID, "vka_recorder_read_timestamps.recorder", "must not be NULL");
    vka_device *d = r->device;
    bool readable = count <= r->query_count && (nanoseconds || !count) && r->ran && !r->pending;
    for (uint32_t i = 0; readable && i < count; ++i)
        readable = r->query_written[i];
    if (!readable)
        return vka__fail(&d->ctx, VKA_INVALID, item, "%u timestamps were not all written and completed", count);
    uint64_t first = 0;
    for (uint32_t i = 0; i < count; ++i) {
        uint64_t ticks;
        VkResult result = d->vk.vkGetQueryPoolResults(d->handle, r->queries, i, 1, sizeof ticks, &ticks, sizeof ticks,
                                                      VK_QUERY_RESULT_64_BIT);
        if (result == VK_NOT_READY)
            return vka__fail(&d->ctx, VKA_INVALID, item, "timestamp %u is not available yet", i);
        if (result != VK_SUCCESS)
            return vka__vk_status(&d->ctx, result, item, "vkGetQueryPoolResults");
        /* From the first one on, modulo the counter's width: absolute ticks do not fit a double. */
        first = i ? first : ticks;
        nanoseconds[i] = (uint64_t)((double)((ticks - first) & d->timestamp_mask) * d->timestamp_period);
    }
    return VKA_OK;
}
