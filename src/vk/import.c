/* Devices that belong to the app.
 * SPDX-License-Identifier: MIT */
#include "vk/vk.h"

vka_status vka_vulkan_query(PFN_vkGetInstanceProcAddr get_instance_proc_addr, VkInstance instance, uint32_t api_version,
                            VkPhysicalDevice physical_device, vka_vulkan_optional_features *optional) {
    if (!optional)
        return vka__fail(NULL, VKA_INVALID, "vka_vulkan_query.optional", "must not be NULL");
    *optional = (vka_vulkan_optional_features){0};
    const char *missing = !get_instance_proc_addr ? "vka_vulkan_query.get_instance_proc_addr"
                          : !instance             ? "vka_vulkan_query.instance"
                          : !physical_device      ? "vka_vulkan_query.physical_device"
                                                  : NULL;
    if (missing)
        return vka__fail(NULL, VKA_INVALID, missing, "must not be NULL");
    vka__context ctx;
    vka__context_init(&ctx, "vka_vulkan_query", &(vka_log){0}, &(vka_allocator){0});
    vka__instance in;
    vka_status status =
        vka__instance_import(&ctx, "vka_vulkan_query", get_instance_proc_addr, instance, api_version, &in);
    if (status != VKA_OK)
        return status;
    vka__physical physical;
    const char *why;
    status = vka__physical_query(&ctx, &in, physical_device, &physical, &why);
    if (status != VKA_OK)
        return vka__fail(&ctx, status, "vka_vulkan_query.physical_device", "%s", why);
    *optional = physical.optional;
    optional->shader_int64 = false;
    return VKA_OK;
}

static vka_status check_import(const vka__context *ctx, const vka_import_desc *desc) {
    const struct {
        bool ok;
        const char *item, *rule;
    } rules[] = {
        {desc->get_instance_proc_addr, "vka_device_import.get_instance_proc_addr", "is required"},
        {desc->instance, "vka_device_import.instance", "is required"},
        {desc->api_version >= VK_API_VERSION_1_1, "vka_device_import.api_version", "must be at least Vulkan 1.1"},
        {desc->physical_device, "vka_device_import.physical_device", "is required"},
        {desc->device, "vka_device_import.device", "is required"},
        {!desc->lock_queue == !desc->unlock_queue, "vka_device_import.lock_queue", "needs unlock_queue, and back"},
        {desc->cache || !desc->cache_size, "vka_device_import.cache", "is NULL, but cache_size is not 0"},
        {desc->self_test || !desc->self_test_size, "vka_device_import.self_test",
         "is NULL, but self_test_size is not 0"},
        {desc->tuning || !desc->tuning_size, "vka_device_import.tuning", "is NULL, but tuning_size is not 0"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; ++i)
        if (!rules[i].ok)
            return vka__fail(ctx, VKA_INVALID, rules[i].item, "%s", rules[i].rule);
    if (desc->enabled.extension_count > VKA_MAX_DEVICE_EXTENSIONS)
        return vka__fail(ctx, VKA_INVALID, "vka_device_import.enabled.extension_count",
                         "is %u, but there is room for %d", desc->enabled.extension_count, VKA_MAX_DEVICE_EXTENSIONS);
    for (uint32_t i = 0; i < desc->enabled.extension_count; ++i)
        if (!desc->enabled.extensions[i])
            return vka__fail(ctx, VKA_INVALID, "vka_device_import.enabled.extensions", "entry %u of %u is NULL", i,
                             desc->enabled.extension_count);
    return VKA_OK;
}

static vka_status check_queue_family(const vka_device *d, uint32_t family) {
    VkQueueFamilyProperties families[32];
    uint32_t count = 32;
    d->instance.GetPhysicalDeviceQueueFamilyProperties(d->physical, &count, families);
    if (family >= count || !(families[family].queueFlags & VK_QUEUE_COMPUTE_BIT))
        return vka__fail(&d->ctx, VKA_INVALID, "vka_device_import.queue_family", "%u is not a family with compute",
                         family);
    return VKA_OK;
}

static vka_status import(const vka__context *ctx, const vka_import_desc *desc, vka__narrowing narrowing,
                         vka_device **device) {
    static const char item[] = "vka_device_import";
    vka_status status;
    vka_device *d = vka__device_new(ctx, item, &status);
    if (!d)
        return status;
    status =
        vka__instance_import(ctx, item, desc->get_instance_proc_addr, desc->instance, desc->api_version, &d->instance);
    if (status == VKA_OK && desc->debug_labels && !vka__instance_load_labels(&d->instance))
        status = vka__fail(ctx, VKA_INVALID, "vka_device_import.debug_labels",
                           "the instance does not have VK_EXT_debug_utils enabled");
    vka__physical physical;
    const char *why;
    if (status == VKA_OK) {
        status = vka__physical_query(ctx, &d->instance, desc->physical_device, &physical, &why);
        if (status != VKA_OK)
            vka__fail(ctx, status, "vka_device_import.physical_device", "%s", why);
    }
    if (status == VKA_OK) {
        d->handle = desc->device;
        d->physical = desc->physical_device;
        d->queue_family = desc->queue_family;
        d->queue = desc->queue;
        d->lock_queue = desc->lock_queue;
        d->unlock_queue = desc->unlock_queue;
        d->queue_user = desc->queue_user;
        vka__physical_restrict(&physical, &desc->enabled, narrowing);
        status = check_queue_family(d, desc->queue_family);
    }
    if (status == VKA_OK)
        status = vka__device_finish(d, item, &physical, desc->cache, desc->cache_size);
    if (status == VKA_OK)
        vka__verdict_load(d, "vka_device_import.self_test", desc->self_test, desc->self_test_size);
    if (status == VKA_OK)
        status = vka__tuning_load(d, "vka_device_import.tuning", desc->tuning, desc->tuning_size, desc->tuning_file);
    if (status != VKA_OK)
        vka_device_destroy(&d);
    *device = d;
    return status;
}

vka_status vka__device_import(const vka_import_desc *desc, size_t desc_size, vka__narrowing narrowing,
                              vka_device **device) {
    static const char item[] = "vka_device_import";
    if (device)
        *device = NULL;
    if (!desc)
        return vka__fail(NULL, VKA_INVALID, "vka_device_import.desc", "must not be NULL");
    vka_import_desc own;
    vka__context ctx;
    vka_status status = vka__context_read(&ctx, item, &own, sizeof own, desc, desc_size, offsetof(vka_import_desc, log),
                                          offsetof(vka_import_desc, allocator));
    if (status == VKA_OK && !device)
        status = vka__fail(&ctx, VKA_INVALID, "vka_device_import.device", "must not be NULL");
    if (status == VKA_OK)
        status = check_import(&ctx, &own);
    return status == VKA_OK ? import(&ctx, &own, narrowing, device) : status;
}

vka_status vka_device_import_sized(const vka_import_desc *desc, size_t desc_size, vka_device **device) {
    return vka__device_import(desc, desc_size, (vka__narrowing){NULL, NULL}, device);
}
