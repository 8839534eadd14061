/* SPDX-License-Identifier: MIT */
#define VOLK_IMPLEMENTATION
#include "frame/gpu.h"

#include "common/program.h"

/* ---- instance and device ----------------------------------------------------------------------------------------- */

static bool find_family(gpu *g) {
    VkQueueFamilyProperties families[16];
    VkPhysicalDeviceProperties properties;
    uint32_t count = 16;
    vkGetPhysicalDeviceProperties(g->physical, &properties);
    vkGetPhysicalDeviceQueueFamilyProperties(g->physical, &count, families);
    for (uint32_t i = 0; i < count; i++) {
        const VkQueueFlags both = VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT;
        VkBool32 presents = VK_FALSE;
        vkGetPhysicalDeviceSurfaceSupportKHR(g->physical, i, g->surface, &presents);
        if (presents && (families[i].queueFlags & both) == both) {
            g->family = i;
            g->tick = families[i].timestampValidBits ? (double)properties.limits.timestampPeriod : 0;
            return true;
        }
    }
    return false;
}

/* The first device that draws to the window and that vkattn can use. */
static void choose_device(gpu *g, uint32_t api_version) {
    VkPhysicalDevice devices[16];
    uint32_t count = 16;
    VkResult result = vkEnumeratePhysicalDevices(g->instance, &count, devices);
    for (uint32_t i = 0; (result == VK_SUCCESS || result == VK_INCOMPLETE) && i < count; i++) {
        g->physical = devices[i];
        if (find_family(g) &&
            vka_vulkan_query(vkGetInstanceProcAddr, g->instance, api_version, g->physical, &g->enabled) == VKA_OK) {
            return;
        }
    }
    fail("no Vulkan device draws and computes for this window");
}

static void create_device(gpu *g) {
    vka_vulkan_feature_chain chain;
    float priority = 1;
    const char *extensions[1 + VKA_MAX_DEVICE_EXTENSIONS] = {VK_KHR_SWAPCHAIN_EXTENSION_NAME};
    for (uint32_t i = 0; i < g->enabled.extension_count; i++) {
        extensions[1 + i] = g->enabled.extensions[i];
    }
    VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                     .queueFamilyIndex = g->family,
                                     .queueCount = 1,
                                     .pQueuePriorities = &priority};
    vk_check(vkCreateDevice(g->physical,
                            &(VkDeviceCreateInfo){.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                                  .pNext = vka_vulkan_features(&g->enabled, &chain, NULL),
                                                  .queueCreateInfoCount = 1,
                                                  .pQueueCreateInfos = &queue,
                                                  .enabledExtensionCount = 1 + g->enabled.extension_count,
                                                  .ppEnabledExtensionNames = extensions},
                            NULL, &g->device),
             "vkCreateDevice");
    volkLoadDevice(g->device);
    vkGetDeviceQueue(g->device, g->family, 0, &g->queue);
}

/* ---- layouts and pools ------------------------------------------------------------------------------------------- */

static void create_layouts(gpu *g) {
    const VkShaderStageFlags stages = VK_SHADER_STAGE_COMPUTE_BIT | VK_SHADER_STAGE_VERTEX_BIT;
    VkDescriptorSetLayoutBinding bindings[BINDINGS];
    for (uint32_t i = 0; i < BINDINGS; i++) {
        bindings[i] = (VkDescriptorSetLayoutBinding){i, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, stages, NULL};
    }
    VkDescriptorSetLayoutCreateInfo set = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = BINDINGS, .pBindings = bindings};
    vk_check(vkCreateDescriptorSetLayout(g->device, &set, NULL, &g->set_layout), "vkCreateDescriptorSetLayout");
    VkPushConstantRange range = {stages, 0, sizeof(push)};
    VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                         .setLayoutCount = 1,
                                         .pSetLayouts = &g->set_layout,
                                         .pushConstantRangeCount = 1,
                                         .pPushConstantRanges = &range};
    vk_check(vkCreatePipelineLayout(g->device, &layout, NULL, &g->layout), "vkCreatePipelineLayout");
}

static void create_pools(gpu *g) {
    VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, (1 + IN_FLIGHT) * BINDINGS};
    VkDescriptorPoolCreateInfo sets = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                       .maxSets = 1 + IN_FLIGHT,
                                       .poolSizeCount = 1,
                                       .pPoolSizes = &size};
    VkCommandPoolCreateInfo commands = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                        .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                        .queueFamilyIndex = g->family};
    vk_check(vkCreateDescriptorPool(g->device, &sets, NULL, &g->sets), "vkCreateDescriptorPool");
    vk_check(vkCreateCommandPool(g->device, &commands, NULL, &g->commands), "vkCreateCommandPool");
}

/* vkattn gets no queue: what it records is submitted here, with everything else. */
static void import_device(gpu *g, uint32_t api_version) {
    vka_import_desc desc = {.get_instance_proc_addr = vkGetInstanceProcAddr,
                            .instance = g->instance,
                            .api_version = api_version,
                            .physical_device = g->physical,
                            .device = g->device,
                            .queue_family = g->family,
                            .enabled = g->enabled,
                            .log = {.fn = log_line}};
    check(vka_device_import(&desc, &g->attention));
}

void gpu_open(gpu *g, validation *v, const char *const *extensions, uint32_t count, surface_maker make, void *window) {
    const uint32_t api_version = VK_API_VERSION_1_1; /* the least that vkattn works with */
    *g = (gpu){.layer = v};
    VkApplicationInfo app = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .pApplicationName = program_name, .apiVersion = api_version};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                 .pApplicationInfo = &app,
                                 .enabledExtensionCount = count,
                                 .ppEnabledExtensionNames = extensions};
    vk_check(validation_create_instance(v, &info, &g->instance), "vkCreateInstance");
    if (!make(window, g->instance, &g->surface)) {
        fail("the window has no surface for Vulkan");
    }
    choose_device(g, api_version);
    create_device(g);
    create_layouts(g);
    create_pools(g);
    import_device(g, api_version);
}

void gpu_close(gpu *g) {
    vka_device_destroy(&g->attention);
    vkDestroyCommandPool(g->device, g->commands, NULL);
    vkDestroyDescriptorPool(g->device, g->sets, NULL);
    vkDestroyPipelineLayout(g->device, g->layout, NULL);
    vkDestroyDescriptorSetLayout(g->device, g->set_layout, NULL);
    vkDestroyDevice(g->device, NULL);
    vkDestroySurfaceKHR(g->instance, g->surface, NULL);
    validation_destroy_instance(g->layer, g->instance);
}

/* ---- sets, barriers -----------------------------------------------------------------------------------------------
 */

VkDescriptorSet set_create(const gpu *g, const VkBuffer *buffers, uint32_t count) {
    VkDescriptorSet set;
    VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                        .descriptorPool = g->sets,
                                        .descriptorSetCount = 1,
                                        .pSetLayouts = &g->set_layout};
    vk_check(vkAllocateDescriptorSets(g->device, &info, &set), "vkAllocateDescriptorSets");
    for (uint32_t i = 0; i < count; i++) {
        VkDescriptorBufferInfo buffer = {buffers[i], 0, VK_WHOLE_SIZE};
        VkWriteDescriptorSet write = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                      .dstSet = set,
                                      .dstBinding = i,
                                      .descriptorCount = 1,
                                      .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                      .pBufferInfo = &buffer};
        vkUpdateDescriptorSets(g->device, 1, &write, 0, NULL);
    }
    return set;
}

void wait_for_shaders(VkCommandBuffer commands, VkPipelineStageFlags before, VkPipelineStageFlags after) {
    VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                               .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                               .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT};
    vkCmdPipelineBarrier(commands, before, after, 0, 1, &barrier, 0, NULL, 0, NULL);
}
