/* Optional features as Vulkan's feature structures.
 * SPDX-License-Identifier: MIT */
#include "vk/vk.h"

#include <assert.h>
#include <string.h>

typedef struct structures {
    VkPhysicalDevice16BitStorageFeatures storage16;
    VkPhysicalDeviceShaderFloat16Int8Features float16;
    VkPhysicalDeviceSubgroupSizeControlFeatures sizes;
    VkPhysicalDeviceVulkanMemoryModelFeatures memory_model;
    VkPhysicalDeviceMaintenance4Features maintenance4;
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix;
    VkPhysicalDeviceCooperativeMatrix2FeaturesNV matrix2;
    VkPhysicalDeviceBufferDeviceAddressFeatures addresses;
    VkPhysicalDeviceShaderMixedFloatDotProductFeaturesVALVE mixed_dot;
    VkPhysicalDeviceTimelineSemaphoreFeatures timeline;
#ifdef VK_KHR_shader_bfloat16
    VkPhysicalDeviceShaderBfloat16FeaturesKHR bf16;
#endif
#ifdef VK_EXT_cooperative_matrix_maintenance1
    VkPhysicalDeviceCooperativeMatrixMaintenance1FeaturesEXT maintenance1;
#endif
} structures;

static_assert(sizeof(structures) <= sizeof(vka_vulkan_feature_chain), "vka_vulkan_feature_chain is too small");

static void chain_if(bool wanted, const void **head, void *structure) {
    if (!wanted)
        return;
    ((VkBaseInStructure *)structure)->pNext = *head;
    *head = structure;
}

static bool wants_matrix2(const vka_vulkan_optional_features *w) {
    return w->matrix_workgroup_scope || w->matrix_flexible_dimensions || w->matrix_reductions ||
           w->matrix_conversions || w->matrix_per_element_operations || w->matrix_tensor_addressing ||
           w->matrix_block_loads;
}

const void *vka_vulkan_features(const vka_vulkan_optional_features *w, vka_vulkan_feature_chain *chain,
                                const void *next) {
    if (!w || !chain)
        return next;
    structures f = {
        .storage16 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES,
                      .storageBuffer16BitAccess = w->storage_16bit},
        .float16 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES,
                    .shaderFloat16 = w->shader_float16},
        .sizes = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
                  .subgroupSizeControl = w->subgroup_size_control,
                  .computeFullSubgroups = w->compute_full_subgroups},
        .memory_model = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES,
                         .vulkanMemoryModel = w->vulkan_memory_model,
                         .vulkanMemoryModelDeviceScope = w->vulkan_memory_model},
        .maintenance4 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES,
                         .maintenance4 = w->maintenance4},
        .matrix = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
                   .cooperativeMatrix = w->cooperative_matrix},
        .matrix2 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV,
                    .cooperativeMatrixWorkgroupScope = w->matrix_workgroup_scope,
                    .cooperativeMatrixFlexibleDimensions = w->matrix_flexible_dimensions,
                    .cooperativeMatrixReductions = w->matrix_reductions,
                    .cooperativeMatrixConversions = w->matrix_conversions,
                    .cooperativeMatrixPerElementOperations = w->matrix_per_element_operations,
                    .cooperativeMatrixTensorAddressing = w->matrix_tensor_addressing,
                    .cooperativeMatrixBlockLoads = w->matrix_block_loads},
        .addresses = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
                      .bufferDeviceAddress = w->buffer_device_address},
        .mixed_dot = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_MIXED_FLOAT_DOT_PRODUCT_FEATURES_VALVE,
                      .shaderMixedFloatDotProductFloat16AccFloat32 = w->mixed_float_dot},
        .timeline = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES,
                     .timelineSemaphore = w->timeline_semaphore},
#ifdef VK_KHR_shader_bfloat16
        .bf16 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_BFLOAT16_FEATURES_KHR,
                 .shaderBFloat16Type = w->shader_bfloat16,
                 .shaderBFloat16CooperativeMatrix = w->matrix_bfloat16},
#endif
#ifdef VK_EXT_cooperative_matrix_maintenance1
        .maintenance1 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_MAINTENANCE_1_FEATURES_EXT,
                         .cooperativeMatrixReductions = w->matrix_maintenance1,
                         .cooperativeMatrixConversions = w->matrix_maintenance1,
                         .cooperativeMatrixPerElementOperations = w->matrix_maintenance1},
#endif
    };
    structures *out = (structures *)chain;
    memcpy(out, &f, sizeof f);
    chain_if(w->storage_16bit, &next, &out->storage16);
    chain_if(w->shader_float16, &next, &out->float16);
    chain_if(w->subgroup_size_control || w->compute_full_subgroups, &next, &out->sizes);
    chain_if(w->vulkan_memory_model, &next, &out->memory_model);
    chain_if(w->maintenance4, &next, &out->maintenance4);
    chain_if(w->cooperative_matrix, &next, &out->matrix);
    chain_if(wants_matrix2(w), &next, &out->matrix2);
    chain_if(w->buffer_device_address, &next, &out->addresses);
    chain_if(w->mixed_float_dot, &next, &out->mixed_dot);
    chain_if(w->timeline_semaphore, &next, &out->timeline);
#ifdef VK_KHR_shader_bfloat16
    chain_if(w->shader_bfloat16 || w->matrix_bfloat16, &next, &out->bf16);
#endif
#ifdef VK_EXT_cooperative_matrix_maintenance1
    chain_if(w->matrix_maintenance1, &next, &out->maintenance1);
#endif
    return next;
}
