/* Capabilities of physical devices.
 * SPDX-License-Identifier: MIT */
#include "vk/vk.h"

#include <stdio.h>
#include <string.h>

#include "spirv.h"

/* Storage buffers of the one descriptor set layout. */
#define STORAGE_BINDINGS 8 /* without which nothing runs */

typedef struct properties {
    VkPhysicalDeviceProperties2 base;
    VkPhysicalDeviceSubgroupProperties subgroup;
    VkPhysicalDeviceIDProperties id;
    VkPhysicalDeviceDriverProperties driver;
    VkPhysicalDeviceSubgroupSizeControlProperties size_control;
    VkPhysicalDeviceMaintenance4Properties maintenance4;
} properties;

typedef struct features {
    VkPhysicalDeviceFeatures2 base;
    VkPhysicalDevice16BitStorageFeatures storage16;
    VkPhysicalDeviceShaderFloat16Int8Features float16;
    VkPhysicalDeviceSubgroupSizeControlFeatures size_control;
    VkPhysicalDeviceVulkanMemoryModelFeatures memory_model;
    VkPhysicalDeviceMaintenance4Features maintenance4;
    VkPhysicalDeviceShaderMixedFloatDotProductFeaturesVALVE mixed_dot;
    VkPhysicalDeviceTimelineSemaphoreFeatures timeline;
} features;

static bool has_extension(const VkExtensionProperties *list, uint32_t count, const char *name) {
    for (uint32_t i = 0; i < count; ++i)
        if (!strcmp(list[i].extensionName, name))
            return true;
    return false;
}

/* Offered by the device's version, or as an extension, which is then listed among the optional features. */
static bool offers(vka_vulkan_optional_features *optional, uint32_t api, uint32_t core_since,
                   const VkExtensionProperties *list, uint32_t count, const char *extension) {
    if (api >= core_since)
        return true;
    if (!has_extension(list, count, extension) || optional->extension_count == VKA_MAX_DEVICE_EXTENSIONS)
        return false;
    optional->extensions[optional->extension_count++] = extension;
    return true;
}

static void chain(void **tail, void *next) {
    VkBaseOutStructure *s = next;
    s->pNext = *tail;
    *tail = s;
}

/* What the device offers; the caller frees it. A driver that can't say offers nothing; NULL: no host memory. */
static VkExtensionProperties *list_extensions(const vka__context *ctx, const vka__instance *in, VkPhysicalDevice handle,
                                              uint32_t *count) {
    if (in->EnumerateDeviceExtensionProperties(handle, NULL, count, NULL) != VK_SUCCESS)
        *count = 0;
    VkExtensionProperties *list = vka__alloc(ctx, *count, sizeof *list);
    if (!list || !*count)
        return list;
    VkResult result = in->EnumerateDeviceExtensionProperties(handle, NULL, count, list);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE)
        *count = 0;
    return list;
}

static bool pick_queue_family(const vka__instance *in, VkPhysicalDevice handle, uint32_t *family, bool *timestamps) {
    VkQueueFamilyProperties families[32];
    uint32_t count = 32;
    in->GetPhysicalDeviceQueueFamilyProperties(handle, &count, families);
    bool found = false;
    for (uint32_t i = 0; i < count; ++i) {
        bool compute = families[i].queueFlags & VK_QUEUE_COMPUTE_BIT;
        bool graphics = families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT;
        /* A family without graphics is the asynchronous compute queue: it does not disturb the desktop. */
        if (!compute || (found && graphics))
            continue;
        *family = i;
        *timestamps = families[i].timestampValidBits != 0;
        if (!graphics)
            return true;
        found = true;
    }
    return found;
}

static vka_device_type device_type(VkPhysicalDeviceType type) {
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return VKA_DEVICE_INTEGRATED;
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return VKA_DEVICE_DISCRETE;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return VKA_DEVICE_VIRTUAL;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return VKA_DEVICE_CPU;
    default:
        return VKA_DEVICE_OTHER;
    }
}

static void read_memory(const vka__instance *in, VkPhysicalDevice handle, vka_device_caps *caps) {
    VkPhysicalDeviceMemoryProperties memory;
    in->GetPhysicalDeviceMemoryProperties(handle, &memory);
    uint32_t heap = 0;
    for (uint32_t i = 0; i < memory.memoryHeapCount; ++i)
        if (memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT &&
            memory.memoryHeaps[i].size > caps->memory_bytes) {
            caps->memory_bytes = memory.memoryHeaps[i].size;
            heap = i;
        }
    VkMemoryPropertyFlags want = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
    for (uint32_t i = 0; i < memory.memoryTypeCount; ++i)
        if (memory.memoryTypes[i].heapIndex == heap && (memory.memoryTypes[i].propertyFlags & want) == want)
            caps->unified_memory = true;
}

static void fill_caps(const properties *p, vka_device_caps *caps) {
    const VkPhysicalDeviceLimits *l = &p->base.properties.limits;
    snprintf(caps->name, sizeof caps->name, "%s", p->base.properties.deviceName);
    snprintf(caps->driver, sizeof caps->driver, "%.120s %.120s", p->driver.driverName, p->driver.driverInfo);
    caps->vendor_id = p->base.properties.vendorID;
    caps->device_id = p->base.properties.deviceID;
    caps->driver_id = (uint32_t)p->driver.driverID;
    caps->driver_version = p->base.properties.driverVersion;
    memcpy(caps->uuid, p->id.deviceUUID, sizeof caps->uuid);
    caps->type = device_type(p->base.properties.deviceType);
    caps->subgroup_size = vka__max_u32(p->subgroup.subgroupSize, 1);
    /* Without the size control properties nobody knows which widths the compiler may choose. */
    caps->subgroup_min = 1;
    caps->subgroup_max = 128;
    const VkSubgroupFeatureFlags reductions = VK_SUBGROUP_FEATURE_ARITHMETIC_BIT | VK_SUBGROUP_FEATURE_VOTE_BIT;
    caps->subgroup_arithmetic = p->subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT &&
                                (p->subgroup.supportedOperations & reductions) == reductions;
    caps->subgroup_shuffle = p->subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT &&
                             p->subgroup.supportedOperations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
    caps->shared_bytes = l->maxComputeSharedMemorySize;
    caps->max_invocations = vka__min_u32(l->maxComputeWorkGroupInvocations, l->maxComputeWorkGroupSize[0]);
    for (int i = 0; i < 3; ++i)
        caps->max_groups[i] = l->maxComputeWorkGroupCount[i];
    caps->storage_range = l->maxStorageBufferRange;
    caps->storage_buffers = l->maxPerStageDescriptorStorageBuffers;
    caps->storage_align = (uint32_t)l->minStorageBufferOffsetAlignment;
}

static bool rounds_to_nearest_f16(const vka__instance *in, VkPhysicalDevice handle, uint32_t api) {
    VkPhysicalDeviceFloatControlsProperties controls = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FLOAT_CONTROLS_PROPERTIES};
    VkPhysicalDeviceProperties2 base = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &controls};
    if (api >= VK_API_VERSION_1_2)
        in->GetPhysicalDeviceProperties2(handle, &base);
    return controls.shaderRoundingModeRTEFloat16;
}

/* Extensions, or versions, that bring feature structures. */
typedef struct offered {
    bool driver, float16, sizes, memory_model, matrix, matrix2, maintenance1, bf16, mixed_dot, timeline;
    bool nearest_f16; /* conversions to f16 can be asked to round to the nearest, as kernels that multiply halves do */
} offered;

static void read_features(const vka__instance *in, VkPhysicalDevice handle, const offered *o, vka_device_caps *caps,
                          vka_vulkan_optional_features *optional) {
    features f = {.base.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                  .storage16.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES,
                  .float16.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES,
                  .size_control.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
                  .memory_model.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES,
                  .maintenance4.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES,
                  .mixed_dot.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_MIXED_FLOAT_DOT_PRODUCT_FEATURES_VALVE,
                  .timeline.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES};
    chain(&f.base.pNext, &f.storage16);
    if (o->float16)
        chain(&f.base.pNext, &f.float16);
    if (o->sizes)
        chain(&f.base.pNext, &f.size_control);
    if (o->memory_model)
        chain(&f.base.pNext, &f.memory_model);
    if (caps->api_version >= VK_API_VERSION_1_3)
        chain(&f.base.pNext, &f.maintenance4);
    if (o->mixed_dot)
        chain(&f.base.pNext, &f.mixed_dot);
    if (o->timeline)
        chain(&f.base.pNext, &f.timeline);
    in->GetPhysicalDeviceFeatures2(handle, &f.base);
    optional->storage_16bit = caps->f16_storage = f.storage16.storageBuffer16BitAccess;
    optional->shader_float16 = caps->f16_arithmetic = f.float16.shaderFloat16;
    optional->mixed_float_dot = f.float16.shaderFloat16 && f.mixed_dot.shaderMixedFloatDotProductFloat16AccFloat32;
    caps->f16_mixed_dot =
        optional->mixed_float_dot && o->nearest_f16 && vka__spirv_table[VKA__attention_dot_mixed].words;
    optional->shader_int64 = caps->int64 = f.base.features.shaderInt64;
    optional->subgroup_size_control = f.size_control.subgroupSizeControl;
    optional->compute_full_subgroups = f.size_control.computeFullSubgroups;
    /* Atomics of other kernels have device scope, which is a feature of its own once the memory model is Vulkan's. */
    optional->vulkan_memory_model = f.memory_model.vulkanMemoryModel && f.memory_model.vulkanMemoryModelDeviceScope;
    optional->maintenance4 = f.maintenance4.maintenance4;
    optional->timeline_semaphore = f.timeline.timelineSemaphore;
    if (o->matrix)
        vka__matrix_query(in, handle, &(vka__matrix_offer){o->matrix2, o->maintenance1, o->bf16, o->nearest_f16}, caps,
                          optional);
    vka__matrix_restrict(optional, caps);
}

vka_status vka__physical_query(const vka__context *ctx, const vka__instance *in, VkPhysicalDevice handle,
                               vka__physical *out, const char **why) {
    memset(out, 0, sizeof *out);
    out->handle = handle;
    vka_device_caps *caps = &out->caps;
    vka_vulkan_optional_features *optional = &out->optional;
    VkPhysicalDeviceProperties basic;
    in->GetPhysicalDeviceProperties(handle, &basic);
    caps->api_version = vka__min_u32(basic.apiVersion, in->api_version);
    *why = "it does not offer Vulkan 1.1";
    if (caps->api_version < VK_API_VERSION_1_1)
        return VKA_UNSUPPORTED;
    *why = "it has no compute queue";
    if (!pick_queue_family(in, handle, &out->queue_family, &caps->timestamps))
        return VKA_UNSUPPORTED;

    uint32_t count, api = caps->api_version;
    VkExtensionProperties *list = list_extensions(ctx, in, handle, &count);
    *why = "there is no host memory to query it";
    if (!list)
        return VKA_OUT_OF_MEMORY;
    const offered o = {
        .driver = offers(optional, api, VK_API_VERSION_1_2, list, count, VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME),
        .float16 = offers(optional, api, VK_API_VERSION_1_2, list, count, VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME),
        .sizes = offers(optional, api, VK_API_VERSION_1_3, list, count, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME),
        .memory_model =
            offers(optional, api, VK_API_VERSION_1_2, list, count, VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME),
        .matrix = offers(optional, api, UINT32_MAX, list, count, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME),
        .matrix2 = offers(optional, api, UINT32_MAX, list, count, VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME),
#ifdef VK_EXT_cooperative_matrix_maintenance1
        .maintenance1 =
            offers(optional, api, UINT32_MAX, list, count, VK_EXT_COOPERATIVE_MATRIX_MAINTENANCE_1_EXTENSION_NAME),
#endif
#ifdef VK_KHR_shader_bfloat16
        .bf16 = offers(optional, api, UINT32_MAX, list, count, VK_KHR_SHADER_BFLOAT16_EXTENSION_NAME),
#endif
        .mixed_dot =
            offers(optional, api, UINT32_MAX, list, count, VK_VALVE_SHADER_MIXED_FLOAT_DOT_PRODUCT_EXTENSION_NAME),
        .timeline = offers(optional, api, VK_API_VERSION_1_2, list, count, VK_KHR_TIMELINE_SEMAPHORE_EXTENSION_NAME),
        .nearest_f16 = rounds_to_nearest_f16(in, handle, api),
    };
    /* Drivers that are not fully conformant, MoltenVK for one, insist on being asked for it. */
    offers(optional, api, UINT32_MAX, list, count, "VK_KHR_portability_subset");
    vka__free(ctx, list);

    properties p = {.base.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                    .subgroup.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES,
                    .id.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES,
                    .driver.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES,
                    .size_control.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES,
                    .maintenance4.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES};
    chain(&p.base.pNext, &p.subgroup);
    chain(&p.base.pNext, &p.id);
    if (o.driver)
        chain(&p.base.pNext, &p.driver);
    if (o.sizes)
        chain(&p.base.pNext, &p.size_control);
    if (api >= VK_API_VERSION_1_3)
        chain(&p.base.pNext, &p.maintenance4);
    in->GetPhysicalDeviceProperties2(handle, &p.base);
    *why = "it has fewer storage buffers per shader than a kernel needs";
    if (p.base.properties.limits.maxPerStageDescriptorStorageBuffers < STORAGE_BINDINGS)
        return VKA_UNSUPPORTED;
    fill_caps(&p, caps);
    out->max_buffer = p.maintenance4.maxBufferSize ? p.maintenance4.maxBufferSize : UINT64_MAX;
    out->uniform_align = (uint32_t)p.base.properties.limits.minUniformBufferOffsetAlignment;
    read_memory(in, handle, caps);

    read_features(in, handle, &o, caps, optional);
    /* The width a shader sees may be any within this range, whether or not it can be chosen. */
    if (o.sizes && p.size_control.minSubgroupSize && p.size_control.maxSubgroupSize) {
        caps->subgroup_min = p.size_control.minSubgroupSize;
        caps->subgroup_max = p.size_control.maxSubgroupSize;
        caps->subgroup_size_control = out->optional.subgroup_size_control &&
                                      p.size_control.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT;
    }
    *why = NULL;
    return VKA_OK;
}

static void restrict_caps(vka_device_caps *caps, const vka_device_caps *real) {
    caps->api_version = vka__min_u32(caps->api_version, real->api_version);
    caps->memory_bytes = vka__min_u64(caps->memory_bytes, real->memory_bytes);
    caps->subgroup_size = real->subgroup_size;
    caps->subgroup_min = vka__max_u32(vka__min_u32(caps->subgroup_min, real->subgroup_min), 1);
    caps->subgroup_max = vka__max_u32(caps->subgroup_max, real->subgroup_max);
    caps->shared_bytes = vka__min_u32(caps->shared_bytes, real->shared_bytes);
    caps->max_invocations = vka__max_u32(vka__min_u32(caps->max_invocations, real->max_invocations), 1);
    for (int i = 0; i < 3; ++i)
        caps->max_groups[i] = vka__max_u32(vka__min_u32(caps->max_groups[i], real->max_groups[i]), 1);
    caps->storage_range = vka__min_u64(caps->storage_range, real->storage_range);
    caps->storage_buffers = vka__max_u32(vka__min_u32(caps->storage_buffers, real->storage_buffers), STORAGE_BINDINGS);
    uint32_t align = real->storage_align;
    while (align < caps->storage_align && align < 1u << 16)
        align *= 2;
    caps->storage_align = align;
    caps->subgroup_arithmetic = caps->subgroup_arithmetic && real->subgroup_arithmetic;
    caps->subgroup_shuffle = caps->subgroup_shuffle && real->subgroup_shuffle;
    caps->subgroup_size_control = caps->subgroup_size_control && real->subgroup_size_control;
    caps->f16_storage = caps->f16_storage && real->f16_storage;
    caps->f16_arithmetic = caps->f16_arithmetic && real->f16_arithmetic;
    caps->f16_mixed_dot = caps->f16_mixed_dot && real->f16_mixed_dot;
    caps->int64 = caps->int64 && real->int64;
    vka__matrix_narrow(caps, real);
    caps->unified_memory = caps->unified_memory && real->unified_memory;
    caps->timestamps = caps->timestamps && real->timestamps;
}

void vka__physical_restrict(vka__physical *physical, const vka_vulkan_optional_features *enabled,
                            vka__narrowing narrowing) {
    vka_device_caps *caps = &physical->caps;
    caps->f16_storage = caps->f16_storage && enabled->storage_16bit;
    caps->subgroup_size_control = caps->subgroup_size_control && enabled->subgroup_size_control;
    caps->f16_arithmetic = caps->f16_arithmetic && enabled->shader_float16;
    caps->f16_mixed_dot = caps->f16_mixed_dot && enabled->shader_float16 && enabled->mixed_float_dot;
    caps->int64 = caps->int64 && enabled->shader_int64;
    vka__matrix_restrict(enabled, caps);
    physical->optional = *enabled;
    if (narrowing.fn) {
        vka_device_caps narrowed = *caps;
        narrowing.fn(narrowing.user, &narrowed);
        restrict_caps(&narrowed, caps);
        *caps = narrowed;
    }
}
