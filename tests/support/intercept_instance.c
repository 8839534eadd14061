/* SPDX-License-Identifier: MIT */
#include "intercept_instance.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "intercept.h"
#include "system.h"

#define LAYER         "VK_LAYER_KHRONOS_validation"
#define MAX_NAMES     32
#define MAX_INSTANCES 8

static struct {
    VkInstance instance;
    VkDebugUtilsMessengerEXT messenger;
} messengers[MAX_INSTANCES];

static atomic_uint violations;

uint32_t intercept_violations(void) {
    return violations;
}

void intercept_forgive(void) {
    violations = 0;
}

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                 VkDebugUtilsMessageTypeFlagsEXT types,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data, void *user) {
    (void)severity, (void)types, (void)user;
    const char *id = data->pMessageIdName ? data->pMessageIdName : "";
    fprintf(stderr, "VALIDATION %s: %s\n", id, data->pMessage);
    /* What the layer says about its own settings and files is not about us. */
    if (strncmp(id, "VALIDATION-SETTINGS", 19) != 0 && strncmp(id, "WARNING-", 8) != 0) {
        violations++;
    }
    return VK_FALSE;
}

static const VkDebugUtilsMessengerCreateInfoEXT messenger_info = {
    .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
    .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
    .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
    .pfnUserCallback = on_message,
};

bool intercept_instance_has_layer(PFN_vkGetInstanceProcAddr gipa) {
    PFN_vkEnumerateInstanceLayerProperties enumerate =
        (PFN_vkEnumerateInstanceLayerProperties)gipa(NULL, "vkEnumerateInstanceLayerProperties");
    uint32_t count = 0;
    bool found = false;
    if (!enumerate || enumerate(&count, NULL) != VK_SUCCESS || !count) {
        return false;
    }
    VkLayerProperties *layers = calloc(count, sizeof *layers);
    if (layers && enumerate(&count, layers) >= VK_SUCCESS) {
        for (uint32_t i = 0; i < count; i++) {
            found = found || !strcmp(layers[i].layerName, LAYER);
        }
    }
    free(layers);
    return found;
}

/* The layer's own extension: without it settings come from the environment alone. */
static bool layer_has_features(PFN_vkGetInstanceProcAddr gipa) {
    PFN_vkEnumerateInstanceExtensionProperties enumerate =
        (PFN_vkEnumerateInstanceExtensionProperties)gipa(NULL, "vkEnumerateInstanceExtensionProperties");
    VkExtensionProperties extensions[MAX_NAMES];
    uint32_t count = MAX_NAMES;
    if (enumerate(LAYER, &count, extensions) < VK_SUCCESS) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!strcmp(extensions[i].extensionName, VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME)) {
            return true;
        }
    }
    return false;
}

static void set_default(const char *name, const char *value) {
    if (!getenv(name)) {
        system_set_variable(name, value);
    }
}

static void set_environment(bool gpu_assisted) {
    set_default("VK_LAYER_VALIDATE_SYNC", gpu_assisted ? "0" : "1");
    set_default("VK_LAYER_SYNCVAL_SHADER_ACCESSES_HEURISTIC", "1");
    if (gpu_assisted) {
        set_default("VK_LAYER_GPUAV_ENABLE", "1");
    }
}

static uint32_t append(const char **names, uint32_t count, const char *const *more, uint32_t more_count) {
    for (uint32_t i = 0; i < more_count && count < MAX_NAMES; i++) {
        bool known = false;
        for (uint32_t j = 0; j < count; j++) {
            known = known || !strcmp(names[j], more[i]);
        }
        if (!known) {
            names[count++] = more[i];
        }
    }
    return count;
}

static void watch(PFN_vkGetInstanceProcAddr gipa, VkInstance instance) {
    PFN_vkCreateDebugUtilsMessengerEXT create =
        (PFN_vkCreateDebugUtilsMessengerEXT)gipa(instance, "vkCreateDebugUtilsMessengerEXT");
    for (int i = 0; i < MAX_INSTANCES && create; i++) {
        if (!messengers[i].instance) {
            messengers[i].instance = instance;
            create(instance, &messenger_info, NULL, &messengers[i].messenger);
            return;
        }
    }
}

VkResult intercept_instance_create(PFN_vkGetInstanceProcAddr gipa, const VkInstanceCreateInfo *info,
                                   const VkAllocationCallbacks *allocator, VkInstance *instance) {
    PFN_vkCreateInstance create = (PFN_vkCreateInstance)gipa(NULL, "vkCreateInstance");
    if (!intercept_instance_has_layer(gipa)) {
        return create(info, allocator, instance);
    }
    const char *gpu_env = getenv("VKATTN_TEST_GPUAV");
    bool gpu = gpu_env && !strcmp(gpu_env, "1"), has_features = layer_has_features(gipa);
    set_environment(gpu);
    VkInstanceCreateInfo ours = *info;
    const char *layers[MAX_NAMES], *extensions[MAX_NAMES], *layer = LAYER;
    const char *wanted[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME, VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME};
    ours.enabledLayerCount = append(layers, append(layers, 0, &layer, 1), info->ppEnabledLayerNames, //
                                    info->enabledLayerCount);
    ours.enabledExtensionCount = append(extensions, append(extensions, 0, wanted, has_features ? 2 : 1),
                                        info->ppEnabledExtensionNames, info->enabledExtensionCount);
    ours.ppEnabledLayerNames = layers;
    ours.ppEnabledExtensionNames = extensions;
    VkDebugUtilsMessengerCreateInfoEXT messenger = messenger_info;
    messenger.pNext = info->pNext;
    VkValidationFeatureEnableEXT enables[] = {VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
    if (gpu) {
        enables[0] = VK_VALIDATION_FEATURE_ENABLE_GPU_ASSISTED_EXT;
    }
    VkValidationFeaturesEXT features = {.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                        .pNext = &messenger,
                                        .enabledValidationFeatureCount = 1,
                                        .pEnabledValidationFeatures = enables};
    ours.pNext = has_features ? (const void *)&features : (const void *)&messenger;
    VkResult result = create(&ours, allocator, instance);
    if (result == VK_SUCCESS) {
        watch(gipa, *instance);
    }
    return result;
}

void intercept_instance_destroy(PFN_vkGetInstanceProcAddr gipa, VkInstance instance,
                                const VkAllocationCallbacks *allocator) {
    if (!instance) {
        return;
    }
    for (int i = 0; i < MAX_INSTANCES; i++) {
        if (messengers[i].instance == instance) {
            PFN_vkDestroyDebugUtilsMessengerEXT destroy =
                (PFN_vkDestroyDebugUtilsMessengerEXT)gipa(instance, "vkDestroyDebugUtilsMessengerEXT");
            destroy(instance, messengers[i].messenger, NULL);
            messengers[i].instance = NULL;
        }
    }
    ((PFN_vkDestroyInstance)gipa(instance, "vkDestroyInstance"))(instance, allocator);
}
