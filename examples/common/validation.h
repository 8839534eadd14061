/* The validation layer in an app's own instance, where it is installed. For programs with volk.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_VALIDATION_H
#define COMMON_VALIDATION_H

#ifndef VK_NO_PROTOTYPES
#    define VK_NO_PROTOTYPES
#endif
#include <stdbool.h>
#include <volk.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Must not move: the layer holds a pointer to it. */
typedef struct validation {
    bool on;
    VkDebugUtilsMessengerEXT messenger;
    uint32_t complaints; /* so far, each of which is on stderr */
} validation;

/* vkCreateInstance, with the layer and synchronization validation if it is installed, and volkLoadInstance. `info` has
 * no pNext and no layers, and at most 16 extensions. Calls may follow one another: complaints add up. */
VkResult validation_create_instance(validation *v, const VkInstanceCreateInfo *info, VkInstance *instance);
/* Destroys it, with what belongs to it here. */
void validation_destroy_instance(validation *v, VkInstance instance);

#ifdef __cplusplus
}
#endif

#endif
