/* The Vulkan of an app.
 * SPDX-License-Identifier: MIT */
#define VOLK_IMPLEMENTATION
#include "app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void vka_check(vka_status status, const char *what) {
    if (status != VKA_OK) {
        fprintf(stderr, "import: %s: %s\n", what, vka_status_string(status));
        exit(1);
    }
}

/* ---- instance ----------------------------------------------------------------------------------------------- */

static void instance_create(app *a) {
    vk_check(volkInitialize(), "no Vulkan loader");
    a->api_version = VK_API_VERSION_1_1; /* the least that vkattn works with */
    VkApplicationInfo app_info = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .pApplicationName = "import", .apiVersion = a->api_version};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &app_info};
    vk_check(validation_create_instance(&a->layer, &info, &a->instance), "vkCreateInstance");
    printf("validation layer: %s\n", a->layer.on ? "on, with synchronization validation" : "not installed");
}

/* ---- device ------------------------------------------------------------------------------------------------- */

/* A family with compute, as a game would take it: preferably its graphics queue. */
static bool find_family(app *a) {
    VkQueueFamilyProperties families[16];
    uint32_t count = 16;
    bool found = false;
    vkGetPhysicalDeviceQueueFamilyProperties(a->physical, &count, families);
    for (uint32_t i = count; i-- > 0;) {
        bool compute = (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) != 0;
        if (compute && (!found || (families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT) != 0)) {
            a->family = i;
            found = true;
        }
    }
    return found;
}

/* The first device that vkattn can use; what it can use is all enabled. */
static void device_choose(app *a) {
    VkPhysicalDevice devices[16];
    uint32_t count = 16;
    VkResult result = vkEnumeratePhysicalDevices(a->instance, &count, devices);
    for (uint32_t i = 0; (result == VK_SUCCESS || result == VK_INCOMPLETE) && i < count; i++) {
        a->physical = devices[i];
        if (find_family(a) &&
            vka_vulkan_query(vkGetInstanceProcAddr, a->instance, a->api_version, a->physical, &a->enabled) == VKA_OK) {
            VkPhysicalDeviceProperties properties;
            vkGetPhysicalDeviceProperties(a->physical, &properties);
            printf("device: %s\n", properties.deviceName);
            return;
        }
    }
    fprintf(stderr, "import: no Vulkan device with compute\n");
    exit(1);
}

static void device_create(app *a) {
    /* An app would merge the optional features with its own. Extensions are found in optional.extensions, features in
     * its flags. */
    const vka_vulkan_optional_features *optional = &a->enabled;
    VkPhysicalDevice16BitStorageFeatures storage = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES,
                                                    .storageBuffer16BitAccess = VK_TRUE};
    VkPhysicalDeviceShaderFloat16Int8Features arithmetic = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES, .shaderFloat16 = VK_TRUE};
    VkPhysicalDeviceSubgroupSizeControlFeatures subgroups = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
        .subgroupSizeControl = optional->subgroup_size_control,
        .computeFullSubgroups = optional->compute_full_subgroups};
    void *features = NULL;
    if (optional->storage_16bit) {
        storage.pNext = features;
        features = &storage;
    }
    if (optional->shader_float16) {
        arithmetic.pNext = features;
        features = &arithmetic;
    }
    if (optional->subgroup_size_control || optional->compute_full_subgroups) {
        subgroups.pNext = features;
        features = &subgroups;
    }
    float priority = 1;
    VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                     .queueFamilyIndex = a->family,
                                     .queueCount = 1,
                                     .pQueuePriorities = &priority};
    vk_check(vkCreateDevice(a->physical,
                            &(VkDeviceCreateInfo){.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                                  .pNext = features,
                                                  .queueCreateInfoCount = 1,
                                                  .pQueueCreateInfos = &queue,
                                                  .enabledExtensionCount = optional->extension_count,
                                                  .ppEnabledExtensionNames = optional->extensions},
                            NULL, &a->device),
             "vkCreateDevice");
    volkLoadDevice(a->device);
    vkGetDeviceQueue(a->device, a->family, 0, &a->queue);
}

/* ---- the rest ----------------------------------------------------------------------------------------------- */

static void layouts_create(app *a) {
    VkDescriptorSetLayoutBinding bindings[2];
    for (uint32_t i = 0; i < 2; i++) {
        bindings[i] =
            (VkDescriptorSetLayoutBinding){i, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL};
    }
    vk_check(vkCreateDescriptorSetLayout(
                 a->device,
                 &(VkDescriptorSetLayoutCreateInfo){.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                                    .bindingCount = 2,
                                                    .pBindings = bindings},
                 NULL, &a->set_layout),
             "vkCreateDescriptorSetLayout");
    VkPushConstantRange range = {VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof(push)};
    vk_check(
        vkCreatePipelineLayout(a->device,
                               &(VkPipelineLayoutCreateInfo){.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                                             .setLayoutCount = 1,
                                                             .pSetLayouts = &a->set_layout,
                                                             .pushConstantRangeCount = 1,
                                                             .pPushConstantRanges = &range},
                               NULL, &a->layout),
        "vkCreatePipelineLayout");
}

static void pools_create(app *a) {
    VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 32};
    vk_check(
        vkCreateDescriptorPool(a->device,
                               &(VkDescriptorPoolCreateInfo){.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                                             .maxSets = 16,
                                                             .poolSizeCount = 1,
                                                             .pPoolSizes = &size},
                               NULL, &a->sets),
        "vkCreateDescriptorPool");
    vk_check(vkCreateCommandPool(a->device,
                                 &(VkCommandPoolCreateInfo){.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                                            .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                                            .queueFamilyIndex = a->family},
                                 NULL, &a->pool),
             "vkCreateCommandPool");
}

void app_open(app *a) {
    *a = (app){0};
    instance_create(a);
    device_choose(a);
    device_create(a);
    layouts_create(a);
    pools_create(a);
}

void app_close(app *a) {
    vkDestroyCommandPool(a->device, a->pool, NULL);
    vkDestroyDescriptorPool(a->device, a->sets, NULL);
    vkDestroyPipelineLayout(a->device, a->layout, NULL);
    vkDestroyDescriptorSetLayout(a->device, a->set_layout, NULL);
    vkDestroyDevice(a->device, NULL);
    validation_destroy_instance(&a->layer, a->instance);
}

VkDescriptorSet set_create(const app *a, const memory *first, const memory *second) {
    VkDescriptorSet set;
    VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                        .descriptorPool = a->sets,
                                        .descriptorSetCount = 1,
                                        .pSetLayouts = &a->set_layout};
    vk_check(vkAllocateDescriptorSets(a->device, &info, &set), "vkAllocateDescriptorSets");
    VkDescriptorBufferInfo buffers[2] = {{first->buffer, 0, VK_WHOLE_SIZE}, {second->buffer, 0, VK_WHOLE_SIZE}};
    VkWriteDescriptorSet write = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                  .dstSet = set,
                                  .descriptorCount = 2, /* runs on from binding 0 into binding 1 */
                                  .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                  .pBufferInfo = buffers};
    vkUpdateDescriptorSets(a->device, 1, &write, 0, NULL);
    return set;
}

VkCommandBuffer commands_create(const app *a) {
    VkCommandBuffer commands;
    VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                        .commandPool = a->pool,
                                        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                        .commandBufferCount = 1};
    vk_check(vkAllocateCommandBuffers(a->device, &info, &commands), "vkAllocateCommandBuffers");
    return commands;
}

VkFence fence_create(const app *a) {
    VkFence fence;
    vk_check(vkCreateFence(a->device, &(VkFenceCreateInfo){.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO}, NULL, &fence),
             "vkCreateFence");
    return fence;
}
