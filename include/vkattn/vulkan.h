/* vkattn inside an app that has its own VkDevice. The only header that includes Vulkan.
 * SPDX-License-Identifier: MIT
 *
 * The Vulkan headers are the app's: any version that has vulkan/vulkan_core.h with Vulkan 1.1 will do, and neither
 * vkattn's package nor its CMake target brings any.
 *
 * IN FOUR STEPS
 *
 *  1. Before vkCreateDevice ask vka_vulkan_query what the library would like to have, and enable what you agree to.
 *     Nothing is required beyond Vulkan 1.1, a queue with compute, and 8 storage buffers per shader stage.
 *     vka_vulkan_features makes the pNext chain of it. (If you enable vulkanMemoryModel, for whatever reason, enable
 *     vulkanMemoryModelDeviceScope too: several kernels have barriers and atomics of device scope.)
 *  2. vka_device_import with your handles and with what you really enabled.
 *  3. vka_buffer_wrap your VkBuffers; vka_recorder_create once per frame in flight.
 *  4. Each frame: vka_recorder_wrap(rec, cmd), operations, vka_recorder_unwrap(rec). When the fence of that frame has
 *     signalled, the next vka_recorder_wrap on the same recorder reuses its descriptors and scratch.
 *
 * SYNCHRONISATION
 *
 *  Inside a wrapped recording, from vka_recorder_wrap to vka_recorder_unwrap, barriers are the library's. At the
 *  borders they are yours:
 *
 *  - before: inputs must be visible to VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_READ_BIT; memory that
 *    outputs and workspaces overwrite must be free at VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
 *    VK_ACCESS_SHADER_WRITE_BIT.
 *  - after: outputs were written at VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT with VK_ACCESS_SHADER_WRITE_BIT.
 *  - vka_copy reads and writes at VK_PIPELINE_STAGE_TRANSFER_BIT with VK_ACCESS_TRANSFER_READ_BIT / _WRITE_BIT.
 *
 *  To check your borders with VK_LAYER_KHRONOS_validation, switch on synchronization validation and, with it, its
 *  setting `syncval_shader_accesses_heuristic` (VK_LAYER_SYNCVAL_SHADER_ACCESSES_HEURISTIC=1): without that the
 *  layer does not look at what shaders access through descriptors, and reports no hazard of a dispatch.
 *
 *  The library binds a compute pipeline and descriptor set 0 at VK_PIPELINE_BIND_POINT_COMPUTE and sets push
 *  constants: bind your own again afterwards. It touches nothing else in the command buffer.
 *
 *  Work that the library submits itself is put in order with other queues, and with the app's frames, by semaphores:
 *  vka_recorder_submit_vk.
 *
 * LIFETIME
 *
 *  Your instance, device, queue and buffers stay yours and must outlive the library's objects made from them. */
#ifndef VKATTN_VULKAN_H
#define VKATTN_VULKAN_H

#include <vkattn/vkattn.h>

#include <vulkan/vulkan_core.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VKA_MAX_DEVICE_EXTENSIONS 16

/* What the library can use of a physical device. All of it is recommended, none of it required. */
typedef struct vka_vulkan_optional_features {
    uint32_t extension_count; /* at most VKA_MAX_DEVICE_EXTENSIONS                                                */
    const char *extensions[VKA_MAX_DEVICE_EXTENSIONS]; /* static strings                                          */
    bool storage_16bit;  /* VkPhysicalDevice16BitStorageFeatures.storageBuffer16BitAccess                         */
    bool shader_float16; /* VkPhysicalDeviceShaderFloat16Int8Features.shaderFloat16                               */
    bool subgroup_size_control;  /* VkPhysicalDeviceSubgroupSizeControlFeatures.subgroupSizeControl               */
    bool compute_full_subgroups; /* VkPhysicalDeviceSubgroupSizeControlFeatures.computeFullSubgroups              */
    bool vulkan_memory_model;    /* VkPhysicalDeviceVulkanMemoryModelFeatures.vulkanMemoryModel and               */
                                 /*   .vulkanMemoryModelDeviceScope                                               */
    bool maintenance4;           /* VkPhysicalDeviceMaintenance4Features.maintenance4                             */
    bool cooperative_matrix;     /* VkPhysicalDeviceCooperativeMatrixFeaturesKHR.cooperativeMatrix                */
    bool shader_bfloat16; /* VkPhysicalDeviceShaderBfloat16FeaturesKHR.shaderBFloat16Type                          */
    bool matrix_bfloat16; /* VkPhysicalDeviceShaderBfloat16FeaturesKHR.shaderBFloat16CooperativeMatrix             */
    /* VkPhysicalDeviceCooperativeMatrix2FeaturesNV.cooperativeMatrix.. */
    bool matrix_workgroup_scope;
    bool matrix_flexible_dimensions;
    bool matrix_reductions;
    bool matrix_conversions;
    bool matrix_per_element_operations;
    bool matrix_tensor_addressing;
    bool matrix_block_loads;
    /* VkPhysicalDeviceShaderMixedFloatDotProductFeaturesVALVE.shaderMixedFloatDotProductFloat16AccFloat32; needs
     * shader_float16. */
    bool mixed_float_dot;
    /* VkPhysicalDeviceBufferDeviceAddressFeatures.bufferDeviceAddress: matrix_block_loads needs it. Buffers need no
     * usage flag. */
    bool buffer_device_address;
    bool timeline_semaphore; /* VkPhysicalDeviceTimelineSemaphoreFeatures.timelineSemaphore: vka_recorder_submit_vk  */
    /* VkPhysicalDeviceCooperativeMatrixMaintenance1FeaturesEXT.cooperativeMatrixReductions,
     * .cooperativeMatrixConversions and .cooperativeMatrixPerElementOperations */
    bool matrix_maintenance1;
    /* VkPhysicalDeviceFeatures.shaderInt64: norms and softmax of software drivers are faster by it. False from
     * vka_vulkan_query, whether or not the device has it, as no chain can hold it next to VkDeviceCreateInfo's
     * pEnabledFeatures: an app that enables it there says so in vka_import_desc.enabled. */
    bool shader_int64;
    bool reserved[30]; /* for features to come; false */
} vka_vulkan_optional_features;

/* Room for the feature structures of vka_vulkan_features. */
typedef struct vka_vulkan_feature_chain {
    uint64_t room[64];
} vka_vulkan_feature_chain;

/* The optional features as structures for VkDeviceCreateInfo.pNext: one a structure whose features are there, in
 * `chain`, which must live until vkCreateDevice returns, and ahead of `next`. For apps that chain none of these
 * structures, nor the VkPhysicalDeviceVulkan1xFeatures that hold the same ones, themselves.
 * @return the head of the chain; `next` when there is nothing to enable. Threads: any. */
VKA_API const void *vka_vulkan_features(const vka_vulkan_optional_features *optional, vka_vulkan_feature_chain *chain,
                                        const void *next);

/* Asks a physical device, before vkCreateDevice.
 *
 *   get_instance_proc_addr   the app's loader function (vkGetInstanceProcAddr, SDL's, volk's, ...)
 *   api_version              the VkApplicationInfo.apiVersion of the instance
 *
 * VKA_OK; VKA_UNSUPPORTED (below Vulkan 1.1, no compute queue, or fewer than 8 storage buffers per shader stage);
 * VKA_INVALID. Threads: any. */
VKA_API vka_status vka_vulkan_query(PFN_vkGetInstanceProcAddr get_instance_proc_addr, VkInstance instance,
                                    uint32_t api_version, VkPhysicalDevice physical_device,
                                    vka_vulkan_optional_features *optional);

/* The app's device, as vka_device_import takes it. */
typedef struct vka_import_desc {
    PFN_vkGetInstanceProcAddr get_instance_proc_addr; /* required                                                 */
    VkInstance instance;                              /* required                                                 */
    uint32_t api_version;             /* of the instance; required, at least VK_API_VERSION_1_1                   */
    VkPhysicalDevice physical_device; /* required                                                                 */
    VkDevice device;                  /* required                                                                 */
    uint32_t queue_family;            /* of the command buffers to be wrapped; must have compute                  */
    VkQueue queue; /* optional, of that family. Only used by vka_recorder_submit(_vk), vka_buffer_write and _read; */
                   /*   without it these return VKA_INVALID where they would submit                               */
    /* Called around every use of the queue; both or none. None: the app keeps its own submits out of the way. */
    void (*lock_queue)(void *user);
    void (*unlock_queue)(void *user);
    void *queue_user;
    /* What was enabled in vkCreateDevice: copy the optional features, clear what you did not take. */
    vka_vulkan_optional_features enabled;
    vka_log log;
    vka_allocator allocator;
    const void *cache; /* as in vka_device_desc */
    size_t cache_size;
    const char *tuning; /* as in vka_device_desc */
    size_t tuning_size;
    const char *tuning_file;
    bool debug_labels;     /* as in vka_device_desc: the instance has VK_EXT_debug_utils enabled                      */
    const void *self_test; /* as in vka_device_desc */
    size_t self_test_size;
} vka_import_desc;

/* Makes a vka_device of the app's device. vka_device_destroy frees only what the library made.
 * VKA_OK; VKA_INVALID; VKA_UNSUPPORTED; VKA_OUT_OF_MEMORY; VKA_DRIVER_ERROR. Threads: any. */
VKA_API vka_status vka_device_import_sized(const vka_import_desc *desc, size_t desc_size, vka_device **device);
static inline vka_status vka_device_import(const vka_import_desc *desc_, vka_device **device_) {
    return vka_device_import_sized(desc_, sizeof *desc_, device_);
}

/* Wraps the app's buffer, or a range of it, as a vka_buffer. The buffer needs VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, and
 * for vka_copy and vka_fill the transfer usages.
 *
 *   offset, size   range in bytes; offset is a multiple of 4; size at least 1. Tensor offsets count from `offset`. A
 *                  16-bit tensor may not end in an incomplete 32-bit word at the very end: refused as UNSUPPORTED.
 *
 * VKA_OK; VKA_INVALID; VKA_OUT_OF_MEMORY. Threads: any. */
VKA_API vka_status vka_buffer_wrap(vka_device *device, VkBuffer buffer, uint64_t offset, uint64_t size,
                                   vka_buffer **wrapped);

/* Records into the app's command buffer, which is in the recording state and outside a render pass, from now to
 * vka_recorder_unwrap. The commands of this recorder's previous recording must have completed, and must not be
 * submitted again: their descriptors and scratch are reused. VKA_INVALID when the recorder is recording. */
VKA_API vka_status vka_recorder_wrap(vka_recorder *recorder, VkCommandBuffer command_buffer);

/* Ends it; the command buffer stays in the recording state. VKA_INVALID when nothing is wrapped. */
VKA_API vka_status vka_recorder_unwrap(vka_recorder *recorder);

/* ---- submitting with semaphores and a fence --------------------------------------------------------------------- */

/* Semaphores that one submission can wait for, and as many that it can signal. */
#define VKA_MAX_SEMAPHORES 16

/* What a submission waits for and signals. Zero: nothing. The arrays have as many entries as their count says, may be
 * NULL when it is 0, and may die when the call returns; the semaphores and the fence are the app's and must live until
 * the submission has completed. Binary and timeline semaphores may be mixed. */
typedef struct vka_submit_desc {
    uint32_t wait_count; /* at most VKA_MAX_SEMAPHORES                                                             */
    const VkSemaphore *wait_semaphores;
    const uint64_t *wait_values; /* that timeline semaphores must reach; ignored for binary ones. NULL: all binary   */
    /* The stages that wait; no entry is 0. Kernels run at VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, vka_copy and vka_fill
     * at VK_PIPELINE_STAGE_TRANSFER_BIT. NULL: both, so that no command starts before. */
    const VkPipelineStageFlags *wait_stages;
    uint32_t signal_count; /* at most VKA_MAX_SEMAPHORES                                                           */
    const VkSemaphore *signal_semaphores;
    const uint64_t *signal_values; /* that timeline semaphores get; ignored for binary ones. NULL: all binary        */
    VkFence fence; /* signalled when the submission has completed; unsignalled before, and in no other submission that
                    * has not completed. VK_NULL_HANDLE: none                                                      */
} vka_submit_desc;

/* vka_recorder_submit that waits for semaphores before its commands, and signals semaphores and a fence when they have
 * completed. vka_recorder_wait works as after vka_recorder_submit, whether or not there is a fence. A NULL description
 * is vka_recorder_submit.
 *
 * The same recording may be submitted again, with other semaphores or values: the call then first waits, on the host,
 * for the previous run. So do vka_recorder_begin, _wrap and _destroy. None of them may be called from the thread that
 * has yet to signal, or to submit, what that run waits for: it would wait for ever. The same holds for vka_buffer_write
 * and _read and vka_pattern_create, which may submit behind it to the same queue, and for vka_device_destroy.
 *
 * Inputs that other queues or submissions wrote are visible once a semaphore was waited for that they signal; results
 * are visible to who waits for a semaphore or a fence from here, and to the host. Buffers that another queue family
 * uses need VK_SHARING_MODE_CONCURRENT; the library transfers no ownership.
 *
 * VKA_OK; VKA_INVALID (nothing was begun; a device imported without a queue; a count without its array, a NULL
 * semaphore, a stage of 0); VKA_UNSUPPORTED (values on a device without `timeline_semaphore`); VKA_OUT_OF_MEMORY;
 * VKA_DEVICE_LOST. On failure nothing was submitted and no semaphore is waited for or signalled. One exception: when
 * only signalling `fence` fails, which the log then says, the commands are submitted without it and vka_recorder_wait
 * waits for them. */
VKA_API vka_status vka_recorder_submit_vk_sized(vka_recorder *recorder, const vka_submit_desc *desc, size_t desc_size);
static inline vka_status vka_recorder_submit_vk(vka_recorder *recorder_, const vka_submit_desc *desc_) {
    return vka_recorder_submit_vk_sized(recorder_, desc_, sizeof *desc_);
}

/* The library's own handles, for tools and for mixing own commands into a recorder's command buffer. */
VKA_API VkDevice vka_device_vk(const vka_device *device);
VKA_API VkInstance vka_device_vk_instance(const vka_device *device);
VKA_API VkBuffer vka_buffer_vk(const vka_buffer *buffer);
/* The command buffer that a recorder records into, its own or a wrapped one; VK_NULL_HANDLE when it is not recording.
 * The barriers between own commands and the library's are the app's. */
VKA_API VkCommandBuffer vka_recorder_vk(const vka_recorder *recorder);

#ifdef __cplusplus
}

extern "C++" {
static inline vka_status vka_device_import(const vka_import_desc &desc_, vka_device **device_) {
    return vka_device_import(&desc_, device_);
}
static inline vka_status vka_recorder_submit_vk(vka_recorder *recorder_, const vka_submit_desc &desc_) {
    return vka_recorder_submit_vk(recorder_, &desc_);
}
}
#endif

#endif
