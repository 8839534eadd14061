/* SPDX-License-Identifier: MIT */
#include "vulkan.h"

#include <stdio.h>
#include <stdlib.h>

void vk_check(VkResult result, const char *what) {
    if (result != VK_SUCCESS) {
        fprintf(stderr, "%s: VkResult %d\n", what, (int)result);
        exit(1);
    }
}

static uint32_t memory_type(VkPhysicalDevice physical, uint32_t allowed, VkMemoryPropertyFlags wanted) {
    VkPhysicalDeviceMemoryProperties types;
    vkGetPhysicalDeviceMemoryProperties(physical, &types);
    for (uint32_t i = 0; i < types.memoryTypeCount; i++) {
        if ((allowed >> i & 1) != 0 && (types.memoryTypes[i].propertyFlags & wanted) == wanted) {
            return i;
        }
    }
    fprintf(stderr, "no memory of the wanted type\n");
    exit(1);
}

memory memory_create(VkPhysicalDevice physical, VkDevice device, VkDeviceSize size, bool host) {
    memory m = {.size = size};
    VkBufferCreateInfo buffer = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                 .size = size,
                                 .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT};
    VkMemoryRequirements needs;
    vk_check(vkCreateBuffer(device, &buffer, NULL, &m.buffer), "vkCreateBuffer");
    vkGetBufferMemoryRequirements(device, m.buffer, &needs);
    VkMemoryPropertyFlags wanted = host ? VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT
                                        : VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                 .allocationSize = needs.size,
                                 .memoryTypeIndex = memory_type(physical, needs.memoryTypeBits, wanted)};
    vk_check(vkAllocateMemory(device, &info, NULL, &m.memory), "vkAllocateMemory");
    vk_check(vkBindBufferMemory(device, m.buffer, m.memory, 0), "vkBindBufferMemory");
    if (host) {
        vk_check(vkMapMemory(device, m.memory, 0, VK_WHOLE_SIZE, 0, &m.mapped), "vkMapMemory");
    }
    return m;
}

void memory_destroy(VkDevice device, memory *m) {
    vkDestroyBuffer(device, m->buffer, NULL);
    vkFreeMemory(device, m->memory, NULL);
    *m = (memory){0};
}

VkShaderModule shader_create(VkDevice device, const uint32_t *code, size_t bytes) {
    VkShaderModule module;
    VkShaderModuleCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = bytes, .pCode = code};
    vk_check(vkCreateShaderModule(device, &info, NULL, &module), "vkCreateShaderModule");
    return module;
}

VkPipeline compute_pipeline_create(VkDevice device, VkPipelineLayout layout, const uint32_t *code, size_t bytes) {
    VkShaderModule module = shader_create(device, code, bytes);
    VkPipeline pipeline;
    VkComputePipelineCreateInfo info = {.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
                                        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                                                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                                                  .module = module,
                                                  .pName = "main"},
                                        .layout = layout};
    vk_check(vkCreateComputePipelines(device, VK_NULL_HANDLE, 1, &info, NULL, &pipeline), "vkCreateComputePipelines");
    vkDestroyShaderModule(device, module, NULL);
    return pipeline;
}
