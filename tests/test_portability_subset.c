/* A driver that is not fully conformant, as MoltenVK is: loaders show it to those who ask, it lists
 * VK_KHR_portability_subset, which must be enabled then, and has a phone's or an Apple device's limits. A loader in
 * front of the real one pretends all of it, so that the library finds it where it looks for it.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "attention_case.h"
#include "core/core.h"
#include "norm_case.h"
#include "support/intercept.h"

#define SUBSET      "VK_KHR_portability_subset"

#define ENUMERATION "VK_KHR_portability_enumeration"

static VkInstance instance;
static uint32_t devices_with_it, devices_without_it;
static bool old_loader; /* which does not know of portability */

/* As MoltenVK describes an M1: no more buffers for a kernel than Metal has. Bindings see 128 MiB, as on Adreno. */
enum { SHARED = 32 << 10, RANGE = 128 << 20, BUFFERS = 31, INVOCATIONS = 512 };

static PFN_vkVoidFunction next(const char *name) {
    return intercept_get_instance_proc_addr(instance, name);
}

static VKAPI_ATTR VkResult VKAPI_CALL list_extensions(VkPhysicalDevice physical, const char *layer, uint32_t *count,
                                                      VkExtensionProperties *list) {
    PFN_vkEnumerateDeviceExtensionProperties real =
        (PFN_vkEnumerateDeviceExtensionProperties)next("vkEnumerateDeviceExtensionProperties");
    uint32_t room = *count;
    VkResult result;
    if (list) {
        cr_assert_gt(room, 0);
        *count = room - 1;
    }
    result = real(physical, layer, count, list);
    if (list) {
        strcpy(list[*count].extensionName, SUBSET);
    }
    ++*count;
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                                    const VkAllocationCallbacks *allocator, VkDevice *device) {
    const char *names[64];
    VkDeviceCreateInfo ours = *info;
    ours.ppEnabledExtensionNames = names;
    ours.enabledExtensionCount = 0;
    cr_assert_leq(info->enabledExtensionCount, 64);
    for (uint32_t i = 0; i < info->enabledExtensionCount; i++) {
        if (strcmp(info->ppEnabledExtensionNames[i], SUBSET) != 0) {
            names[ours.enabledExtensionCount++] = info->ppEnabledExtensionNames[i];
        }
    }
    *(ours.enabledExtensionCount < info->enabledExtensionCount ? &devices_with_it : &devices_without_it) += 1;
    return ((PFN_vkCreateDevice)next("vkCreateDevice"))(physical, &ours, allocator, device);
}

static VKAPI_ATTR VkResult VKAPI_CALL list_instance_extensions(const char *layer, uint32_t *count,
                                                               VkExtensionProperties *list) {
    PFN_vkEnumerateInstanceExtensionProperties real =
        (PFN_vkEnumerateInstanceExtensionProperties)intercept_get_instance_proc_addr(
            NULL, "vkEnumerateInstanceExtensionProperties");
    VkResult result = real(layer, count, list);
    for (uint32_t i = 0; old_loader && list && i < *count; i++) {
        if (!strcmp(list[i].extensionName, ENUMERATION)) {
            list[i--] = list[--*count];
        }
    }
    return result;
}

/* Flag and extension belong together, and to loaders that have them: others refuse instances. */
static VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info,
                                                      const VkAllocationCallbacks *allocator, VkInstance *created) {
    bool asks = info->flags & VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR, enables = false;
    for (uint32_t i = 0; i < info->enabledExtensionCount; i++) {
        enables = enables || !strcmp(info->ppEnabledExtensionNames[i], ENUMERATION);
    }
    cr_expect_eq(asks, !old_loader, "loaders hide such drivers from those who don't ask for them");
    cr_expect_eq(enables, !old_loader);
    VkResult result = ((PFN_vkCreateInstance)next("vkCreateInstance"))(info, allocator, created);
    instance = *created;
    return result;
}

static void lower(uint32_t *limit, uint32_t most) {
    *limit = *limit < most ? *limit : most;
}

static VKAPI_ATTR void VKAPI_CALL get_properties(VkPhysicalDevice physical, VkPhysicalDeviceProperties2 *properties) {
    ((PFN_vkGetPhysicalDeviceProperties2)next("vkGetPhysicalDeviceProperties2"))(physical, properties);
    VkPhysicalDeviceLimits *limits = &properties->properties.limits;
    lower(&limits->maxComputeSharedMemorySize, SHARED);
    lower(&limits->maxStorageBufferRange, RANGE);
    lower(&limits->maxPerStageDescriptorStorageBuffers, BUFFERS);
    lower(&limits->maxComputeWorkGroupInvocations, INVOCATIONS);
    lower(&limits->maxComputeWorkGroupSize[0], INVOCATIONS);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL portable_loader(VkInstance of, const char *name) {
    if (!strcmp(name, "vkCreateInstance")) {
        return (PFN_vkVoidFunction)create_instance;
    }
    if (!strcmp(name, "vkEnumerateInstanceExtensionProperties")) {
        return (PFN_vkVoidFunction)list_instance_extensions;
    }
    if (!strcmp(name, "vkGetPhysicalDeviceProperties2")) {
        return (PFN_vkVoidFunction)get_properties;
    }
    if (!strcmp(name, "vkEnumerateDeviceExtensionProperties")) {
        return (PFN_vkVoidFunction)list_extensions;
    }
    if (!strcmp(name, "vkCreateDevice")) {
        return (PFN_vkVoidFunction)create_device;
    }
    return intercept_get_instance_proc_addr(of, name);
}

/* What Metal has no instruction for. */
static void as_metal(void *user, vka_device_caps *caps) {
    (void)user;
    caps->f16_mixed_dot = false;
}

static void open_portable(context *c) {
    context_require_device();
    vka_device_desc desc = context_desc();
    desc.get_instance_proc_addr = (intercept_function)portable_loader;
    *c = (context){.config = &config_real};
    EXPECT_OK(vka__device_create(&desc, sizeof desc, (vka__narrowing){as_metal, NULL}, &c->device));
    EXPECT_OK(vka_recorder_create(c->device, NULL, &c->recorder));
    cr_expect_eq(devices_with_it, 1);
    cr_expect_eq(devices_without_it, 0);
    const vka_device_caps *caps = vka_device_get_caps(c->device);
    cr_expect_leq(caps->shared_bytes, SHARED);
    cr_expect_leq(caps->storage_range, RANGE);
    cr_expect_leq(caps->storage_buffers, BUFFERS);
    cr_expect_leq(caps->max_invocations, INVOCATIONS);
}

Test(portability, subset_is_enabled) {
    context c;
    open_portable(&c);
    norm_problem norm =
        norm_make(&c, (norm_case){.rank = 2, .shape = {7, 129}, .weight = true, .affine = VKA_F32}, test_seed());
    norm_run(&norm, VKA_NORM_PATH_AUTO);
    norm_destroy(&norm);
    attention_case small = {.q_heads = 2, .q_len = 33, .kv_len = 45, .head_dim = 24, .causal = true};
    attention_problem attention = attention_make(&c, small, test_seed());
    attention_run(&attention, VKA_ATTENTION_PATH_AUTO, 0);
    attention_destroy(&attention);
    context_close(&c);
}

Test(portability, loader_without_enumeration) {
    context c;
    old_loader = true;
    open_portable(&c);
    context_close(&c);
}
