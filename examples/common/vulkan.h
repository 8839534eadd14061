/* Memory, shaders and pipelines of an app with a Vulkan of its own. For programs with volk; errors end the program.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_VULKAN_H
#define COMMON_VULKAN_H

#ifndef VK_NO_PROTOTYPES
#    define VK_NO_PROTOTYPES
#endif
#include <stdbool.h>
#include <stddef.h>
#include <volk.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A buffer with memory of its own. */
typedef struct memory {
    VkBuffer buffer;
    VkDeviceMemory memory;
    VkDeviceSize size;
    void *mapped; /* NULL unless the host sees it */
} memory;

/* Prints and exits unless the result is VK_SUCCESS. */
void vk_check(VkResult result, const char *what);

/* For storage buffers and copies. host: mapped, and coherent; otherwise on the device. */
memory memory_create(VkPhysicalDevice physical, VkDevice device, VkDeviceSize size, bool host);
void memory_destroy(VkDevice device, memory *m);

VkShaderModule shader_create(VkDevice device, const uint32_t *code, size_t bytes);
VkPipeline compute_pipeline_create(VkDevice device, VkPipelineLayout layout, const uint32_t *code, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
