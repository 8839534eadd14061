/* The Vulkan functions of the bench, loaded at run time: nothing links the loader, and nothing is global.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_BENCH_VK_H
#define VKATTN_BENCH_VK_H

#include "bench.h"

#include <vkattn/vulkan.h>

/* X(name without vk) */
#define BENCH_VK_INSTANCE_FUNCTIONS(X)                                                                                 \
    X(CreateDevice)                                                                                                    \
    X(DestroyInstance)                                                                                                 \
    X(EnumeratePhysicalDevices)                                                                                        \
    X(GetDeviceProcAddr)                                                                                               \
    X(GetPhysicalDeviceProperties2)                                                                                    \
    X(GetPhysicalDeviceFeatures)                                                                                       \
    X(GetPhysicalDeviceQueueFamilyProperties)

#define BENCH_VK_DEVICE_FUNCTIONS(X)                                                                                   \
    X(AllocateCommandBuffers)                                                                                          \
    X(AllocateDescriptorSets)                                                                                          \
    X(BeginCommandBuffer)                                                                                              \
    X(CmdBindDescriptorSets)                                                                                           \
    X(CmdBindPipeline)                                                                                                 \
    X(CmdDispatch)                                                                                                     \
    X(CmdDispatchIndirect)                                                                                             \
    X(CmdPipelineBarrier)                                                                                              \
    X(CmdPushConstants)                                                                                                \
    X(CmdResetQueryPool)                                                                                               \
    X(CmdWriteTimestamp)                                                                                               \
    X(CreateCommandPool)                                                                                               \
    X(CreateComputePipelines)                                                                                          \
    X(CreateDescriptorPool)                                                                                            \
    X(CreateDescriptorSetLayout)                                                                                       \
    X(CreatePipelineLayout)                                                                                            \
    X(CreateQueryPool)                                                                                                 \
    X(CreateShaderModule)                                                                                              \
    X(DestroyCommandPool)                                                                                              \
    X(DestroyDescriptorPool)                                                                                           \
    X(DestroyDescriptorSetLayout)                                                                                      \
    X(DestroyDevice)                                                                                                   \
    X(DestroyPipeline)                                                                                                 \
    X(DestroyPipelineLayout)                                                                                           \
    X(DestroyQueryPool)                                                                                                \
    X(DestroyShaderModule)                                                                                             \
    X(DeviceWaitIdle)                                                                                                  \
    X(EndCommandBuffer)                                                                                                \
    X(GetDeviceQueue)                                                                                                  \
    X(GetQueryPoolResults)                                                                                             \
    X(QueueSubmit)                                                                                                     \
    X(QueueWaitIdle)                                                                                                   \
    X(UpdateDescriptorSets)

typedef struct bench_vk {
    PFN_vkGetInstanceProcAddr GetInstanceProcAddr;
#define X(name) PFN_vk##name name;
    BENCH_VK_INSTANCE_FUNCTIONS(X)
    BENCH_VK_DEVICE_FUNCTIONS(X)
#undef X
} bench_vk;

struct bench_device {
    void *loader;
    bench_vk vk;
    VkInstance instance;
    uint32_t api_version;
    VkPhysicalDevice physical;
    VkDevice device;
    uint32_t family;
    uint32_t timestamp_bits; /* 0: no timestamps on the queue */
    double timestamp_ns;     /* of one tick                    */
    VkQueue queue;
    vka_device *vka;
    vka_vulkan_optional_features enabled;
    char error[256]; /* the library's last error */
};

/* The same VkDevice imported once more, through another loader; to be destroyed before the first one. NULL: see
 * bench_device_error. */
vka_device *bench_device_import(bench_device *d, PFN_vkGetInstanceProcAddr loader);

#endif
