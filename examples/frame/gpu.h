/* The Vulkan of a game: instance, device, one queue that draws, computes and presents, sets.
 * SPDX-License-Identifier: MIT */
#ifndef FRAME_GPU_H
#define FRAME_GPU_H

#include "common/validation.h"
#include "common/vulkan.h"

#include <vkattn/vulkan.h>

enum { IN_FLIGHT = 2, BINDINGS = 5 };

/* Push constants of all shaders: push.glsl. */
typedef struct push {
    uint32_t count, current;
    float shown, aspect;
    float hunter[2], pixels[2];
    uint32_t begins;
} push;

typedef struct gpu {
    validation *layer;
    VkInstance instance;
    VkSurfaceKHR surface;
    VkPhysicalDevice physical;
    uint32_t family;
    double tick; /* nanoseconds of a timestamp's unit; 0: the queue has none */
    VkDevice device;
    VkQueue queue;
    VkCommandPool commands;
    VkDescriptorPool sets;
    VkDescriptorSetLayout set_layout; /* BINDINGS storage buffers */
    VkPipelineLayout layout;          /* that set and a push      */
    vka_vulkan_optional_features enabled;
    vka_device *attention; /* vkattn's view of the device */
} gpu;

/* Makes a surface of the program's window; false: it can't. */
typedef bool (*surface_maker)(void *window, VkInstance instance, VkSurfaceKHR *surface);

/* `extensions`: those of instances that a window asks for. */
void gpu_open(gpu *g, validation *v, const char *const *extensions, uint32_t count, surface_maker make, void *window);
void gpu_close(gpu *g);

/* A set that shows these buffers from binding 0 on. */
VkDescriptorSet set_create(const gpu *g, const VkBuffer *buffers, uint32_t count);

/* What was written by shaders in the first stages is there for the second ones, which may write in their turn. */
void wait_for_shaders(VkCommandBuffer commands, VkPipelineStageFlags before, VkPipelineStageFlags after);

#endif
