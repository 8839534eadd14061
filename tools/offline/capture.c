/* SPDX-License-Identifier: MIT */
#include "capture.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "spirv.h"

#define MAX_EXTENSIONS        64
#define MAX_DEVICE_EXTENSIONS 512

static struct {
    PFN_vkGetInstanceProcAddr next;
    VkInstance instance;
    PFN_vkGetDeviceProcAddr next_device;
    bool enabled; /* the device has the extension */
    statistics_functions vk;
    const char *kernel; /* of the last shader module */
    const char *code;   /* the name that files of code begin with, or NULL */
    capture result;
} state;

#define INSTANCE_FUNCTION(name) PFN_vk##name name = (PFN_vk##name)state.next(state.instance, "vk" #name)
#define DEVICE_FUNCTION(name)   PFN_vk##name name = (PFN_vk##name)state.next_device(device, "vk" #name)

static bool offers_statistics(VkPhysicalDevice physical) {
    INSTANCE_FUNCTION(EnumerateDeviceExtensionProperties);
    static VkExtensionProperties list[MAX_DEVICE_EXTENSIONS];
    uint32_t count = MAX_DEVICE_EXTENSIONS;
    if (EnumerateDeviceExtensionProperties(physical, NULL, &count, list) < 0)
        return false;
    for (uint32_t i = 0; i < count; ++i)
        if (!strcmp(list[i].extensionName, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME))
            return true;
    return false;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                                    const VkAllocationCallbacks *allocator, VkDevice *device) {
    INSTANCE_FUNCTION(CreateDevice);
    uint32_t count = info->enabledExtensionCount;
    state.enabled = count < MAX_EXTENSIONS && offers_statistics(physical);
    if (!state.enabled)
        return CreateDevice(physical, info, allocator, device);
    const char *names[MAX_EXTENSIONS];
    if (count)
        memcpy(names, info->ppEnabledExtensionNames, count * sizeof *names);
    names[count] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR feature = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pNext = (void *)info->pNext,
        .pipelineExecutableInfo = VK_TRUE,
    };
    VkDeviceCreateInfo ours = *info;
    ours.pNext = &feature;
    ours.enabledExtensionCount = count + 1;
    ours.ppEnabledExtensionNames = names;
    return CreateDevice(physical, &ours, allocator, device);
}

static VKAPI_ATTR VkResult VKAPI_CALL create_module(VkDevice device, const VkShaderModuleCreateInfo *info,
                                                    const VkAllocationCallbacks *allocator, VkShaderModule *module) {
    DEVICE_FUNCTION(CreateShaderModule);
    state.kernel = "unknown";
    for (uint32_t i = 0; i < VKA_SPIRV_COUNT; ++i)
        if (vka__spirv_table[i].words == info->pCode)
            state.kernel = vka__spirv_table[i].name;
    return CreateShaderModule(device, info, allocator, module);
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* A file for the code of a pipeline, which begins with what it was specialized for; NULL: not asked for. */
static FILE *open_code(const VkSpecializationInfo *spec) {
    char name[512];
    if (!state.code)
        return NULL;
    snprintf(name, sizeof name, "%s.%s", state.code, state.kernel);
    FILE *file = fopen(name, "w");
    for (uint32_t i = 0; file && spec && i < spec->mapEntryCount; ++i) {
        uint32_t value;
        memcpy(&value, (const char *)spec->pData + spec->pMapEntries[i].offset, sizeof value);
        fprintf(file, "spec %u: %u\n", spec->pMapEntries[i].constantID, value);
    }
    return file;
}

static void read_pipeline(VkDevice device, VkPipeline pipeline, const VkSpecializationInfo *spec, statistics *out) {
    FILE *code = open_code(spec);
    statistics_read(&state.vk, device, pipeline, code, out);
    if (code)
        fclose(code);
}

/* The library creates one pipeline a call. */
static VKAPI_ATTR VkResult VKAPI_CALL create_pipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                                       const VkComputePipelineCreateInfo *infos,
                                                       const VkAllocationCallbacks *allocator, VkPipeline *pipelines) {
    DEVICE_FUNCTION(CreateComputePipelines);
    VkComputePipelineCreateInfo ours = infos[0];
    if (state.enabled)
        ours.flags |=
            VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR | VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR;
    double start = now_ms();
    VkResult result = CreateComputePipelines(device, cache, count, count == 1 ? &ours : infos, allocator, pipelines);
    double end = now_ms();
    if (result != VK_SUCCESS || count != 1 || state.result.count == CAPTURE_MAX)
        return result;
    capture_pipeline *p = &state.result.pipelines[state.result.count++];
    snprintf(p->kernel, sizeof p->kernel, "%s", state.kernel);
    p->milliseconds = end - start;
    if (state.enabled)
        read_pipeline(device, pipelines[0], infos[0].stage.pSpecializationInfo, &p->statistics);
    return result;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_proc_addr(VkDevice device, const char *name) {
    if (!strcmp(name, "vkCreateShaderModule"))
        return (PFN_vkVoidFunction)create_module;
    if (strcmp(name, "vkCreateComputePipelines") != 0)
        return state.next_device(device, name);
    DEVICE_FUNCTION(GetPipelineExecutablePropertiesKHR);
    DEVICE_FUNCTION(GetPipelineExecutableStatisticsKHR);
    DEVICE_FUNCTION(GetPipelineExecutableInternalRepresentationsKHR);
    state.vk = (statistics_functions){GetPipelineExecutablePropertiesKHR, GetPipelineExecutableStatisticsKHR,
                                      GetPipelineExecutableInternalRepresentationsKHR};
    return (PFN_vkVoidFunction)create_pipelines;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_instance_proc_addr(VkInstance instance, const char *name) {
    if (instance)
        state.instance = instance;
    if (!strcmp(name, "vkGetInstanceProcAddr"))
        return (PFN_vkVoidFunction)get_instance_proc_addr;
    if (!strcmp(name, "vkCreateDevice"))
        return (PFN_vkVoidFunction)create_device;
    if (strcmp(name, "vkGetDeviceProcAddr") != 0)
        return state.next(instance, name);
    state.next_device = (PFN_vkGetDeviceProcAddr)state.next(instance, name);
    return (PFN_vkVoidFunction)get_device_proc_addr;
}

capture_function capture_loader(void) {
    void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, "vkGetInstanceProcAddr") : NULL;
    memcpy(&state.next, &symbol, sizeof symbol); /* ISO C has no cast to a function pointer */
    return state.next ? (capture_function)get_instance_proc_addr : NULL;
}

void capture_code_to(const char *name) {
    state.code = name;
}

const capture *capture_get(void) {
    return &state.result;
}
