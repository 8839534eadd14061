/* What an app with Vulkan has anyway: instance, device, sets, commands; memory and pipelines are in common/vulkan.h.
 * Nothing here knows vkattn but app_open, which asks it what to enable. SPDX-License-Identifier: MIT */
#ifndef IMPORT_APP_H
#define IMPORT_APP_H

#include "common/validation.h"
#include "common/vulkan.h"

#include <vkattn/vulkan.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct app {
    VkInstance instance;
    uint32_t api_version;
    validation layer; /* what it complained about                                              */
    VkPhysicalDevice physical;
    uint32_t family; /* of the queue                                                          */
    VkDevice device;
    VkQueue queue;
    VkCommandPool pool;
    VkDescriptorSetLayout set_layout; /* two storage buffers                                    */
    VkDescriptorPool sets;
    VkPipelineLayout layout;              /* that set and a struct push                             */
    vka_vulkan_optional_features enabled; /* what of vkattn's optional features the device was created with    */
} app;

/* Push constants of the app's shaders. */
typedef struct push {
    uint32_t first, count, frame;
} push;

/* Prints and exits: an example has nothing better to do on errors. */
void vka_check(vka_status status, const char *what);

/* The app must not move: the validation layer holds a pointer to it. */
void app_open(app *a);
void app_close(app *a);

VkDescriptorSet set_create(const app *a, const memory *first, const memory *second);
VkCommandBuffer commands_create(const app *a);
VkFence fence_create(const app *a);

#ifdef __cplusplus
}
#endif

#endif
