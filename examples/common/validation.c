/* SPDX-License-Identifier: MIT */
#include "common/validation.h"

#include <stdio.h>
#include <string.h>

#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"

enum { MAX_EXTENSIONS = 16 };

static VKAPI_ATTR VkBool32 VKAPI_CALL complain(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                               VkDebugUtilsMessageTypeFlagsEXT types,
                                               const VkDebugUtilsMessengerCallbackDataEXT *data, void *user) {
    (void)severity, (void)types;
    ((validation *)user)->complaints++;
    fprintf(stderr, "validation: %s\n", data->pMessage);
    return VK_FALSE;
}

static bool has_validation(void) {
    VkLayerProperties layers[64];
    uint32_t count = 64;
    VkResult result = vkEnumerateInstanceLayerProperties(&count, layers);
    for (uint32_t i = 0; (result == VK_SUCCESS || result == VK_INCOMPLETE) && i < count; i++) {
        if (strcmp(layers[i].layerName, VALIDATION_LAYER) == 0) {
            return true;
        }
    }
    return false;
}

static bool layer_has(const char *extension) {
    VkExtensionProperties extensions[64];
    uint32_t count = 64;
    VkResult result = vkEnumerateInstanceExtensionProperties(VALIDATION_LAYER, &count, extensions);
    for (uint32_t i = 0; (result == VK_SUCCESS || result == VK_INCOMPLETE) && i < count; i++) {
        if (strcmp(extensions[i].extensionName, extension) == 0) {
            return true;
        }
    }
    return false;
}

static VkDebugUtilsMessengerCreateInfoEXT messenger_info(validation *v) {
    return (VkDebugUtilsMessengerCreateInfoEXT){.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
                                                .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                                                                   VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
                                                .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
                                                .pfnUserCallback = complain,
                                                .pUserData = v};
}

/* The layer is to watch for hazards between the accesses of shaders too. Old layers always do when synchronization
 * validation is on; newer ones have a setting for it. */
static VkResult create_validated(validation *v, VkInstanceCreateInfo info, VkInstance *instance) {
    VkBool32 on = VK_TRUE;
    VkLayerSettingEXT setting = {VALIDATION_LAYER, "syncval_shader_accesses_heuristic",
                                 VK_LAYER_SETTING_TYPE_BOOL32_EXT, 1, &on};
    VkLayerSettingsCreateInfoEXT settings = {
        .sType = VK_STRUCTURE_TYPE_LAYER_SETTINGS_CREATE_INFO_EXT, .settingCount = 1, .pSettings = &setting};
    VkValidationFeatureEnableEXT sync = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
    VkValidationFeaturesEXT features = {.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                        .enabledValidationFeatureCount = 1,
                                        .pEnabledValidationFeatures = &sync};
    VkDebugUtilsMessengerCreateInfoEXT messenger = messenger_info(v);
    const char *extensions[MAX_EXTENSIONS + 3];
    uint32_t count = info.enabledExtensionCount;
    for (uint32_t i = 0; i < count; i++) {
        extensions[i] = info.ppEnabledExtensionNames[i];
    }
    extensions[count++] = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    extensions[count++] = VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME;
    if (layer_has(VK_EXT_LAYER_SETTINGS_EXTENSION_NAME)) {
        extensions[count++] = VK_EXT_LAYER_SETTINGS_EXTENSION_NAME;
        features.pNext = &settings;
    }
    messenger.pNext = &features;
    info.pNext = &messenger;
    info.enabledLayerCount = 1;
    info.ppEnabledLayerNames = (const char *const[]){VALIDATION_LAYER};
    info.enabledExtensionCount = count;
    info.ppEnabledExtensionNames = extensions;
    return vkCreateInstance(&info, NULL, instance);
}

VkResult validation_create_instance(validation *v, const VkInstanceCreateInfo *info, VkInstance *instance) {
    v->on = has_validation() && info->enabledExtensionCount <= MAX_EXTENSIONS;
    v->messenger = VK_NULL_HANDLE;
    VkResult result = v->on ? create_validated(v, *info, instance) : vkCreateInstance(info, NULL, instance);
    if (result != VK_SUCCESS) {
        return result;
    }
    volkLoadInstance(*instance);
    if (v->on) {
        VkDebugUtilsMessengerCreateInfoEXT messenger = messenger_info(v);
        result = vkCreateDebugUtilsMessengerEXT(*instance, &messenger, NULL, &v->messenger);
    }
    return result;
}

void validation_destroy_instance(validation *v, VkInstance instance) {
    if (v->messenger != VK_NULL_HANDLE) {
        vkDestroyDebugUtilsMessengerEXT(instance, v->messenger, NULL);
    }
    v->messenger = VK_NULL_HANDLE;
    vkDestroyInstance(instance, NULL);
}
