/* A driver that is not fully conformant, as MoltenVK is: it lists VK_KHR_portability_subset, which must be enabled
 * then. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include <vkattn/norm.h>

#include "core/core.h"
#include "support/context.h"
#include "support/intercept.h"

#define SUBSET "VK_KHR_portability_subset"

static VkInstance instance;
static uint32_t devices_with_it, devices_without_it;

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

static VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info,
                                                      const VkAllocationCallbacks *allocator, VkInstance *created) {
    bool asks = info->flags & VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
    cr_expect(asks, "loaders hide such drivers from those who don't ask for them");
    VkResult result = ((PFN_vkCreateInstance)next("vkCreateInstance"))(info, allocator, created);
    instance = *created;
    return result;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL portable_loader(VkInstance of, const char *name) {
    if (!strcmp(name, "vkCreateInstance")) {
        return (PFN_vkVoidFunction)create_instance;
    }
    if (!strcmp(name, "vkEnumerateDeviceExtensionProperties")) {
        return (PFN_vkVoidFunction)list_extensions;
    }
    if (!strcmp(name, "vkCreateDevice")) {
        return (PFN_vkVoidFunction)create_device;
    }
    return intercept_get_instance_proc_addr(of, name);
}

/* As MoltenVK describes an M1: no more buffers for a kernel than Metal has, and 32 KiB of shared memory. */
static void narrow_to_metal(void *user, vka_device_caps *caps) {
    (void)user;
    caps->shared_bytes = caps->shared_bytes < 32768 ? caps->shared_bytes : 32768;
    caps->storage_buffers = caps->storage_buffers < 31 ? caps->storage_buffers : 31;
    caps->f16_mixed_dot = false;
}

Test(portability, subset_is_enabled) {
    context_require_device();
    vka_device_desc desc = context_desc();
    desc.get_instance_proc_addr = (intercept_function)portable_loader;
    vka_device *device = NULL;
    EXPECT_OK(vka__device_create(&desc, sizeof desc, (vka__narrowing){narrow_to_metal, NULL}, &device));
    cr_expect_eq(devices_with_it, 1);
    cr_expect_eq(devices_without_it, 0);
    vka_buffer *buffer = NULL;
    vka_recorder *recorder = NULL;
    float x[4] = {1, 2, 3, 4};
    EXPECT_OK(vka_buffer_create(device, &(vka_buffer_desc){.size = sizeof x}, &buffer));
    EXPECT_OK(vka_buffer_write(buffer, 0, x, sizeof x));
    EXPECT_OK(vka_recorder_create(device, NULL, &recorder));
    EXPECT_OK(vka_recorder_begin(recorder));
    vka_tensor t = vka_tensor_2d(buffer, VKA_F32, 1, 4);
    EXPECT_OK(vka_rms_norm(recorder, &(vka_rms_norm_desc){.x = t, .out = t}));
    EXPECT_OK(vka_recorder_submit(recorder));
    EXPECT_OK(vka_recorder_wait(recorder, UINT64_MAX));
    EXPECT_OK(vka_buffer_read(buffer, 0, x, sizeof x));
    cr_expect_float_eq(x[3], 4 / 2.7386128, 1e-5);
    vka_recorder_destroy(&recorder);
    vka_buffer_destroy(&buffer);
    vka_device_destroy(&device);
    context_check("portability");
}
