/* Devices: enumeration, creation, import, destruction.
 * SPDX-License-Identifier: MIT */
#include "vk/vk.h"

#include <stdio.h>
#include <string.h>

/* Best first: discrete, integrated, virtual, other, CPU; then more memory. */
static uint32_t rank_of(vka_device_type type) {
    static const uint32_t rank[] = {[VKA_DEVICE_DISCRETE] = 5,
                                    [VKA_DEVICE_INTEGRATED] = 4,
                                    [VKA_DEVICE_VIRTUAL] = 3,
                                    [VKA_DEVICE_OTHER] = 2,
                                    [VKA_DEVICE_CPU] = 1};
    return rank[type];
}

static bool better(const vka__physical *a, const vka__physical *b) {
    uint32_t ra = rank_of(a->caps.type), rb = rank_of(b->caps.type);
    return ra != rb ? ra > rb : a->caps.memory_bytes > b->caps.memory_bytes;
}

/* Every usable physical device, best first; *list is freed by the caller. */
static vka_status list_physical(const vka__context *ctx, const char *item, const vka__instance *in, bool no_software,
                                vka__physical **list, uint32_t *count) {
    *list = NULL;
    *count = 0;
    VkPhysicalDevice handles[64];
    uint32_t found = 64;
    VkResult result = in->EnumeratePhysicalDevices(in->handle, &found, handles);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE)
        return vka__vk_status(ctx, result, item, "vkEnumeratePhysicalDevices");
    *list = vka__alloc(ctx, found, sizeof **list);
    if (!*list)
        return vka__fail(ctx, VKA_OUT_OF_MEMORY, item, "no host memory for %u devices", found);
    for (uint32_t i = 0; i < found; ++i) {
        vka__physical p;
        const char *why;
        vka_status status = vka__physical_query(ctx, in, handles[i], &p, &why);
        if (status == VKA_OUT_OF_MEMORY)
            return vka__fail(ctx, status, item, "%s", why);
        if (status != VKA_OK) {
            vka__log(ctx, VKA_LOG_INFO, item, "device %u (%s) is passed over: %s", i, p.caps.name, why);
            continue;
        }
        if (no_software && p.caps.type == VKA_DEVICE_CPU)
            continue;
        uint32_t at = (*count)++;
        for (; at > 0 && better(&p, &(*list)[at - 1]); --at)
            (*list)[at] = (*list)[at - 1];
        (*list)[at] = p;
    }
    return VKA_OK;
}

static vka_status open_instance(const vka__context *ctx, const char *item, const vka_device_desc *desc,
                                bool debug_labels, vka__instance *instance) {
    PFN_vkGetInstanceProcAddr get = (PFN_vkGetInstanceProcAddr)desc->get_instance_proc_addr;
    if (!get)
        get = vka__system_loader();
    if (!get)
        return vka__fail(
            ctx, VKA_NO_DEVICE, item,
            "no Vulkan loader is installed: it comes with a GPU's driver, or alone (libvulkan1 on Debian)");
    return vka__instance_create(ctx, item, get, debug_labels, instance);
}

vka_status vka_device_enumerate_sized(const vka_device_desc *desc, size_t desc_size, vka_device_caps *caps,
                                      size_t caps_size, uint32_t capacity, uint32_t *count) {
    static const char item[] = "vka_device_enumerate";
    vka_device_desc own;
    vka__context ctx;
    vka_status status = vka__context_read(&ctx, item, &own, sizeof own, desc, desc_size, offsetof(vka_device_desc, log),
                                          offsetof(vka_device_desc, allocator));
    if (status != VKA_OK)
        return status;
    if (!count || (!caps && capacity))
        return vka__fail(&ctx, VKA_INVALID, !count ? "vka_device_enumerate.count" : "vka_device_enumerate.caps",
                         "must not be NULL");
    *count = 0;
    vka__instance instance;
    status = open_instance(&ctx, item, &own, false, &instance);
    if (status != VKA_OK)
        return status;
    vka__physical *list;
    status = list_physical(&ctx, item, &instance, own.no_software, &list, count);
    for (uint32_t i = 0; i < *count && i < capacity; ++i)
        vka__copy_desc((char *)caps + i * caps_size, caps_size, &list[i].caps, sizeof list[i].caps);
    vka__free(&ctx, list);
    vka__instance_destroy(&instance);
    return status;
}

static vka_status choose(const vka__context *ctx, const vka_device_desc *desc, const vka__physical *list,
                         uint32_t count, vka__physical *chosen) {
    for (uint32_t i = 0; i < count; ++i) {
        if (desc->uuid ? !memcmp(desc->uuid, list[i].caps.uuid, sizeof list[i].caps.uuid) : i == desc->index) {
            *chosen = list[i];
            return VKA_OK;
        }
    }
    if (!count)
        return vka__fail(ctx, VKA_NO_DEVICE, "vka_device_create", "%s",
                         desc->no_software ? "there is no device that is not a software driver"
                                           : "there is no device with Vulkan 1.1, a queue with compute and 8 storage "
                                             "buffers; lines of VKA_LOG_INFO say what each one lacks");
    if (desc->uuid)
        return vka__fail(ctx, VKA_NO_DEVICE, "vka_device_create.uuid", "no device has it, of %u that are usable",
                         count);
    return vka__fail(ctx, VKA_NO_DEVICE, "vka_device_create.index", "is %u, but %u devices are usable", desc->index,
                     count);
}

static vka_status create_vk_device(vka_device *d, const char *item, const vka__physical *p) {
    const vka_vulkan_optional_features *w = &p->optional;
    vka_vulkan_feature_chain features;
    const VkPhysicalDeviceFeatures core = {.shaderInt64 = w->shader_int64};
    float priority = 1;
    VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                     .queueFamilyIndex = p->queue_family,
                                     .queueCount = 1,
                                     .pQueuePriorities = &priority};
    VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                               .pNext = vka_vulkan_features(w, &features, NULL),
                               .queueCreateInfoCount = 1,
                               .pQueueCreateInfos = &queue,
                               .enabledExtensionCount = w->extension_count,
                               .ppEnabledExtensionNames = w->extensions,
                               .pEnabledFeatures = &core};
    VkResult result = d->instance.CreateDevice(p->handle, &info, NULL, &d->handle);
    if (result != VK_SUCCESS)
        d->handle = VK_NULL_HANDLE;
    return vka__vk_status(&d->ctx, result, item, "vkCreateDevice");
}

vka_device *vka__device_new(const vka__context *ctx, const char *item, vka_status *status) {
    vka_device *d = vka__alloc(ctx, 1, sizeof *d);
    if (!d) {
        *status = vka__fail(ctx, VKA_OUT_OF_MEMORY, item, "no host memory");
        return NULL;
    }
    d->ctx = *ctx;
    vka__mutex_init(&d->queue_mutex);
    vka__mutex_init(&d->memory_mutex);
    vka__mutex_init(&d->transfer_mutex);
    return d;
}

/* Instance, physical device and VkDevice of a device of its own. */
static vka_status open_own(vka_device *d, const char *item, const vka_device_desc *desc, vka__physical *chosen) {
    vka_status status = open_instance(&d->ctx, item, desc, desc->debug_labels, &d->instance);
    if (status != VKA_OK)
        return status;
    vka__physical *list;
    uint32_t count;
    status = list_physical(&d->ctx, item, &d->instance, desc->no_software, &list, &count);
    if (status == VKA_OK)
        status = choose(&d->ctx, desc, list, count, chosen);
    vka__free(&d->ctx, list);
    if (status != VKA_OK)
        return status;
    d->owned = true;
    return create_vk_device(d, item, chosen);
}

static vka_status check_desc(const vka__context *ctx, const vka_device_desc *desc) {
    if (desc->index && desc->uuid)
        return vka__fail(ctx, VKA_INVALID, "vka_device_create.uuid", "can't be combined with index");
    if (!desc->cache && desc->cache_size)
        return vka__fail(ctx, VKA_INVALID, "vka_device_create.cache", "is NULL, but cache_size is not 0");
    if (!desc->self_test && desc->self_test_size)
        return vka__fail(ctx, VKA_INVALID, "vka_device_create.self_test", "is NULL, but self_test_size is not 0");
    if (!desc->tuning && desc->tuning_size)
        return vka__fail(ctx, VKA_INVALID, "vka_device_create.tuning", "is NULL, but tuning_size is not 0");
    return VKA_OK;
}

static vka_status create(const vka__context *ctx, const vka_device_desc *desc, vka__narrowing narrowing,
                         vka_device **device) {
    static const char item[] = "vka_device_create";
    vka_status status;
    vka_device *d = vka__device_new(ctx, item, &status);
    if (!d)
        return status;
    vka__physical physical;
    status = open_own(d, item, desc, &physical);
    if (status == VKA_OK) {
        vka_vulkan_optional_features enabled = physical.optional;
        vka__physical_restrict(&physical, &enabled, narrowing);
        status = vka__device_finish(d, item, &physical, desc->cache, desc->cache_size);
    }
    if (status == VKA_OK)
        vka__verdict_load(d, "vka_device_create.self_test", desc->self_test, desc->self_test_size);
    if (status == VKA_OK)
        status = vka__tuning_load(d, "vka_device_create.tuning", desc->tuning, desc->tuning_size, desc->tuning_file);
    if (status == VKA_OK && d->handle)
        d->vk.vkGetDeviceQueue(d->handle, d->queue_family, 0, &d->queue);
    if (status != VKA_OK)
        vka_device_destroy(&d);
    *device = d;
    return status;
}

vka_status vka__device_create(const vka_device_desc *desc, size_t desc_size, vka__narrowing narrowing,
                              vka_device **device) {
    static const char item[] = "vka_device_create";
    if (device)
        *device = NULL;
    vka_device_desc own;
    vka__context ctx;
    vka_status status = vka__context_read(&ctx, item, &own, sizeof own, desc, desc_size, offsetof(vka_device_desc, log),
                                          offsetof(vka_device_desc, allocator));
    if (status == VKA_OK && !device)
        status = vka__fail(&ctx, VKA_INVALID, "vka_device_create.device", "must not be NULL");
    if (status == VKA_OK)
        status = check_desc(&ctx, &own);
    return status == VKA_OK ? create(&ctx, &own, narrowing, device) : status;
}

vka_status vka_device_create_sized(const vka_device_desc *desc, size_t desc_size, vka_device **device) {
    return vka__device_create(desc, desc_size, (vka__narrowing){NULL, NULL}, device);
}

static void read_timestamps(vka_device *d) {
    VkPhysicalDeviceProperties p;
    VkQueueFamilyProperties families[32];
    uint32_t count = 32;
    d->instance.GetPhysicalDeviceProperties(d->physical, &p);
    d->instance.GetPhysicalDeviceQueueFamilyProperties(d->physical, &count, families);
    uint32_t bits = d->queue_family < count ? families[d->queue_family].timestampValidBits : 0;
    d->timestamp_period = p.limits.timestampPeriod;
    d->timestamp_mask = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    d->caps.timestamps = d->caps.timestamps && bits;
}

vka_status vka__device_finish(vka_device *d, const char *item, const vka__physical *physical, const void *cache,
                              size_t cache_size) {
    d->physical = physical->handle;
    d->caps = physical->caps;
    d->uniform_align = physical->uniform_align;
    d->max_buffer = physical->max_buffer;
    d->full_subgroups = physical->optional.compute_full_subgroups;
    d->timeline_semaphore = physical->optional.timeline_semaphore;
    if (d->owned)
        d->queue_family = physical->queue_family;
    vka__load_device_table(&d->instance, d->handle, &d->vk);
    read_timestamps(d);
    VkResult result = vka__vma_create(d, &d->vma);
    if (result != VK_SUCCESS) {
        d->vma = NULL;
        return vka__vk_status(&d->ctx, result, item, "vmaCreateAllocator");
    }
    vka_status status = vka__layouts_create(d, item);
    if (status == VKA_OK)
        status = vka__pipelines_create(d, cache, cache_size);
    if (status == VKA_OK)
        vka__log(&d->ctx, VKA_LOG_INFO, item, "%s (%s)", d->caps.name, d->caps.driver);
    return status;
}

static void destroy_vk_objects(vka_device *d) {
    vka__pipelines_destroy(d);
    vka__transfer_close(d);
    vka__layouts_destroy(d);
    if (d->vma)
        vka__vma_destroy(d->vma);
    if (!d->owned)
        return;
    /* The table may not be loaded when creation failed early. */
    PFN_vkDestroyDevice destroy = (PFN_vkDestroyDevice)d->instance.GetDeviceProcAddr(d->handle, "vkDestroyDevice");
    if (destroy)
        destroy(d->handle, NULL);
}

void vka__device_count(vka_device *d, vka__child kind, int change) {
    vka__lock(&d->memory_mutex);
    d->children[kind] += change;
    vka__unlock(&d->memory_mutex);
}

/* "2 buffers and 1 pattern"; false: there are none. */
static bool name_children(const vka_device *d, char *text, size_t size) {
    static const char *const names[VKA__CHILDREN] = {"buffer", "recorder", "pattern", "plan"};
    int left = 0;
    size_t at = 0;
    for (int i = 0; i < VKA__CHILDREN; ++i)
        left += d->children[i] > 0;
    bool any = left;
    for (int i = 0; i < VKA__CHILDREN; ++i) {
        if (d->children[i] <= 0)
            continue;
        const char *join = !at ? "" : left == 1 ? " and " : ", ";
        at += (size_t)snprintf(text + at, at < size ? size - at : 0, "%s%lld %s%s", join, (long long)d->children[i],
                               names[i], d->children[i] > 1 ? "s" : "");
        --left;
    }
    return any;
}

void vka_device_destroy(vka_device **device) {
    if (!device || !*device)
        return;
    vka_device *d = *device;
    *device = NULL;
    char children[96];
    if (name_children(d, children, sizeof children)) {
        vka__log(&d->ctx, VKA_LOG_WARNING, "vka_device_destroy",
                 "is not destroyed, and leaks with what was made from it and still exists: %s", children);
        return;
    }
    if (d->handle)
        destroy_vk_objects(d);
    vka__instance_destroy(&d->instance);
    vka__mutex_destroy(&d->queue_mutex);
    vka__mutex_destroy(&d->memory_mutex);
    vka__mutex_destroy(&d->transfer_mutex);
    vka__context ctx = d->ctx;
    vka__free(&ctx, d);
}

const vka_device_caps *vka_device_get_caps(const vka_device *device) {
    return &device->caps;
}

vka_memory_stats vka_device_memory(const vka_device *device) {
    vka_device *d = (vka_device *)device; /* the mutex is not part of the value */
    vka__lock(&d->memory_mutex);
    vka_memory_stats stats = d->memory;
    vka__unlock(&d->memory_mutex);
    return stats;
}

void vka_device_reset_peak(vka_device *device) {
    vka__lock(&device->memory_mutex);
    device->memory.bytes_peak = device->memory.bytes;
    vka__unlock(&device->memory_mutex);
}

VkDevice vka_device_vk(const vka_device *device) {
    return device->handle;
}

VkInstance vka_device_vk_instance(const vka_device *device) {
    return device->instance.handle;
}

static void lock_queue(vka_device *d) {
    vka__lock(&d->queue_mutex);
    if (d->lock_queue)
        d->lock_queue(d->queue_user);
}

static void unlock_queue(vka_device *d) {
    if (d->unlock_queue)
        d->unlock_queue(d->queue_user);
    vka__unlock(&d->queue_mutex);
}

vka_status vka__queue_submit(vka_device *d, const char *item, const VkSubmitInfo *submit, VkFence fence, VkFence second,
                             bool *submitted) {
    *submitted = false;
    if (!d->queue)
        return vka__fail(&d->ctx, VKA_INVALID, item, "the device was imported without a queue");
    lock_queue(d);
    VkResult result = d->vk.vkQueueSubmit(d->queue, 1, submit, fence);
    *submitted = result == VK_SUCCESS;
    /* A fence covers all that was submitted to the queue before it. Within the same lock: other work in between, which
     * may wait for what the app does after this fence, would hold it up. */
    if (*submitted && second)
        result = d->vk.vkQueueSubmit(d->queue, 0, NULL, second);
    unlock_queue(d);
    return vka__vk_status(&d->ctx, result, item,
                          *submitted ? "vkQueueSubmit for the fence alone, behind the commands" : "vkQueueSubmit");
}

void vka__queue_finish(vka_device *d, VkFence fence) {
    if (d->vk.vkWaitForFences(d->handle, 1, &fence, VK_TRUE, UINT64_MAX) == VK_SUCCESS)
        return;
    lock_queue(d);
    d->vk.vkQueueWaitIdle(d->queue);
    unlock_queue(d);
}
