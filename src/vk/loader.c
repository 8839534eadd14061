/* Finding Vulkan and its functions. The only file that holds volk's code.
 *
 * volk keeps instance-level functions in globals. They are not used here, except for one pointer that its table loader
 * needs, which is set and read under a lock: devices of different instances and loaders can live side by side.
 * SPDX-License-Identifier: MIT */
#include "core/sync.h" /* first: windows.h and volk both have a FARPROC, and only volk asks */

#define VOLK_IMPLEMENTATION
#include "vk/vk.h"

#include <string.h>

static vka__mutex volk_mutex = VKA_MUTEX_INIT;

PFN_vkGetInstanceProcAddr vka__system_loader(void) {
    vka__lock(&volk_mutex);
    PFN_vkGetInstanceProcAddr result = volkInitialize() == VK_SUCCESS ? vkGetInstanceProcAddr : NULL;
    vka__unlock(&volk_mutex);
    return result;
}

void vka__load_device_table(const vka__instance *instance, VkDevice device, struct VolkDeviceTable *table) {
    vka__lock(&volk_mutex);
    vkGetDeviceProcAddr = instance->GetDeviceProcAddr;
    volkLoadDeviceTable(table, device);
    vka__unlock(&volk_mutex);
}

vka_status vka__instance_import(const vka__context *ctx, const char *item, PFN_vkGetInstanceProcAddr get_proc_addr,
                                VkInstance handle, uint32_t api_version, vka__instance *instance) {
    *instance = (vka__instance){.get_proc_addr = get_proc_addr, .handle = handle, .api_version = api_version};
    bool complete = true;
#define X(name)                                                                                                        \
    instance->name = (PFN_vk##name)get_proc_addr(handle, "vk" #name);                                                  \
    complete = complete && instance->name;
    VKA_INSTANCE_FUNCTIONS(X)
#undef X
    if (!complete)
        return vka__fail(ctx, VKA_UNSUPPORTED, item, "the instance lacks Vulkan 1.1 functions");
    return VKA_OK;
}

/* A loader that can't list its extensions has none. */
static vka_status find_instance_extension(const vka__context *ctx, const char *item,
                                          PFN_vkGetInstanceProcAddr get_proc_addr, const char *name, bool *found) {
    PFN_vkEnumerateInstanceExtensionProperties enumerate =
        (PFN_vkEnumerateInstanceExtensionProperties)get_proc_addr(NULL, "vkEnumerateInstanceExtensionProperties");
    uint32_t count = 0;
    *found = false;
    if (!enumerate || enumerate(NULL, &count, NULL) != VK_SUCCESS || !count)
        return VKA_OK;
    VkExtensionProperties *list = vka__alloc(ctx, count, sizeof *list);
    if (!list)
        return vka__fail(ctx, VKA_OUT_OF_MEMORY, item, "no host memory for %u extensions", count);
    VkResult result = enumerate(NULL, &count, list);
    for (uint32_t i = 0; (result == VK_SUCCESS || result == VK_INCOMPLETE) && i < count; ++i)
        *found = *found || !strcmp(list[i].extensionName, name);
    vka__free(ctx, list);
    return VKA_OK;
}

/* The extensions that there are of those that the library wants; *labels: what gives labels, if it was wanted. */
static vka_status add_instance_extensions(const vka__context *ctx, const char *item,
                                          PFN_vkGetInstanceProcAddr get_proc_addr, bool *labels,
                                          const char *extensions[2], VkInstanceCreateInfo *info) {
    /* Without it loaders hide drivers that are not fully conformant, MoltenVK for one. */
    static const char portability[] = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
    bool portable;
    vka_status status = find_instance_extension(ctx, item, get_proc_addr, portability, &portable);
    if (status == VKA_OK && *labels)
        status = find_instance_extension(ctx, item, get_proc_addr, VK_EXT_DEBUG_UTILS_EXTENSION_NAME, labels);
    if (status != VKA_OK)
        return status;
    info->ppEnabledExtensionNames = extensions;
    if (portable) {
        info->flags = VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
        extensions[info->enabledExtensionCount++] = portability;
    }
    if (*labels)
        extensions[info->enabledExtensionCount++] = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    return VKA_OK;
}

vka_status vka__instance_create(const vka__context *ctx, const char *item, PFN_vkGetInstanceProcAddr get_proc_addr,
                                bool debug_labels, vka__instance *instance) {
    *instance = (vka__instance){0};
    PFN_vkCreateInstance create = (PFN_vkCreateInstance)get_proc_addr(NULL, "vkCreateInstance");
    PFN_vkEnumerateInstanceVersion get_version =
        (PFN_vkEnumerateInstanceVersion)get_proc_addr(NULL, "vkEnumerateInstanceVersion");
    uint32_t version = VK_API_VERSION_1_0;
    if (!create || !get_version || get_version(&version) != VK_SUCCESS || version < VK_API_VERSION_1_1)
        return vka__fail(ctx, VKA_NO_DEVICE, item, "the Vulkan loader does not offer Vulkan 1.1");
    version = version < VK_API_VERSION_1_3 ? version : VK_API_VERSION_1_3;
    VkApplicationInfo app = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
        .pEngineName = "vkattn",
        .engineVersion = vka_version(),
        .apiVersion = version,
    };
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &app};
    const char *extensions[2];
    bool labels = debug_labels;
    vka_status status = add_instance_extensions(ctx, item, get_proc_addr, &labels, extensions, &info);
    if (status != VKA_OK)
        return status;
    VkInstance handle;
    VkResult result = create(&info, NULL, &handle);
    /* The loader's own way of saying that there is no driver at all. */
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER)
        return vka__fail(ctx, VKA_NO_DEVICE, item,
                         "no Vulkan driver is installed; a GPU's driver has one, and Mesa's software driver (Debian's "
                         "mesa-vulkan-drivers) needs no GPU");
    if (result != VK_SUCCESS)
        return vka__vk_status(ctx, result, item, "vkCreateInstance");
    status = vka__instance_import(ctx, item, get_proc_addr, handle, version, instance);
    instance->owned = true;
    if (status != VKA_OK)
        vka__instance_destroy(instance);
    else if (debug_labels && !(labels && vka__instance_load_labels(instance)))
        vka__log(ctx, VKA_LOG_WARNING, "vka_device_create.debug_labels",
                 "the Vulkan loader does not offer VK_EXT_debug_utils: there are no labels");
    return status;
}

bool vka__instance_load_labels(vka__instance *instance) {
    instance->CmdBeginDebugUtilsLabelEXT =
        (PFN_vkCmdBeginDebugUtilsLabelEXT)instance->get_proc_addr(instance->handle, "vkCmdBeginDebugUtilsLabelEXT");
    instance->CmdEndDebugUtilsLabelEXT =
        (PFN_vkCmdEndDebugUtilsLabelEXT)instance->get_proc_addr(instance->handle, "vkCmdEndDebugUtilsLabelEXT");
    bool complete = instance->CmdBeginDebugUtilsLabelEXT && instance->CmdEndDebugUtilsLabelEXT;
    if (!complete)
        instance->CmdBeginDebugUtilsLabelEXT = NULL;
    return complete;
}

void vka__instance_destroy(vka__instance *instance) {
    if (instance->owned && instance->handle && instance->DestroyInstance)
        instance->DestroyInstance(instance->handle, NULL);
    *instance = (vka__instance){0};
}
