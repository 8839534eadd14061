/* Instances with the validation layer and a messenger that counts what it says.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_INTERCEPT_INSTANCE_H
#define VKATTN_TEST_INTERCEPT_INSTANCE_H

#include <stdbool.h>

#include <vulkan/vulkan_core.h>

bool intercept_instance_has_layer(PFN_vkGetInstanceProcAddr gipa);
VkResult intercept_instance_create(PFN_vkGetInstanceProcAddr gipa, const VkInstanceCreateInfo *info,
                                   const VkAllocationCallbacks *allocator, VkInstance *instance);
void intercept_instance_destroy(PFN_vkGetInstanceProcAddr gipa, VkInstance instance,
                                const VkAllocationCallbacks *allocator);

#endif
