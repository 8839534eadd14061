/* The Vulkan side's own structures. Only files under src/vk/ include this.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_VK_H
#define VKA_VK_H

#define VK_NO_PROTOTYPES
#include <volk.h>

#include <vkattn/vulkan.h>

#include "core/core.h"
#include "core/sync.h"
#include "op/tuning.h"
#include "vk/record.h"

/* Newer than the headers that we build with where Debian 13 is the system. */
#ifndef VK_VALVE_shader_mixed_float_dot_product
#    define VK_VALVE_SHADER_MIXED_FLOAT_DOT_PRODUCT_EXTENSION_NAME "VK_VALVE_shader_mixed_float_dot_product"
#    define VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_MIXED_FLOAT_DOT_PRODUCT_FEATURES_VALVE                            \
        ((VkStructureType)1000673000)
typedef struct VkPhysicalDeviceShaderMixedFloatDotProductFeaturesVALVE {
    VkStructureType sType;
    void *pNext;
    VkBool32 shaderMixedFloatDotProductFloat16AccFloat32;
    VkBool32 shaderMixedFloatDotProductFloat16AccFloat16;
    VkBool32 shaderMixedFloatDotProductBFloat16Acc;
    VkBool32 shaderMixedFloatDotProductFloat8AccFloat32;
} VkPhysicalDeviceShaderMixedFloatDotProductFeaturesVALVE;
#endif

typedef struct VmaAllocator_T *vka__vma;
typedef struct VmaAllocation_T *vka__vma_allocation;

/* Instance-level functions that the library calls: X(name without vk). */
#define VKA_INSTANCE_FUNCTIONS(X)                                                                                      \
    X(DestroyInstance)                                                                                                 \
    X(EnumeratePhysicalDevices)                                                                                        \
    X(GetPhysicalDeviceProperties)                                                                                     \
    X(GetPhysicalDeviceProperties2)                                                                                    \
    X(GetPhysicalDeviceFeatures2)                                                                                      \
    X(GetPhysicalDeviceMemoryProperties)                                                                               \
    X(GetPhysicalDeviceQueueFamilyProperties)                                                                          \
    X(EnumerateDeviceExtensionProperties)                                                                              \
    X(CreateDevice)                                                                                                    \
    X(GetDeviceProcAddr)

typedef struct vka__instance {
    PFN_vkGetInstanceProcAddr get_proc_addr;
    VkInstance handle;
    uint32_t api_version;
    bool owned;
    PFN_vkCmdBeginDebugUtilsLabelEXT CmdBeginDebugUtilsLabelEXT; /* both or none: no labels */
    PFN_vkCmdEndDebugUtilsLabelEXT CmdEndDebugUtilsLabelEXT;
#define X(name) PFN_vk##name name;
    VKA_INSTANCE_FUNCTIONS(X)
#undef X
} vka__instance;

/* What a physical device offers, before and after narrowing. */
typedef struct vka__physical {
    VkPhysicalDevice handle;
    vka_device_caps caps;
    vka_vulkan_optional_features optional;
    uint32_t queue_family; /* first with compute, without graphics where there is a choice */
    uint32_t uniform_align;
    uint64_t max_buffer; /* bytes of a buffer; UINT64_MAX where the driver sets no limit */
} vka__physical;

typedef struct vka__pipeline_cache vka__pipeline_cache;

struct vka_device {
    vka__context ctx; /* first, so that a device is a context */
    vka__instance instance;
    VkPhysicalDevice physical;
    VkDevice handle;
    bool owned;
    struct VolkDeviceTable vk;
    vka_device_caps caps;
    uint32_t uniform_align;
    uint64_t max_buffer;
    bool full_subgroups;     /* computeFullSubgroups is enabled */
    bool timeline_semaphore; /* timelineSemaphore is enabled    */
    uint32_t queue_family;
    VkQueue queue; /* VK_NULL_HANDLE: none was given */
    vka__mutex queue_mutex;
    void (*lock_queue)(void *user);
    void (*unlock_queue)(void *user);
    void *queue_user;
    double timestamp_period; /* nanoseconds of a tick */
    uint64_t timestamp_mask;

    vka__vma vma;
    vka__mutex memory_mutex;
    vka_memory_stats memory;
    int64_t children[VKA__CHILDREN]; /* that the app has; under memory_mutex */

    vka__tuning tuning;
    uint64_t tested; /* operations that a self-test went through, as bits of vka_operation */

    uint32_t binding_count; /* of the one set layout: less than VKA_MAX_BINDINGS on few devices */
    VkDescriptorSetLayout set_layout;
    VkDescriptorUpdateTemplate set_template; /* an array of VkDescriptorBufferInfo */
    VkPipelineLayout pipeline_layout;
    vka__pipeline_cache *pipelines;

    vka__mutex transfer_mutex; /* vka_buffer_write and _read */
    VkCommandPool transfer_pool;
    VkCommandBuffer transfer_cmd;
    VkFence transfer_fence;
    vka_buffer *transfer_staging;
    vka_buffer *transfer_buffer; /* the one that is copied from or to                            */
    bool transfer_busy;          /* a copy was submitted, and is not known to have completed     */
};

struct vka_buffer {
    vka_device *device;
    VkBuffer handle;
    vka__vma_allocation allocation; /* NULL: wrapped */
    uint64_t base;                  /* of a wrapped range within the VkBuffer */
    uint64_t size;                  /* as asked for                           */
    uint64_t bytes;                 /* as allocated                          */
    void *mapped;
    vka_memory memory;
    bool child; /* the app's, not a part of another object */
};

/* Turns a VkResult into a status; logs anything but success. */
vka_status vka__vk_status(const vka__context *ctx, VkResult result, const char *item, const char *call);

/* loader.c */
PFN_vkGetInstanceProcAddr vka__system_loader(void);
vka_status vka__instance_create(const vka__context *ctx, const char *item, PFN_vkGetInstanceProcAddr get_proc_addr,
                                bool debug_labels, vka__instance *instance);
vka_status vka__instance_import(const vka__context *ctx, const char *item, PFN_vkGetInstanceProcAddr get_proc_addr,
                                VkInstance handle, uint32_t api_version, vka__instance *instance);
/* Loads what puts labels around operations; false: VK_EXT_debug_utils is not enabled. */
bool vka__instance_load_labels(vka__instance *instance);
void vka__instance_destroy(vka__instance *instance);
void vka__load_device_table(const vka__instance *instance, VkDevice device, struct VolkDeviceTable *table);

/* physical.c: VKA_UNSUPPORTED (nothing logged, *why says it) when the library can't use the device. */
vka_status vka__physical_query(const vka__context *ctx, const vka__instance *instance, VkPhysicalDevice handle,
                               vka__physical *physical, const char **why);
/* Lowers what was not enabled, then what `narrowing` lowers. */
void vka__physical_restrict(vka__physical *physical, const vka_vulkan_optional_features *enabled,
                            vka__narrowing narrowing);

/* tuning.c: reads the device's part of a tuning record; only VKA_OUT_OF_MEMORY is an error. */
vka_status vka__tuning_load(vka_device *device, const char *item, const char *text, size_t size, const char *file);

/* blob.c: data that apps keep between runs, bound to a device and driver. */
#define VKA__BLOB_HEADER 64
uint64_t vka__fnv1a(uint64_t hash, const void *data, size_t size);
#define VKA__FNV1A UINT64_C(0xcbf29ce484222325)
/* Writes the header of `size` bytes that follow it. `magic` has eight characters, the last one 0. */
void vka__blob_seal(const vka_device *device, const char *magic, void *blob, size_t size);
/* What follows the header, or NULL: without a blob, or with a warning about `what`. */
const void *vka__blob_open(const vka_device *device, const char *item, const char *what, const char *magic,
                           const void *blob, size_t size, size_t *data_size);

/* matrix.c: what cooperative matrices a device has; what is left of them by what was enabled; what a narrower set of
 * capabilities may keep. */
typedef struct vka__matrix_offer {
    bool second;       /* VK_NV_cooperative_matrix2 is offered */
    bool maintenance1; /* VK_EXT_cooperative_matrix_maintenance1 is */
    bool bf16;         /* VK_KHR_shader_bfloat16 is */
    bool nearest_f16;  /* shaderRoundingModeRTEFloat16, without which there are no matrices of f16 */
} vka__matrix_offer;
void vka__matrix_query(const vka__instance *instance, VkPhysicalDevice handle, const vka__matrix_offer *offer,
                       vka_device_caps *caps, vka_vulkan_optional_features *optional);
void vka__matrix_restrict(const vka_vulkan_optional_features *enabled, vka_device_caps *caps);
void vka__matrix_narrow(vka_device_caps *caps, const vka_device_caps *real);

/* device.c: what creation and import have in common: an empty device, and everything from a VkDevice on. */
vka_device *vka__device_new(const vka__context *ctx, const char *item, vka_status *status);
vka_status vka__device_finish(vka_device *device, const char *item, const vka__physical *physical, const void *cache,
                              size_t cache_size);

/* vma.cpp */
VkResult vka__vma_create(const vka_device *device, vka__vma *vma);
void vka__vma_destroy(vka__vma vma);
VkResult vka__vma_create_buffer(vka__vma vma, const VkBufferCreateInfo *info, vka_memory memory, bool map,
                                VkBuffer *buffer, vka__vma_allocation *allocation, void **mapped, uint64_t *bytes);
void vka__vma_destroy_buffer(vka__vma vma, VkBuffer buffer, vka__vma_allocation allocation);
VkResult vka__vma_flush(vka__vma vma, vka__vma_allocation allocation, uint64_t offset, uint64_t size);
VkResult vka__vma_invalidate(vka__vma vma, vka__vma_allocation allocation, uint64_t offset, uint64_t size);

/* layout.c: what all descriptor sets and pipelines have in common. */
vka_status vka__layouts_create(vka_device *device, const char *item);
void vka__layouts_destroy(vka_device *device);

/* buffer.c */
vka_status vka__buffer_create(vka_device *device, const char *item, uint64_t size, vka_memory memory,
                              VkBufferUsageFlags usage, vka_buffer **buffer);

void vka__transfer_close(vka_device *device);

/* pipeline.c */
vka_status vka__pipelines_create(vka_device *device, const void *cache, size_t cache_size);
void vka__pipelines_destroy(vka_device *device);
/* The pipeline of a key, compiled now if it was not before. Other threads that want other pipelines do not wait. */
vka_status vka__pipeline_get(vka_device *device, const char *item, const vka__pipeline_key *key, VkPipeline *pipeline);

/* Does a kernel ask how many workgroups its dispatch has? */
bool vka__kernel_counts_groups(vka__kernel kernel);

/* The compiled pipelines in the order of their first use; VK_NULL_HANDLE behind the last one. */
VkPipeline vka__pipeline_at(vka_device *device, uint32_t index);

/* Queue access, serialised. One fence is all that a submission signals, so a second one, of the app, is signalled by an
 * empty submission that follows at once; VK_NULL_HANDLE: none. *submitted: the first one is under way, although the
 * second may have failed. */
vka_status vka__queue_submit(vka_device *device, const char *item, const VkSubmitInfo *submit, VkFence fence,
                             VkFence second, bool *submitted);
/* Before the memory of a submission is freed: a wait for its fence that fails says nothing about it, the queue does. */
void vka__queue_finish(vka_device *device, VkFence fence);

#endif
