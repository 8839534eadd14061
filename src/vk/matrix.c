/* Cooperative matrices of a physical device: VK_KHR_cooperative_matrix, also of VK_KHR_shader_bfloat16's type,
 * VK_EXT_cooperative_matrix_maintenance1 and VK_NV_cooperative_matrix2.
 * SPDX-License-Identifier: MIT */
#include "vk/vk.h"

#include <string.h>

#include "spirv.h"

/* Elements by elements of a type, summed in f32. */
#define IS_OURS(p, type, scope_)                                                                                       \
    ((p).AType == (type) && (p).BType == (type) && (p).CType == VK_COMPONENT_TYPE_FLOAT32_KHR &&                       \
     (p).ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR && !(p).saturatingAccumulation && (p).scope == scope_)

/* More entries than any driver lists; what lies beyond is not looked at. */
#define MAX_LISTED 128

static const struct {
    VkComponentTypeKHR type;
    vka_dtype dtype;
} types[] = {
    {VK_COMPONENT_TYPE_FLOAT16_KHR, VKA_F16},
#ifdef VK_KHR_shader_bfloat16
    {VK_COMPONENT_TYPE_BFLOAT16_KHR, VKA_BF16},
#endif
};

static void read_shapes(const vka__instance *in, VkPhysicalDevice handle, const vka__matrix_offer *offer,
                        vka_device_caps *caps) {
    PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR get =
        (PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)in->get_proc_addr(
            in->handle, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    VkCooperativeMatrixPropertiesKHR list[MAX_LISTED];
    uint32_t count = MAX_LISTED;
    for (uint32_t i = 0; i < MAX_LISTED; ++i)
        list[i] = (VkCooperativeMatrixPropertiesKHR){.sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR};
    VkResult result = get ? get(handle, &count, list) : VK_ERROR_UNKNOWN;
    if (result != VK_SUCCESS && result != VK_INCOMPLETE)
        return;
    for (uint32_t i = 0; i < count && caps->matrix_shape_count < VKA_MAX_MATRIX_SHAPES; ++i)
        for (uint32_t t = 0; t < sizeof types / sizeof *types; ++t)
            if (IS_OURS(list[i], types[t].type, VK_SCOPE_SUBGROUP_KHR) &&
                (types[t].dtype != VKA_F16 || offer->nearest_f16))
                caps->matrix_shapes[caps->matrix_shape_count++] =
                    (vka_matrix_shape){list[i].MSize, list[i].NSize, list[i].KSize, types[t].dtype};
}

static void read_grains(const vka__instance *in, VkPhysicalDevice handle, vka_device_caps *caps) {
    PFN_vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV get =
        (PFN_vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV)in->get_proc_addr(
            in->handle, "vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV");
    VkCooperativeMatrixFlexibleDimensionsPropertiesNV list[MAX_LISTED];
    uint32_t count = MAX_LISTED;
    for (uint32_t i = 0; i < MAX_LISTED; ++i)
        list[i] = (VkCooperativeMatrixFlexibleDimensionsPropertiesNV){
            .sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_FLEXIBLE_DIMENSIONS_PROPERTIES_NV};
    VkResult result = get ? get(handle, &count, list) : VK_ERROR_UNKNOWN;
    if (result != VK_SUCCESS && result != VK_INCOMPLETE)
        return;
    for (uint32_t i = 0; i < count; ++i) {
        vka_matrix_shape grain = {list[i].MGranularity, list[i].NGranularity, list[i].KGranularity, VKA_F16};
        if (IS_OURS(list[i], VK_COMPONENT_TYPE_FLOAT16_KHR, VK_SCOPE_SUBGROUP_KHR) && !caps->matrix_grain.m)
            caps->matrix_grain = grain;
        /* The smallest workgroup: its matrices leave the most registers to each invocation. */
        uint32_t size = list[i].workgroupInvocations;
        if (IS_OURS(list[i], VK_COMPONENT_TYPE_FLOAT16_KHR, VK_SCOPE_WORKGROUP_KHR) && size >= 128 &&
            (!caps->matrix_workgroup_grain.m || size < caps->matrix_workgroup_size)) {
            caps->matrix_workgroup_grain = grain;
            caps->matrix_workgroup_size = size;
        }
    }
}

static void query_bf16(const vka__instance *in, VkPhysicalDevice handle, vka_vulkan_optional_features *optional) {
#ifdef VK_KHR_shader_bfloat16
    VkPhysicalDeviceShaderBfloat16FeaturesKHR features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_BFLOAT16_FEATURES_KHR};
    VkPhysicalDeviceFeatures2 base = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &features};
    in->GetPhysicalDeviceFeatures2(handle, &base);
    optional->shader_bfloat16 = features.shaderBFloat16Type;
    optional->matrix_bfloat16 = features.shaderBFloat16CooperativeMatrix;
#else
    (void)in, (void)handle, (void)optional;
#endif
}

static void query_maintenance1(const vka__instance *in, VkPhysicalDevice handle,
                               vka_vulkan_optional_features *optional) {
#ifdef VK_EXT_cooperative_matrix_maintenance1
    VkPhysicalDeviceCooperativeMatrixMaintenance1FeaturesEXT features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_MAINTENANCE_1_FEATURES_EXT};
    VkPhysicalDeviceFeatures2 base = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &features};
    in->GetPhysicalDeviceFeatures2(handle, &base);
    optional->matrix_maintenance1 = features.cooperativeMatrixReductions && features.cooperativeMatrixConversions &&
                                    features.cooperativeMatrixPerElementOperations;
#else
    (void)in, (void)handle, (void)optional;
#endif
}

void vka__matrix_query(const vka__instance *in, VkPhysicalDevice handle, const vka__matrix_offer *offer,
                       vka_device_caps *caps, vka_vulkan_optional_features *optional) {
    VkPhysicalDeviceBufferDeviceAddressFeatures addresses = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES};
    VkPhysicalDeviceCooperativeMatrix2FeaturesNV features2 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV,
        .pNext = caps->api_version >= VK_API_VERSION_1_2 ? &addresses : NULL};
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
        .pNext = offer->second ? &features2 : NULL};
    VkPhysicalDeviceFeatures2 base = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &features};
    VkPhysicalDeviceCooperativeMatrixPropertiesKHR properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_PROPERTIES_KHR};
    VkPhysicalDeviceCooperativeMatrix2PropertiesNV properties_nv = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_PROPERTIES_NV, .pNext = &properties};
    VkPhysicalDeviceProperties2 properties2 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                               .pNext = offer->second ? (void *)&properties_nv : (void *)&properties};
    in->GetPhysicalDeviceFeatures2(handle, &base);
    in->GetPhysicalDeviceProperties2(handle, &properties2);
    /* A driver may list the extension, and not the feature. */
    if (!features.cooperativeMatrix || !(properties.cooperativeMatrixSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT))
        return;
    optional->cooperative_matrix = true;
    optional->matrix_workgroup_scope = features2.cooperativeMatrixWorkgroupScope;
    optional->matrix_flexible_dimensions = features2.cooperativeMatrixFlexibleDimensions;
    optional->matrix_reductions = features2.cooperativeMatrixReductions;
    optional->matrix_conversions = features2.cooperativeMatrixConversions;
    optional->matrix_per_element_operations = features2.cooperativeMatrixPerElementOperations;
    optional->matrix_tensor_addressing = features2.cooperativeMatrixTensorAddressing;
    optional->matrix_block_loads = features2.cooperativeMatrixBlockLoads && addresses.bufferDeviceAddress;
    optional->buffer_device_address = optional->matrix_block_loads;
    if (offer->bf16)
        query_bf16(in, handle, optional);
    if (offer->maintenance1)
        query_maintenance1(in, handle, optional);
    read_shapes(in, handle, offer, caps);
    if (optional->matrix_flexible_dimensions)
        read_grains(in, handle, caps);
    caps->matrix_reserved_bytes = properties_nv.cooperativeMatrixWorkgroupScopeReservedSharedMemory;
}

static bool is_compiled(vka__kernel kernel) {
    return vka__spirv_table[kernel].words;
}

/* SPIR-V 1.6, which they need, sets the size of workgroups in a way that maintenance4 allows. */
static bool has_nv_functions(const vka_vulkan_optional_features *w, const vka_device_caps *caps) {
    return w->maintenance4 && w->matrix_reductions && w->matrix_conversions && w->matrix_per_element_operations &&
           caps->api_version >= VK_API_VERSION_1_3;
}

void vka__matrix_restrict(const vka_vulkan_optional_features *w, vka_device_caps *caps) {
    bool matrices = w->cooperative_matrix && w->vulkan_memory_model;
    bool f16 = matrices && w->shader_float16 && w->storage_16bit && is_compiled(VKA__attention_coopmat_f16);
    bool bf16 = matrices && w->shader_bfloat16 && w->matrix_bfloat16 && is_compiled(VKA__attention_coopmat_bf16);
    uint32_t kept = 0, kept_f16 = 0;
    for (uint32_t i = 0; i < caps->matrix_shape_count; ++i) {
        bool is_f16 = caps->matrix_shapes[i].dtype == VKA_F16;
        if (is_f16 ? f16 : bf16)
            caps->matrix_shapes[kept++] = caps->matrix_shapes[i];
        kept_f16 += is_f16 && f16;
    }
    caps->matrix_shape_count = kept;
    bool flexible = kept_f16 && w->matrix_flexible_dimensions, nv = has_nv_functions(w, caps);
    if (!flexible)
        caps->matrix_grain = (vka_matrix_shape){0};
    caps->matrix_functions = VKA_MATRIX_FUNCTIONS_NONE;
    if (kept_f16 && w->matrix_maintenance1 && is_compiled(VKA__attention_coopmat_registers_ext))
        caps->matrix_functions = VKA_MATRIX_FUNCTIONS_EXT;
    else if (kept_f16 && nv && is_compiled(VKA__attention_coopmat_registers_nv))
        caps->matrix_functions = VKA_MATRIX_FUNCTIONS_NV;
    caps->matrix_operations = flexible && nv && is_compiled(VKA__attention_coopmat2);
    if (!caps->matrix_operations || !w->matrix_workgroup_scope || !w->matrix_tensor_addressing) {
        caps->matrix_workgroup_grain = (vka_matrix_shape){0};
        caps->matrix_workgroup_size = caps->matrix_reserved_bytes = 0;
    }
    caps->matrix_block_loads = caps->matrix_workgroup_grain.m && w->matrix_block_loads && w->buffer_device_address;
}

static bool can_do(const vka_device_caps *caps, const vka_matrix_shape *s) {
    const vka_matrix_shape *grain = &caps->matrix_grain;
    if (grain->m && s->dtype == grain->dtype && s->m && s->n && s->k && s->m % grain->m == 0 && s->n % grain->n == 0 &&
        s->k % grain->k == 0)
        return true;
    for (uint32_t i = 0; i < caps->matrix_shape_count; ++i)
        if (!memcmp(&caps->matrix_shapes[i], s, sizeof *s))
            return true;
    return false;
}

void vka__matrix_narrow(vka_device_caps *caps, const vka_device_caps *real) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < caps->matrix_shape_count && i < VKA_MAX_MATRIX_SHAPES; ++i)
        if (can_do(real, &caps->matrix_shapes[i]))
            caps->matrix_shapes[kept++] = caps->matrix_shapes[i];
    caps->matrix_shape_count = kept;
    caps->matrix_grain = caps->matrix_grain.m ? real->matrix_grain : (vka_matrix_shape){0};
    caps->matrix_operations = caps->matrix_operations && real->matrix_operations;
    if (caps->matrix_functions)
        caps->matrix_functions = real->matrix_functions;
    if (!caps->matrix_workgroup_grain.m || !caps->matrix_operations) {
        caps->matrix_workgroup_grain = (vka_matrix_shape){0};
        caps->matrix_workgroup_size = 0;
    } else {
        caps->matrix_workgroup_grain = real->matrix_workgroup_grain;
        caps->matrix_workgroup_size = real->matrix_workgroup_size;
    }
    caps->matrix_reserved_bytes = real->matrix_reserved_bytes;
    caps->matrix_block_loads = caps->matrix_block_loads && caps->matrix_workgroup_grain.m && real->matrix_block_loads;
}
