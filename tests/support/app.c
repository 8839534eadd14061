/* SPDX-License-Identifier: MIT */
#include "app.h"

#include <criterion/criterion.h>
#include <string.h>

#include "intercept.h"

#define MUST(call) cr_assert_eq((call), VK_SUCCESS, "the test's own call fails: %s", #call)

static void create_instance(app *a) {
    PFN_vkCreateInstance create = (PFN_vkCreateInstance)intercept_get_instance_proc_addr(NULL, "vkCreateInstance");
    VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = a->api_version};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &application};
    MUST(create(&info, NULL, &a->instance));
#define X(name) a->name = (PFN_##name)intercept_get_instance_proc_addr(a->instance, #name);
    APP_INSTANCE_FUNCTIONS(X)
#undef X
}

/* The first device with compute; the library's own choice doesn't matter here. */
static void choose_device(app *a) {
    VkPhysicalDevice devices[16];
    uint32_t count = 16;
    cr_assert(a->vkEnumeratePhysicalDevices(a->instance, &count, devices) >= VK_SUCCESS);
    for (uint32_t i = 0; i < count; i++) {
        VkQueueFamilyProperties families[16];
        uint32_t family_count = 16;
        a->vkGetPhysicalDeviceQueueFamilyProperties(devices[i], &family_count, families);
        for (uint32_t f = 0; f < family_count; f++) {
            if (families[f].queueFlags & VK_QUEUE_COMPUTE_BIT) {
                a->physical = devices[i];
                a->family = f;
                return;
            }
        }
    }
    cr_skip_test("SKIP: no Vulkan device with compute");
}

static void create_device(app *a) {
    float priority = 1;
    VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                     .queueFamilyIndex = a->family,
                                     .queueCount = 1,
                                     .pQueuePriorities = &priority};
    const VkPhysicalDeviceFeatures core = {.shaderInt64 = a->enabled.shader_int64};
    vka_vulkan_feature_chain features;
    VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                               .pNext = vka_vulkan_features(&a->enabled, &features, NULL),
                               .queueCreateInfoCount = 1,
                               .pQueueCreateInfos = &queue,
                               .enabledExtensionCount = a->enabled.extension_count,
                               .ppEnabledExtensionNames = a->enabled.extensions,
                               .pEnabledFeatures = &core};
    MUST(a->vkCreateDevice(a->physical, &info, NULL, &a->device));
#define X(name) a->name = (PFN_##name)a->vkGetDeviceProcAddr(a->device, #name);
    APP_DEVICE_FUNCTIONS(X)
#undef X
    a->vkGetDeviceQueue(a->device, a->family, 0, &a->queue);
}

void app_open(app *a, uint32_t api_version, bool optional) {
    context_require_device();
    *a = (app){.api_version = api_version};
    create_instance(a);
    choose_device(a);
    if (optional) {
        EXPECT_OK(
            vka_vulkan_query(intercept_get_instance_proc_addr, a->instance, api_version, a->physical, &a->enabled));
        VkPhysicalDeviceFeatures core;
        a->vkGetPhysicalDeviceFeatures(a->physical, &core);
        a->enabled.shader_int64 = core.shaderInt64;
    }
    create_device(a);
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                    .queueFamilyIndex = a->family};
    MUST(a->vkCreateCommandPool(a->device, &pool, NULL, &a->pool));
    VkCommandBufferAllocateInfo buffer = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                          .commandPool = a->pool,
                                          .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                          .commandBufferCount = 1};
    MUST(a->vkAllocateCommandBuffers(a->device, &buffer, &a->cmd));
}

void app_close(app *a) {
    a->vkDestroyCommandPool(a->device, a->pool, NULL);
    a->vkDestroyDevice(a->device, NULL);
    a->vkDestroyInstance(a->instance, NULL);
    context_check("app");
}

vka_import_desc app_import(const app *a) {
    return (vka_import_desc){
        .get_instance_proc_addr = intercept_get_instance_proc_addr,
        .instance = a->instance,
        .api_version = a->api_version,
        .physical_device = a->physical,
        .device = a->device,
        .queue_family = a->family,
        .queue = a->queue,
        .enabled = a->enabled,
        .log = log_capture(),
        .allocator = allocator_counted(),
    };
}

void app_begin(app *a) {
    VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    MUST(a->vkBeginCommandBuffer(a->cmd, &info));
}

void app_submit_and_wait(app *a) {
    VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &a->cmd};
    MUST(a->vkEndCommandBuffer(a->cmd));
    MUST(a->vkQueueSubmit(a->queue, 1, &info, VK_NULL_HANDLE));
    MUST(a->vkQueueWaitIdle(a->queue));
}

void app_barrier(app *a) {
    VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                               .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
                               .dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT};
    a->vkCmdPipelineBarrier(a->cmd, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 1,
                            &barrier, 0, NULL, 0, NULL);
}

static uint32_t host_memory_type(const app *a, uint32_t allowed) {
    VkPhysicalDeviceMemoryProperties p;
    const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    a->vkGetPhysicalDeviceMemoryProperties(a->physical, &p);
    for (uint32_t i = 0; i < p.memoryTypeCount; i++) {
        if (allowed & 1u << i && (p.memoryTypes[i].propertyFlags & wanted) == wanted) {
            return i;
        }
    }
    cr_assert_fail("every device has coherent host memory");
    return 0;
}

app_buffer app_buffer_create(app *a, uint64_t size, VkBufferUsageFlags usage) {
    app_buffer b = {0};
    VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = size, .usage = usage};
    VkMemoryRequirements needs;
    MUST(a->vkCreateBuffer(a->device, &info, NULL, &b.handle));
    a->vkGetBufferMemoryRequirements(a->device, b.handle, &needs);
    VkMemoryAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                     .allocationSize = needs.size,
                                     .memoryTypeIndex = host_memory_type(a, needs.memoryTypeBits)};
    MUST(a->vkAllocateMemory(a->device, &allocate, NULL, &b.memory));
    MUST(a->vkBindBufferMemory(a->device, b.handle, b.memory, 0));
    MUST(a->vkMapMemory(a->device, b.memory, 0, VK_WHOLE_SIZE, 0, &b.mapped));
    return b;
}

void app_buffer_destroy(app *a, app_buffer *b) {
    a->vkDestroyBuffer(a->device, b->handle, NULL);
    a->vkFreeMemory(a->device, b->memory, NULL);
    *b = (app_buffer){0};
}
