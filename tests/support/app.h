/* An app with its own Vulkan objects, which imports its device into the library.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_APP_H
#define VKATTN_TEST_APP_H

#include <vkattn/vulkan.h>

#include "context.h"

#define APP_INSTANCE_FUNCTIONS(X)                                                                                      \
    X(vkDestroyInstance)                                                                                               \
    X(vkEnumeratePhysicalDevices)                                                                                      \
    X(vkGetPhysicalDeviceFeatures)                                                                                     \
    X(vkGetPhysicalDeviceProperties)                                                                                   \
    X(vkGetPhysicalDeviceQueueFamilyProperties)                                                                        \
    X(vkGetPhysicalDeviceMemoryProperties)                                                                             \
    X(vkCreateDevice)                                                                                                  \
    X(vkGetDeviceProcAddr)

#define APP_DEVICE_FUNCTIONS(X)                                                                                        \
    X(vkDestroyDevice)                                                                                                 \
    X(vkGetDeviceQueue)                                                                                                \
    X(vkCreateCommandPool)                                                                                             \
    X(vkDestroyCommandPool)                                                                                            \
    X(vkAllocateCommandBuffers)                                                                                        \
    X(vkBeginCommandBuffer)                                                                                            \
    X(vkEndCommandBuffer)                                                                                              \
    X(vkCmdPipelineBarrier)                                                                                            \
    X(vkCmdCopyBuffer)                                                                                                 \
    X(vkQueueSubmit)                                                                                                   \
    X(vkQueueWaitIdle)                                                                                                 \
    X(vkCreateBuffer)                                                                                                  \
    X(vkDestroyBuffer)                                                                                                 \
    X(vkGetBufferMemoryRequirements)                                                                                   \
    X(vkAllocateMemory)                                                                                                \
    X(vkFreeMemory)                                                                                                    \
    X(vkBindBufferMemory)                                                                                              \
    X(vkMapMemory)

typedef struct app {
    uint32_t api_version;
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice device;
    uint32_t family;
    VkQueue queue;
    VkCommandPool pool;
    VkCommandBuffer cmd;
    vka_vulkan_optional_features enabled;
#define X(name) PFN_##name name;
    APP_INSTANCE_FUNCTIONS(X)
    APP_DEVICE_FUNCTIONS(X)
#undef X
} app;

/* With everything the library can use, or with nothing. */
void app_open(app *a, uint32_t api_version, bool optional);
void app_close(app *a);
/* Imports it, with a queue. */
vka_import_desc app_import(const app *a);

/* The app's command buffer. */
void app_begin(app *a);
void app_submit_and_wait(app *a);
/* A barrier between everything and everything. */
void app_barrier(app *a);

/* Mapped memory with exactly these usages. */
typedef struct app_buffer {
    VkBuffer handle;
    VkDeviceMemory memory;
    void *mapped;
} app_buffer;
app_buffer app_buffer_create(app *a, uint64_t size, VkBufferUsageFlags usage);
void app_buffer_destroy(app *a, app_buffer *b);

#endif
