/* vkattn: attention and the operations of transformers on any Vulkan device.
 * SPDX-License-Identifier: MIT
 *
 * THE LIBRARY IN ONE PAGE
 *
 * Five objects:
 *
 *   vka_device     the GPU: capabilities, pipelines, caches. Created here, or imported from an app that already
 *                  has a VkDevice (vkattn/vulkan.h).
 *   vka_buffer     device memory: ours, or a wrapped VkBuffer.
 *   vka_tensor     a plain value: buffer, byte offset, type, shape, strides.
 *   vka_recorder   where commands go: our own command buffer, or a wrapped VkCommandBuffer.
 *   an operation   a description struct and five functions: vka_<op> records it, vka_<op>_plan makes a plan of it that
 *                  is recorded many times, vka_<op>_prepare compiles its pipelines ahead, vka_<op>_requirements says
 *                  what room it needs, vka_<op>_explain what would run.
 *
 * A standalone program:
 *
 *   vka_device *dev;       vka_device_create(NULL, &dev);
 *   vka_buffer *q;         vka_buffer_create(dev, &(vka_buffer_desc){ .size = bytes }, &q);
 *                          vka_buffer_write(q, 0, data, bytes);            ... k, v, out
 *   vka_recorder *rec;     vka_recorder_create(dev, NULL, &rec);
 *   vka_recorder_begin(rec);
 *   vka_attention(rec, &(vka_attention_desc){ .q = vka_tensor_4d(q, VKA_F32, 1, heads, n, d), ... });
 *                          in C++20: vka_attention(rec, { .q = vka_tensor_4d(..), ... });
 *   vka_recorder_submit(rec);
 *   vka_recorder_wait(rec, VKA_FOREVER);
 *   vka_buffer_read(out, 0, result, bytes);
 *
 * A game replaces the first and the last lines by its own objects and never waits: see vkattn/vulkan.h.
 *
 * RULES THAT HOLD EVERYWHERE
 *
 *  - In a description every field left at zero is a safe, documented default. Required enumerations have
 *    0 = invalid, so that a forgotten one is an error and not a surprise.
 *  - Functions that can fail return a vka_status. The reason goes, as one line, to the log callback of the device.
 *    The library never prints, exits or aborts. vka_last_error has that line too, also where the device, recorder or
 *    buffer of a call is NULL, so that there is no callback to tell.
 *  - When recording fails, nothing has been recorded, and the recorder is as usable as before.
 *  - Recording an operation never submits and never waits. It allocates nothing when the operation was prepared
 *    (vka_<op>_prepare) and the recorder has room (vka_recorder_desc).
 *  - Preparing compiles pipelines. Some drivers, those of software among them, compile a second time when a pipeline is
 *    first used, so that the first submission takes long: vka_recorder_warm_up moves that to where you want it.
 *  - Barriers between the operations of one recorder are inserted by the library.
 *  - Descriptions may die when the call returns. Buffers must live until the recorded work has completed.
 *  - Destroying NULL is allowed. Destroy children (buffers, recorders, patterns) before their device.
 *  - Descriptions grow at their end, and functions that take one know its size: an app that was compiled with an older
 *    header gets what it got before from a newer library. A newer header with an older library: VKA_UNSUPPORTED, if a
 *    field is not 0 that the library does not have, whatever call it is. (docs/api-stability.md)
 *  - Shapes are counted in elements, strides in elements, offsets and sizes in bytes, times in nanoseconds.
 *
 * THREADS
 *
 *  A vka_device may be used by any number of threads at once. A vka_recorder, and a vka_buffer while it is
 *  written, read or destroyed, belong to one thread at a time. Values (tensors, descriptions) are yours.
 *
 * SEVERAL DEVICES
 *
 *  A program may have any number of vka_device, for different GPUs or for the same one. They share nothing: each has
 * its own pipelines and memory, gives the bits that it would give alone, and comes and goes while others work, in other
 *  threads or in turn in one. What is made from a device belongs to it: recording with a buffer, workspace, pattern or
 *  plan of another device is refused, by name. What passes from one to the other goes through memory of the host
 *  (vka_buffer_map): examples/ring.c is attention over many devices.
 */
#ifndef VKATTN_VKATTN_H
#define VKATTN_VKATTN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VKA_VERSION_MAJOR 0
#define VKA_VERSION_MINOR 1
#define VKA_VERSION_PATCH 0

/* Marks what a shared library exports; everything else is hidden. */
#if defined(_WIN32) && defined(VKA_SHARED)
#    ifdef VKA_BUILDING
#        define VKA_API __declspec(dllexport)
#    else
#        define VKA_API __declspec(dllimport)
#    endif
#elif defined(__GNUC__)
#    define VKA_API __attribute__((visibility("default")))
#else
#    define VKA_API
#endif

/* ---- status ------------------------------------------------------------------------------------------------ */

/* Every status with its name and one sentence: X(name, value, sentence). */
#define VKA_STATUSES(X)                                                                                                \
    X(VKA_OK, 0, "success")                                                                                            \
    X(VKA_INVALID, 1, "a documented rule is broken; the log names field, value and rule")                              \
    X(VKA_UNSUPPORTED, 2, "legal, but this device has no kernel for it")                                               \
    X(VKA_OUT_OF_MEMORY, 3, "host or device memory is exhausted")                                                      \
    X(VKA_DEVICE_LOST, 4, "the device was lost; destroy everything that was made from it")                             \
    X(VKA_NO_DEVICE, 5, "no Vulkan loader, or no device that fits the request")                                        \
    X(VKA_TIMEOUT, 6, "the work did not complete in the given time")                                                   \
    X(VKA_DRIVER_ERROR, 7, "the driver failed in another way; the log has its VkResult")

/* What calls return; an enumeration of VKA_STATUSES. */
typedef enum vka_status {
#define X(name, value, sentence) name = value,
    VKA_STATUSES(X)
#undef X
} vka_status;

/* The sentence of a status, never NULL. Threads: any. */
VKA_API const char *vka_status_string(vka_status status);

/* The library's version as (major << 16) | (minor << 8) | patch. Threads: any. */
VKA_API uint32_t vka_version(void);

/* ---- log --------------------------------------------------------------------------------------------------- */

/* How grave a line of the log is. */
typedef enum vka_log_level {
    VKA_LOG_ERROR = 1,   /* a call failed; exactly one line per failed call (a VKA_TIMEOUT is no failure)       */
    VKA_LOG_WARNING = 2, /* it works, but not as well as it could (a foreign pipeline cache was dropped, ...)    */
    VKA_LOG_INFO = 3,    /* once per object: the device that was chosen, ...                                     */
} vka_log_level;

/* Receives one line without a newline. `item` says what it is about: a function or "function.field".
 * May be called from any thread that uses the device; must not call back into the library. */
typedef void (*vka_log_fn)(void *user, vka_log_level level, const char *item, const char *message);

/* Where a device (or a call without a device) logs to. Zero: silent. */
typedef struct vka_log {
    vka_log_fn fn;       /* optional */
    void *user;          /* passed to fn */
    vka_log_level level; /* most detailed level wanted; 0 = VKA_LOG_WARNING */
} vka_log;

/* Why the last call that failed on this thread did: the log's line of it as "item: message", for instance
 * "vka_buffer_create.size: is 0, but must be 1 or more", whether or not anybody logs. Calls whose device, recorder or
 * buffer is NULL have one too. "" when no call of this thread has failed; calls that succeed, and a VKA_TIMEOUT, leave
 * it as it is. Never NULL; messages beyond 511 bytes are cut. Valid until the next call that fails on this thread, and
 * no longer than the thread. Threads: any, each has its own. */
VKA_API const char *vka_last_error(void);

/* For libraries on top of this one: logs an error as this one does, "item: message", and keeps it for vka_last_error.
 * `log` may be NULL. Threads: any. */
VKA_API void vka_log_error(const vka_log *log, const char *item, const char *message);

/* Callbacks for the library's own host memory (drivers and the device memory allocator keep using malloc); both
 * functions or none. Zero: realloc and free. Called from any thread. */
typedef struct vka_allocator {
    void *(*reallocate)(void *user, void *old, size_t size); /* old == NULL: allocate. NULL result: out of memory  */
    void (*release)(void *user, void *memory);               /* memory may be NULL                                 */
    void *user;
} vka_allocator;

/* ---- types ------------------------------------------------------------------------------------------------- */

/* What the elements of a tensor are. */
typedef enum vka_dtype {
    VKA_DTYPE_INVALID = 0,
    VKA_F32 = 1,  /* IEEE 754 binary32                                                                              */
    VKA_F16 = 2,  /* IEEE 754 binary16                                                                              */
    VKA_BF16 = 3, /* bfloat16, the upper half of a binary32. Results are rounded to nearest even and NaN stays NaN; */
                  /*   no device feature is needed                                                                  */
    VKA_U8 = 4,   /* boolean masks: 0 is false, anything else true                                                  */
    VKA_I8 = 5,   /* quantised keys and values: an element is this times a scale from a tensor of its own           */
    VKA_I32 = 6,  /* lengths, offsets, page tables, permutations, lists of keys                                  */
    VKA_Q8_0 = 7, /* quantised keys and values in blocks of 32 elements of the last dimension: a binary16 scale and */
                  /*   32 bytes, 34 bytes in all (GGUF's Q8_0)                                                      */
    VKA_Q4_0 = 8, /* quantised weights, keys and values in blocks of 32 elements of the last dimension: a binary16  */
                  /*   scale and 16 bytes, 18 bytes in all (GGUF's Q4_0). Byte i has element i in its lower half and */
                  /*   element i + 16 in its upper one; an element is (half - 8) times the scale                    */
} vka_dtype;

/* Functions of one number that operations apply to what they computed. Each is within eight units in the last place of
 * f32, also where it is next to 0 (below 2^-120 it may be 0), and what the device's exp is off by, which Vulkan allows
 * 3 + 2 |its argument| units. Nothing overflows: at -inf and inf they have their limits (GELU and SILU 0 and inf). NaN
 * stays NaN. */
typedef enum vka_activation {
    VKA_ACTIVATION_NONE = 0,
    VKA_ACTIVATION_RELU = 1,      /* max(x, 0)                                                                     */
    VKA_ACTIVATION_GELU = 2,      /* x (1 + erf(x / sqrt 2)) / 2 (Hendrycks 2016)                                  */
    VKA_ACTIVATION_GELU_TANH = 3, /* x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2                             */
    VKA_ACTIVATION_SILU = 4,      /* x / (1 + exp(-x)): swish (Elfwing 2017)                                       */
    VKA_ACTIVATION_TANH = 5,
    VKA_ACTIVATION_SIGMOID = 6, /* 1 / (1 + exp(-x))                                                             */
} vka_activation;

/* What the bits of a result may depend on, besides the device, its driver and the numbers that go into it. */
typedef enum vka_determinism {
    VKA_DETERMINISM_CALL = 0,  /* the description: the same call gives the same bits, every time                   */
    VKA_DETERMINISM_BATCH = 1, /* but not what else is in the batch: an operation that has it says what that means  */
} vka_determinism;

/* Bytes of a block: of an element, but for Q8_0 and Q4_0. 0 for an invalid type. */
VKA_API uint32_t vka_dtype_size(vka_dtype dtype);
/* Elements of a block: 32 for Q8_0 and Q4_0, otherwise 1. 0 for an invalid type. */
VKA_API uint32_t vka_dtype_block(vka_dtype dtype);

/* Arrays of `count` numbers on the host, from f32 to VKA_F16 or VKA_BF16 and back, for what is written to buffers and
 * read from them. To 16 bits: rounded to nearest, ties to even; beyond the largest number (f16: from 65520 on)
 * infinite; f16's subnormals are used; NaN stays NaN. To f32: exact. The arrays must not overlap. Threads: any. */
VKA_API void vka_f32_to_f16(const float *from, uint16_t *to, size_t count);
VKA_API void vka_f32_to_bf16(const float *from, uint16_t *to, size_t count);
VKA_API void vka_f16_to_f32(const uint16_t *from, float *to, size_t count);
VKA_API void vka_bf16_to_f32(const uint16_t *from, float *to, size_t count);

/* ---- device ------------------------------------------------------------------------------------------------ */

/* A GPU, or a software driver. Threads: any, unless a function says otherwise. */
typedef struct vka_device vka_device;

/* What kind of device it is. */
typedef enum vka_device_type {
    VKA_DEVICE_OTHER = 0,
    VKA_DEVICE_INTEGRATED = 1,
    VKA_DEVICE_DISCRETE = 2,
    VKA_DEVICE_VIRTUAL = 3,
    VKA_DEVICE_CPU = 4, /* a software driver */
} vka_device_type;

/* Where reductions, conversions and functions of elements of a subgroup's matrices come from. */
typedef enum vka_matrix_functions {
    VKA_MATRIX_FUNCTIONS_NONE = 0,
    VKA_MATRIX_FUNCTIONS_EXT = 1, /* VK_EXT_cooperative_matrix_maintenance1 */
    VKA_MATRIX_FUNCTIONS_NV = 2,  /* VK_NV_cooperative_matrix2              */
} vka_matrix_functions;

#define VKA_MAX_MATRIX_SHAPES  16
#define VKA_SWITCHED_OFF_WORDS 4

/* A product that cooperative matrices of one subgroup can do: [m, k] by [k, n] of this type, summed in f32. */
typedef struct vka_matrix_shape {
    uint32_t m, n, k;
    vka_dtype dtype; /* VKA_F16 or VKA_BF16 */
} vka_matrix_shape;

/* What a device can do, as far as the library uses it: everything that a plan depends on, and nothing else. */
typedef struct vka_device_caps {
    char name[256];          /* as the driver reports it                                                        */
    char driver[256];        /* driver name and version text                                                    */
    uint32_t vendor_id;      /* PCI vendor                                                                      */
    uint32_t device_id;      /* PCI device                                                                      */
    uint32_t driver_id;      /* VkDriverId, 0 = unknown                                                         */
    uint32_t driver_version; /* the vendor's own encoding                                                       */
    uint32_t api_version;    /* VK_MAKE_API_VERSION, lower of device and library                                */
    uint8_t uuid[16];        /* device UUID, stable over runs on one machine                                    */
    vka_device_type type;
    uint32_t subgroup_size; /* default subgroup width, at least 1                                              */
    uint32_t subgroup_min;  /* smallest and largest width that a compiler may pick                             */
    uint32_t subgroup_max;
    uint32_t shared_bytes;      /* shared memory of a workgroup                                                    */
    uint32_t max_invocations;   /* of a workgroup                                                                  */
    uint32_t max_groups[3];     /* workgroups of a dispatch                                                        */
    uint64_t storage_range;     /* bytes one binding can see                                                       */
    uint32_t storage_buffers;   /* that one kernel can bind, at least 8; some operations' options need 17          */
    uint32_t storage_align;     /* alignment of a binding's offset, in bytes                                       */
    uint64_t memory_bytes;      /* largest device-local heap                                                       */
    bool subgroup_arithmetic;   /* subgroup reductions and votes in compute shaders                                */
    bool subgroup_shuffle;      /* invocations of a subgroup can read each other's values                          */
    bool subgroup_size_control; /* a kernel can ask for any width from subgroup_min to subgroup_max              */
    bool f16_storage;           /* 16-bit loads and stores (VK_KHR_16bit_storage); f16 tensors work without it too */
    bool f16_arithmetic;        /* shaderFloat16                                                                   */
    bool f16_mixed_dot;         /* products of pairs of f16 summed in f32, by one instruction                      */
                                /*   (VK_VALVE_shader_mixed_float_dot_product)                                     */
    vka_matrix_shape matrix_shapes[VKA_MAX_MATRIX_SHAPES]; /* VK_KHR_cooperative_matrix, as listed                 */
    uint32_t matrix_shape_count;                           /* 0: no cooperative matrices                           */
    /* VK_NV_cooperative_matrix2: f16 matrices of any multiple of a grain, with reductions, conversions and functions of
     * elements, held by a subgroup, or by a workgroup of a given size that loads through tensor layouts. m = 0: none.
     */
    vka_matrix_shape matrix_grain;
    vka_matrix_shape matrix_workgroup_grain;
    uint32_t matrix_workgroup_size;
    uint32_t matrix_reserved_bytes; /* of shared memory, by matrices of a workgroup                              */
    bool matrix_operations;         /* those reductions, conversions and functions                               */
    bool matrix_block_loads;        /* loads of a workgroup through functions that decode elements               */
    bool unified_memory; /* device-local memory can be mapped                                               */
    bool timestamps;     /* the compute queue has timestamps                                                */
    /* Kernels that vka_device_self_test found to be wrong, as bits of numbers that are the library's own. 0: none. */
    uint64_t switched_off[VKA_SWITCHED_OFF_WORDS];
    vka_matrix_functions matrix_functions; /* of products in matrix_shapes that are of f16                            */
    bool int64;                            /* shaderInt64: software drivers load and store faster by it               */
    uint8_t reserved[3];
} vka_device_caps;

/* Creation. A NULL description means all defaults. */
typedef struct vka_device_desc {
    uint32_t index;      /* as listed by vka_device_enumerate: 0 is the best one                                */
    const uint8_t *uuid; /* 16 bytes: the device with this UUID; NULL = any. Not together with `index`.          */
    bool no_software;    /* refuse software drivers (type CPU)                                                  */
    vka_log log;
    vka_allocator allocator;
    const void *cache; /* pipeline cache blob of vka_device_save_cache; NULL = none. A damaged or foreign one */
    size_t cache_size; /*   is dropped with a warning.                                                        */
    /* What vkattn-bench tune measured, as JSON (docs/tuning.md): text in memory, with its size, or the name of a file;
     * the text goes first. A size without a text is refused, as for `cache`. A malformed record, and one of another
     * device or driver, is ignored with a line in the log. */
    const char *tuning;
    size_t tuning_size;
    const char *tuning_file;
    /* PFN_vkGetInstanceProcAddr as a general function pointer; NULL = the system's loader, opened at run time. */
    void (*get_instance_proc_addr)(void);
    /* Puts each recorded operation, vka_copy and vka_fill among them, between labels of VK_EXT_debug_utils with its
     * name, "vka_attention", for captures of RenderDoc, Nsight or RGP. Where the loader lacks the extension there are
     * none, and a warning. */
    bool debug_labels;
    /* What vka_device_self_test found, as vka_device_save_self_test gives it (vkattn/self_test.h); NULL = not known. A
     * damaged one, and one of another device, driver or library, is dropped with a warning. */
    const void *self_test;
    size_t self_test_size;
} vka_device_desc;

/* Lists the devices that vka_device_create could use, best first.
 *
 *   desc   log, allocator, no_software and get_instance_proc_addr are used; may be NULL
 *   caps   receives up to `capacity` entries; may be NULL when capacity is 0
 *   count  receives the number of devices, which may exceed the capacity
 *
 * vka_device_enumerate_sized takes the sizes of a description and of an entry of caps.
 *
 * VKA_OK (also with zero devices); VKA_INVALID; VKA_NO_DEVICE (no loader); VKA_OUT_OF_MEMORY; VKA_DRIVER_ERROR.
 * Threads: any. */
static inline vka_status vka_device_enumerate(const vka_device_desc *desc, vka_device_caps *caps, uint32_t capacity,
                                              uint32_t *count);
VKA_API vka_status vka_device_enumerate_sized(const vka_device_desc *desc, size_t desc_size, vka_device_caps *caps,
                                              size_t caps_size, uint32_t capacity, uint32_t *count);

/* Creates an instance and a device of its own. Takes milliseconds to seconds (drivers are loaded).
 *
 * VKA_OK; VKA_INVALID; VKA_NO_DEVICE; VKA_OUT_OF_MEMORY; VKA_DRIVER_ERROR. On failure *device is NULL.
 * Threads: any. */
static inline vka_status vka_device_create(const vka_device_desc *desc, vka_device **device);
VKA_API vka_status vka_device_create_sized(const vka_device_desc *desc, size_t desc_size, vka_device **device);

/* Waits for the device's own submissions, then destroys it and sets *device to NULL. NULL and pointers to NULL are
 * allowed. Buffers, recorders and patterns must be gone. If some are not, a line of level VKA_LOG_WARNING counts them
 * and nothing is destroyed: the device leaks, and what was made from it stays valid. Threads: no other thread may still
 * use the device. */
VKA_API void vka_device_destroy(vka_device **device);

/* The capabilities that plans are made from; lives as long as the device. Fields that are newer than vka_version() are
 * not there. Threads: any. */
VKA_API const vka_device_caps *vka_device_get_caps(const vka_device *device);

/* Copies the compiled pipelines as a blob for vka_device_desc.cache. With data == NULL only *size is set, to the
 * capacity needed now. The blob is checksummed and bound to this device and driver version.
 *
 * VKA_OK; VKA_INVALID (capacity too small); VKA_OUT_OF_MEMORY. Threads: any. */
VKA_API vka_status vka_device_save_cache(vka_device *device, void *data, size_t *size);

/* Memory that the device's buffers and scratch occupy now and at most so far, in bytes. Wrapped buffers don't count.
 * Threads: any. */
typedef struct vka_memory_stats {
    uint64_t bytes;      /* now */
    uint64_t bytes_peak; /* since creation or the last vka_device_reset_peak */
} vka_memory_stats;
VKA_API vka_memory_stats vka_device_memory(const vka_device *device);
VKA_API void vka_device_reset_peak(vka_device *device);

/* ---- buffer ------------------------------------------------------------------------------------------------ */

/* Device memory: the library's, or a wrapped range of a VkBuffer. */
typedef struct vka_buffer vka_buffer;

/* Where a buffer lies. */
typedef enum vka_memory {
    VKA_MEMORY_DEVICE = 0,   /* fastest for kernels; vka_buffer_write and _read stage when it can't be mapped     */
    VKA_MEMORY_UPLOAD = 1,   /* mapped, written by the host in order, read by kernels                             */
    VKA_MEMORY_READBACK = 2, /* mapped and cached, written by kernels, read by the host                           */
} vka_memory;

/* A buffer to be created. */
typedef struct vka_buffer_desc {
    uint64_t size; /* bytes, required, at least 1; the memory is padded to a multiple of 16                       */
    vka_memory memory;
} vka_buffer_desc;

/* Creates a buffer with undefined contents.
 * VKA_OK; VKA_INVALID; VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST. On failure *buffer is NULL. Threads: any. */
static inline vka_status vka_buffer_create(vka_device *device, const vka_buffer_desc *desc, vka_buffer **buffer);
VKA_API vka_status vka_buffer_create_sized(vka_device *device, const vka_buffer_desc *desc, size_t desc_size,
                                           vka_buffer **buffer);

/* Frees the buffer (a wrapped VkBuffer stays) and sets *buffer to NULL. Work that uses it must have completed. */
VKA_API void vka_buffer_destroy(vka_buffer **buffer);

/* Bytes that were asked for. Threads: any. */
VKA_API uint64_t vka_buffer_size(const vka_buffer *buffer);

/* Copies host memory into the buffer, or back, and returns when done. Meant for set-up and standalone programs: memory
 * that can't be mapped is copied by a submission of its own, which is waited for. Not synchronised with recorders:
 * work that uses the range must have completed. Wrapped buffers are refused: their memory is the app's.
 * VKA_OK; VKA_INVALID (range outside the buffer, wrapped buffer); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST. */
VKA_API vka_status vka_buffer_write(vka_buffer *buffer, uint64_t offset, const void *data, uint64_t size);
VKA_API vka_status vka_buffer_read(vka_buffer *buffer, uint64_t offset, void *data, uint64_t size);

/* The mapped memory of an UPLOAD or READBACK buffer, coherent, or NULL for the others. Lives as long as the buffer. */
VKA_API void *vka_buffer_map(vka_buffer *buffer);

/* ---- tensor ------------------------------------------------------------------------------------------------ */

#define VKA_MAX_RANK 4

/* A view of a buffer: element [i0, .., in] lies at offset + dtype size * (i0 * stride[0] + .. + in * stride[n]).
 *
 * Types with blocks (Q8_0, Q4_0): the last dimension and all other strides are multiples of the block, the last stride
 * is 1, and element e of that sum lies in block e / 32.
 *
 * Strides are in elements and never negative. All strides zero means dense, last index fastest. A dimension of size 1
 * ignores its stride; otherwise a single zero stride is refused (broadcast with a size of 1 instead). Output tensors
 * must not overlap themselves or an input, except where an operation says so. */
typedef struct vka_tensor {
    vka_buffer *buffer; /* required to record; an operation's _prepare, _requirements, _explain work without it  */
    uint64_t offset;    /* bytes, multiple of the element size (blocks: of 2)                                     */
    vka_dtype dtype;    /* VKA_DTYPE_INVALID, 0: the tensor is absent (optional tensors)                          */
    uint32_t rank; /* 1 .. VKA_MAX_RANK                                                                           */
    uint32_t shape[VKA_MAX_RANK];
    uint64_t stride[VKA_MAX_RANK];
} vka_tensor;

/* Dense tensors. Threads: any. */
VKA_API vka_tensor vka_tensor_1d(vka_buffer *buffer, vka_dtype dtype, uint32_t n0);
VKA_API vka_tensor vka_tensor_2d(vka_buffer *buffer, vka_dtype dtype, uint32_t n0, uint32_t n1);
VKA_API vka_tensor vka_tensor_3d(vka_buffer *buffer, vka_dtype dtype, uint32_t n0, uint32_t n1, uint32_t n2);
VKA_API vka_tensor vka_tensor_4d(vka_buffer *buffer, vka_dtype dtype, uint32_t n0, uint32_t n1, uint32_t n2,
                                 uint32_t n3);

/* The same tensor with dimensions a and b exchanged: a [B,N,H,D] buffer becomes [B,H,N,D] by exchanging 1 and 2.
 * Fills in dense strides first. Dimensions outside the rank leave the tensor unchanged. */
VKA_API vka_tensor vka_tensor_transpose(vka_tensor tensor, uint32_t a, uint32_t b);

/* A list of integers in a description: host values, which are copied while the operation is recorded, or a VKA_I32
 * tensor of rank 1, which is read each time the commands run. Both absent: no list. */
typedef struct vka_integers {
    const int32_t *values;
    vka_tensor tensor;
} vka_integers;

/* Scratch memory of an operation. Without a buffer it is the recorder's own, from the offset on: operations of one
 * recording that have nothing to do with each other can run side by side when their offsets lie apart. The recorder
 * grows to what is needed. Otherwise at least the bytes that vka_<op>_requirements says lie in the buffer behind the
 * offset, apart from the operation's tensors. The offset is a multiple of 256. */
typedef struct vka_workspace {
    vka_buffer *buffer;
    uint64_t offset;
} vka_workspace;

/* A bound of a window that keeps everything on its side. */
#define VKA_UNBOUNDED INT32_MAX

/* ---- recorder ---------------------------------------------------------------------------------------------- */

/* Where commands are recorded: a command buffer of its own, or a wrapped one, with scratch memory and descriptors. */
typedef struct vka_recorder vka_recorder;

/* A NULL description means all defaults. The recorder allocates this room when it is created. Within it recording
 * allocates nothing; beyond it, the recorder grows (allocates) once and keeps the room. */
typedef struct vka_recorder_desc {
    uint32_t max_dispatches; /* dispatches between two resets; 0 = 256; at most 2^20. An operation takes one or    */
                             /* two, and more where tensors or work are large: vka_requirements.dispatches        */
    uint64_t scratch_bytes;  /* scratch for the operations recorded; 0 = none yet. The largest                    */
                             /*   vka_requirements.workspace_bytes suffices: operations share it                  */
    uint64_t value_bytes;    /* memory for host values of descriptions (vka_integers); 0 = none yet. The sum of    */
                             /*   vka_requirements.value_bytes                                                     */
    uint32_t timestamps;     /* how many vka_recorder_timestamp there can be; 0 = none; at most 2^20              */
} vka_recorder_desc;

/* VKA_OK; VKA_INVALID; VKA_OUT_OF_MEMORY (also for sizes beyond what a buffer can have); VKA_DEVICE_LOST. On failure
 * *recorder is NULL. Threads: any. */
static inline vka_status vka_recorder_create(vka_device *device, const vka_recorder_desc *desc,
                                             vka_recorder **recorder);
VKA_API vka_status vka_recorder_create_sized(vka_device *device, const vka_recorder_desc *desc, size_t desc_size,
                                             vka_recorder **recorder);

/* Waits for the recorder's own submission, frees it and sets *recorder to NULL. Commands recorded into a wrapped
 * command buffer must have completed, and that command buffer must not be submitted again. */
VKA_API void vka_recorder_destroy(vka_recorder **recorder);

/* Starts recording into the recorder's own command buffer. Waits for its previous submission, if any, whose
 * descriptors and scratch are then reused. VKA_INVALID when it is recording already. */
VKA_API vka_status vka_recorder_begin(vka_recorder *recorder);

/* Ends recording and submits to the device's queue. May be called again after a submission, without recording anew:
 * the same commands run again; the call then first waits for the previous run. Of a recorder's calls
 * vka_recorder_begin, _wrap, _submit, _wait and _destroy may wait. With semaphores and a fence of the app:
 * vka_recorder_submit_vk (vkattn/vulkan.h). VKA_INVALID when nothing was begun; VKA_DEVICE_LOST. */
VKA_API vka_status vka_recorder_submit(vka_recorder *recorder);

/* Waits for the last submission. timeout in nanoseconds, VKA_FOREVER waits without limit.
 * VKA_OK (also when nothing was submitted); VKA_TIMEOUT; VKA_DEVICE_LOST. */
#define VKA_FOREVER UINT64_MAX
VKA_API vka_status vka_recorder_wait(vka_recorder *recorder, uint64_t timeout);

/* Records a use of every pipeline that the device has compiled so far, in dispatches of no workgroups: nothing is read,
 * written or computed. Drivers that compile when a pipeline is first used, as software drivers do, then do it when
 * these commands are submitted, and not with the first real work:
 *
 *   vka_attention_prepare(dev, ..); ..      while loading, everything that will be recorded
 *   vka_recorder_begin(rec);
 *   vka_recorder_warm_up(rec);
 *   vka_recorder_submit(rec);  vka_recorder_wait(rec, VKA_FOREVER);
 *
 * Takes as long as such a driver compiles (milliseconds to seconds a pipeline), and next to nothing elsewhere; room for
 * one dispatch and 256 bytes of scratch. In a wrapped recording it goes to the app's command buffer, for the app to
 * submit. VKA_OK (also without pipelines); VKA_INVALID (not recording); VKA_OUT_OF_MEMORY. */
VKA_API vka_status vka_recorder_warm_up(vka_recorder *recorder);

/* Records timestamp `index` after all commands so far. Indices may be written once per recording.
 * VKA_INVALID (index outside vka_recorder_desc.timestamps); VKA_UNSUPPORTED (device without timestamps). */
VKA_API vka_status vka_recorder_timestamp(vka_recorder *recorder, uint32_t index);

/* The first `count` timestamps of the completed submission, in nanoseconds from the first one on. Of commands recorded
 * into a wrapped command buffer only the app knows when they have completed: ask after that.
 * VKA_INVALID (not written or not completed); VKA_DEVICE_LOST. */
VKA_API vka_status vka_recorder_read_timestamps(vka_recorder *recorder, uint64_t *nanoseconds, uint32_t count);

/* Records a copy of `size` bytes. Offsets and size are multiples of 4; the ranges must not overlap.
 * VKA_OK; VKA_INVALID. */
VKA_API vka_status vka_copy(vka_recorder *recorder, vka_buffer *dst, uint64_t dst_offset, vka_buffer *src,
                            uint64_t src_offset, uint64_t size);

/* Records that `size` bytes become the 32-bit word `value` over and over; 0 is zero in every type. Offset and size are
 * multiples of 4. VKA_OK; VKA_INVALID. */
VKA_API vka_status vka_fill(vka_recorder *recorder, vka_buffer *buffer, uint64_t offset, uint64_t size, uint32_t value);

/* ---- operations ------------------------------------------------------------------------------------------------- */

/* Every operation: X(NAME, value, name). vka_<name>_desc is its description, and what vka_<name> does is said where it
 * stands. Values never change. */
#define VKA_OPERATIONS(X)                                                                                              \
    X(ATTENTION, 1, attention)                                                                                         \
    X(ATTENTION_MERGE, 2, attention_merge)                                                                             \
    X(LAYER_NORM, 3, layer_norm)                                                                                       \
    X(ROPE, 4, rope)                                                                                                   \
    X(CACHE_APPEND, 5, cache_append)                                                                                   \
    X(RELATIVE_BIAS_T5, 6, relative_bias_t5)                                                                           \
    X(RELATIVE_BIAS_SPAN, 7, relative_bias_span)                                                                       \
    X(LSH_SORT, 8, lsh_sort)                                                                                           \
    X(RMS_NORM, 9, rms_norm)                                                                                           \
    X(GROUP_NORM, 10, group_norm)                                                                                      \
    X(SOFTMAX, 11, softmax)                                                                                            \
    X(CROSS_ENTROPY, 12, cross_entropy)                                                                                \
    X(LINEAR, 13, linear)                                                                                              \
    X(MAP, 14, map)                                                                                                    \
    X(COMBINE, 15, combine)                                                                                            \
    X(GLU, 16, glu)                                                                                                    \
    X(EMBEDDING, 17, embedding)                                                                                        \
    X(TOP_K, 18, top_k)                                                                                                \
    X(SAMPLE, 19, sample)                                                                                              \
    X(LINEAR_ATTENTION, 20, linear_attention)                                                                          \
    X(CAUSAL_CONV, 21, causal_conv)                                                                                    \
    X(DYNAMIC_CONV, 22, dynamic_conv)                                                                                  \
    X(CAPSULE_ROUTING, 23, capsule_routing)                                                                            \
    X(ADDITIVE_ATTENTION, 24, additive_attention)                                                                      \
    X(HADAMARD, 25, hadamard)                                                                                          \
    X(LAYER_NORM_BACKWARD, 26, layer_norm_backward)                                                                    \
    X(RMS_NORM_BACKWARD, 27, rms_norm_backward)                                                                        \
    X(GROUP_NORM_BACKWARD, 28, group_norm_backward)                                                                    \
    X(SOFTMAX_BACKWARD, 29, softmax_backward)                                                                          \
    X(CROSS_ENTROPY_BACKWARD, 30, cross_entropy_backward)                                                              \
    X(LINEAR_BACKWARD, 31, linear_backward)                                                                            \
    X(MAP_BACKWARD, 32, map_backward)                                                                                  \
    X(GLU_BACKWARD, 33, glu_backward)                                                                                  \
    X(EMBEDDING_BACKWARD, 34, embedding_backward)                                                                      \
    X(ADAMW, 35, adamw)                                                                                                \
    X(GRADIENT_NORM, 36, gradient_norm)                                                                                \
    X(ATTENTION_BACKWARD, 37, attention_backward)                                                                      \
    X(CAUSAL_CONV_BACKWARD, 38, causal_conv_backward)                                                                  \
    X(DYNAMIC_CONV_BACKWARD, 39, dynamic_conv_backward)                                                                \
    X(ADDITIVE_ATTENTION_BACKWARD, 40, additive_attention_backward)                                                    \
    X(LINEAR_ATTENTION_BACKWARD, 41, linear_attention_backward)                                                        \
    X(RELATIVE_BIAS_T5_BACKWARD, 42, relative_bias_t5_backward)                                                        \
    X(RELATIVE_BIAS_SPAN_BACKWARD, 43, relative_bias_span_backward)                                                    \
    X(ATTENTION_MERGE_BACKWARD, 44, attention_merge_backward)

/* An operation by number; an enumeration of VKA_OPERATIONS. */
typedef enum vka_operation {
    VKA_OPERATION_INVALID = 0,
#define X(NAME, value, name) VKA_OPERATION_##NAME = value,
    VKA_OPERATIONS(X)
#undef X
} vka_operation;

/* What recording an operation takes. */
typedef struct vka_requirements {
    uint64_t workspace_bytes; /* scratch memory: see vka_workspace                                                */
    uint64_t dispatches;      /* of vka_recorder_desc.max_dispatches                                              */
    uint64_t value_bytes;     /* of vka_recorder_desc.value_bytes: host values of lists and tables, which are copied */
} vka_requirements;

/* The functions of all operations. `desc` is the operation's description, of `desc_size` bytes. They are for bindings
 * to other languages and for tables of operations; C and C++ have, of each operation, what VKA_OPERATION_FUNCTIONS
 * below makes of them.
 *
 * vka_operation_record records and returns; it never submits or waits. `desc` may die on return, buffers must live
 * until the recorder's work has completed. On any error nothing is recorded. Threads: one thread per recorder at a
 * time. */
VKA_API vka_status vka_operation_record(vka_recorder *recorder, vka_operation operation, const void *desc,
                                        size_t desc_size);

/* Checks and plans once what will be recorded often: an operation with its tensors. Compiles, allocates, and copies
 * host values of lists; so recording the plan is little more than the Vulkan commands themselves, and allocates nothing
 * where the description names its workspace and no numbers of workgroups are computed on the device ("indirect: yes" in
 * the explanation). Otherwise it takes of a recorder what recording the description does. `desc` may die on return;
 * buffers, patterns and the device must outlive the plan. Threads: any. */
typedef struct vka_plan vka_plan;
VKA_API vka_status vka_operation_plan(vka_device *device, vka_operation operation, const void *desc, size_t desc_size,
                                      vka_plan **plan);

/* Records a plan, as vka_operation_record does its description. The plan must live until the recorder's work has
 * completed. On any error nothing is recorded. Threads: one thread per recorder at a time; a plan may be recorded by
 * any number of threads. */
VKA_API vka_status vka_plan_record(vka_recorder *recorder, const vka_plan *plan);
/* Sets *plan to NULL; NULL is allowed. */
VKA_API void vka_plan_destroy(vka_plan **plan);

/* ---- slices ------------------------------------------------------------------------------------------------------
 *
 * Work that takes longer than a frame may: plans, one after the other, of which each call records a slice.
 *
 *   vka_attention_plan(dev, &desc, &plan);       while loading; desc.workspace names a buffer
 *   vka_plan_prepare_slices(plan);
 *   vka_slice slice = {0};                       each time that the work is to be done anew
 *
 *   vka_recorder_wrap(rec[frame % 2], cmd);      in each frame, until slice.done
 *   vka_plan_record_slice(rec[frame % 2], &plan, 1, budget, &slice);
 *   vka_recorder_unwrap(rec[frame % 2]);
 *
 * The results are there when the last slice has run, with the bits that vka_plan_record gives, whatever the budgets
 * were. A slice ends between two dispatches, or between two workgroups of one.
 *
 * From the first slice to the last one
 *
 *  - nothing may change the inputs, and nobody may rely on the outputs, of which any part may be written already;
 *  - workspaces keep what one slice leaves for the next: until slice.done they are not for other work, not even that of
 *    another run of the same plan;
 *  - slices run in their order: they are submitted to one queue in that order, or semaphores see to it. Barriers
 *    between them are the library's, from one command buffer to the next, too;
 *  - barriers before the first one and after the last one are those of any recording.
 *
 * A run may be given up at any time: a vka_slice owns nothing. What has been submitted of it must have completed before
 * the memory is used for something else, as always. */

/* Where a run of plans is to be continued. Zero: at its beginning. Written by vka_plan_record_slice alone, but may be
 * copied. */
typedef struct vka_slice {
    uint32_t plan; /* which plan, which of its dispatches, and which workgroup of that */
    uint32_t dispatch;
    uint64_t group;
    uint64_t work; /* that the last call recorded                                                                 */
    bool done;     /* everything is recorded: a further call records nothing                                      */
    uint64_t reserved[2];
} vka_slice;

/* Compiles what the slices of a plan take, and finds out how much work it is. Pipelines that may begin in the middle of
 * a dispatch are others than those that a plan has so far, and replace them. A plan that is prepared is left as it is.
 * VKA_OK; VKA_INVALID (the operation needs a workspace and its description names none); VKA_UNSUPPORTED (more than
 * 16384 dispatches); VKA_OUT_OF_MEMORY; VKA_DRIVER_ERROR. On an error the plan is as it was. Threads: no other one uses
 * the plan. */
VKA_API vka_status vka_plan_prepare_slices(vka_plan *plan);

/* How much work a prepared plan is, of which a budget is a part: floating-point operations, or 16 for each word of
 * memory, whichever is more, as estimated from shapes. What a device does of it in a millisecond is for the app to
 * measure; between operations it differs a few times, not a hundred times. 0: not prepared, or nothing to do.
 * Threads: any. */
VKA_API uint64_t vka_plan_work(const vka_plan *plan);

/* Records of `count` prepared plans, one after the other, what comes next, of at most so much work. It is never
 * nothing, until everything is recorded: a workgroup may be more than the budget, and so may a dispatch of one of the
 * few kernels that are never cut, mostly sums over rows. Allocates nothing. The plans are the same in all calls of a
 * run, and live as vka_plan_record says. On an error nothing is recorded, and the slice is as it was. VKA_OK;
 * VKA_INVALID (a recorder that is not recording; a plan that is not prepared, or another device's; a slice that is not
 * of these plans). Threads: one thread per recorder at a time, and one per slice. */
VKA_API vka_status vka_plan_record_slice(vka_recorder *recorder, const vka_plan *const *plans, uint32_t count,
                                         uint64_t budget, vka_slice *slice);

/* Compiles the pipelines that recording a description like this takes, so that recording compiles and allocates
 * nothing. Only types, shapes, strides, alignment of offsets and flags matter: here, and for the two functions below,
 * tensors need no buffers. Threads: any. */
VKA_API vka_status vka_operation_prepare(vka_device *device, vka_operation operation, const void *desc,
                                         size_t desc_size);

/* What recording takes; the first `requirements_size` bytes of it are written. Threads: any. */
VKA_API vka_status vka_operation_requirements(vka_device *device, vka_operation operation, const void *desc,
                                              size_t desc_size, vka_requirements *requirements,
                                              size_t requirements_size);

/* Writes what would run and why, as text with one fact a line, NUL-terminated, at most `capacity` bytes. `avoided` is
 * what the device's driver is known to get wrong, and where that is written down. *length, if not NULL, receives the
 * length that the whole text has without the NUL. Threads: any. */
VKA_API vka_status vka_operation_explain(vka_device *device, vka_operation operation, const void *desc,
                                         size_t desc_size, char *text, size_t capacity, size_t *length);

/* Lists every path and tile that can run an operation with this description, whose fields that ask for some are
 * ignored: for whoever measures them. `candidates` is an array of the operation's vka_<op>_candidate, of which each is
 * `candidate_size` bytes long: the path, a 32-bit number of vka_<op>_path, and the four 32-bit numbers of its tile.
 * What is listed runs, and a path that is asked for without a tile runs if any of its tiles is listed. What the
 * device's driver is known to get wrong is not listed, nor what a software driver would take gigabytes of memory to
 * compile. *count receives how many there are; at most `capacity` are written.
 * @return as vka_operation_prepare; VKA_UNSUPPORTED of an operation that has no paths: only those have that define a
 *         vka_<op>_candidate. Threads: any. */
VKA_API vka_status vka_operation_candidates(vka_device *device, vka_operation operation, const void *desc,
                                            size_t desc_size, void *candidates, size_t candidate_size,
                                            uint32_t capacity, uint32_t *count);

/* ---- functions that know the size of a description --------------------------------------------------------------- */

static inline vka_status vka_device_enumerate(const vka_device_desc *desc_, vka_device_caps *caps_, uint32_t capacity_,
                                              uint32_t *count_) {
    return vka_device_enumerate_sized(desc_, sizeof *desc_, caps_, sizeof *caps_, capacity_, count_);
}
static inline vka_status vka_device_create(const vka_device_desc *desc_, vka_device **device_) {
    return vka_device_create_sized(desc_, sizeof *desc_, device_);
}
static inline vka_status vka_buffer_create(vka_device *device_, const vka_buffer_desc *desc_, vka_buffer **buffer_) {
    return vka_buffer_create_sized(device_, desc_, sizeof *desc_, buffer_);
}
static inline vka_status vka_recorder_create(vka_device *device_, const vka_recorder_desc *desc_,
                                             vka_recorder **recorder_) {
    return vka_recorder_create_sized(device_, desc_, sizeof *desc_, recorder_);
}

#ifdef __cplusplus
}
#endif

/* Defines the functions of an operation, of which the headers say what vka_<op> does:
 *
 *   vka_status vka_<op>(vka_recorder *recorder, const vka_<op>_desc *desc);
 *   vka_status vka_<op>_plan(vka_device *device, const vka_<op>_desc *desc, vka_plan **plan);
 *   vka_status vka_<op>_prepare(vka_device *device, const vka_<op>_desc *desc);
 *   vka_status vka_<op>_requirements(vka_device *device, const vka_<op>_desc *desc, vka_requirements *requirements);
 *   vka_status vka_<op>_explain(vka_device *device, const vka_<op>_desc *desc, char *text, size_t capacity,
 *                               size_t *length);
 *
 * They are vka_operation_record, _plan, _prepare, _requirements and _explain, with the size of the description. In C++
 * a description may be a reference as well: vka_attention(rec, {.q = q, ..}) in C++20, or in C++11 vka_attention(rec,
 * vka_describe<vka_attention_desc>([&](vka_attention_desc &d) { d.q = q; .. })). */
#define VKA_OPERATION_FUNCTIONS(op, OP)                                                                                \
    static inline vka_status vka_##op(vka_recorder *recorder_, const vka_##op##_desc *desc_) {                         \
        return vka_operation_record(recorder_, VKA_OPERATION_##OP, desc_, sizeof *desc_);                              \
    }                                                                                                                  \
    static inline vka_status vka_##op##_plan(vka_device *device_, const vka_##op##_desc *desc_, vka_plan **plan_) {    \
        return vka_operation_plan(device_, VKA_OPERATION_##OP, desc_, sizeof *desc_, plan_);                           \
    }                                                                                                                  \
    static inline vka_status vka_##op##_prepare(vka_device *device_, const vka_##op##_desc *desc_) {                   \
        return vka_operation_prepare(device_, VKA_OPERATION_##OP, desc_, sizeof *desc_);                               \
    }                                                                                                                  \
    static inline vka_status vka_##op##_requirements(vka_device *device_, const vka_##op##_desc *desc_,                \
                                                     vka_requirements *requirements_) {                                \
        return vka_operation_requirements(device_, VKA_OPERATION_##OP, desc_, sizeof *desc_, requirements_,            \
                                          sizeof *requirements_);                                                      \
    }                                                                                                                  \
    static inline vka_status vka_##op##_explain(vka_device *device_, const vka_##op##_desc *desc_, char *text_,        \
                                                size_t capacity_, size_t *length_) {                                   \
        return vka_operation_explain(device_, VKA_OPERATION_##OP, desc_, sizeof *desc_, text_, capacity_, length_);    \
    }                                                                                                                  \
    VKA_OPERATION_REFERENCES(op)

/* And of an operation that has paths
 *
 *   vka_status vka_<op>_candidates(vka_device *device, const vka_<op>_desc *desc, vka_<op>_candidate *candidates,
 *                                  uint32_t capacity, uint32_t *count);
 *
 * which is vka_operation_candidates with the sizes of both structures. */
#define VKA_OPERATION_CANDIDATES(op, OP)                                                                               \
    static inline vka_status vka_##op##_candidates(vka_device *device_, const vka_##op##_desc *desc_,                  \
                                                   vka_##op##_candidate *candidates_, uint32_t capacity_,              \
                                                   uint32_t *count_) {                                                 \
        return vka_operation_candidates(device_, VKA_OPERATION_##OP, desc_, sizeof *desc_, candidates_,                \
                                        sizeof *candidates_, capacity_, count_);                                       \
    }                                                                                                                  \
    VKA_OPERATION_CANDIDATES_REFERENCE(op)

#ifdef __cplusplus
#    define VKA_OPERATION_CANDIDATES_REFERENCE(op)                                                                     \
        extern "C++" {                                                                                                 \
        static inline vka_status vka_##op##_candidates(vka_device *device_, const vka_##op##_desc &desc_,              \
                                                       vka_##op##_candidate *candidates_, uint32_t capacity_,          \
                                                       uint32_t *count_) {                                             \
            return vka_##op##_candidates(device_, &desc_, candidates_, capacity_, count_);                             \
        }                                                                                                              \
        }
#    define VKA_OPERATION_REFERENCES(op)                                                                               \
        extern "C++" {                                                                                                 \
        static inline vka_status vka_##op(vka_recorder *recorder_, const vka_##op##_desc &desc_) {                     \
            return vka_##op(recorder_, &desc_);                                                                        \
        }                                                                                                              \
        static inline vka_status vka_##op##_plan(vka_device *device_, const vka_##op##_desc &desc_,                    \
                                                 vka_plan **plan_) {                                                   \
            return vka_##op##_plan(device_, &desc_, plan_);                                                            \
        }                                                                                                              \
        static inline vka_status vka_##op##_prepare(vka_device *device_, const vka_##op##_desc &desc_) {               \
            return vka_##op##_prepare(device_, &desc_);                                                                \
        }                                                                                                              \
        static inline vka_status vka_##op##_requirements(vka_device *device_, const vka_##op##_desc &desc_,            \
                                                         vka_requirements *requirements_) {                            \
            return vka_##op##_requirements(device_, &desc_, requirements_);                                            \
        }                                                                                                              \
        static inline vka_status vka_##op##_explain(vka_device *device_, const vka_##op##_desc &desc_, char *text_,    \
                                                    size_t capacity_, size_t *length_) {                               \
            return vka_##op##_explain(device_, &desc_, text_, capacity_, length_);                                     \
        }                                                                                                              \
        }

extern "C++" {
static inline vka_status vka_device_create(const vka_device_desc &desc_, vka_device **device_) {
    return vka_device_create(&desc_, device_);
}
static inline vka_status vka_buffer_create(vka_device *device_, const vka_buffer_desc &desc_, vka_buffer **buffer_) {
    return vka_buffer_create(device_, &desc_, buffer_);
}
static inline vka_status vka_recorder_create(vka_device *device_, const vka_recorder_desc &desc_,
                                             vka_recorder **recorder_) {
    return vka_recorder_create(device_, &desc_, recorder_);
}

/* A description whose fields `fill` sets, all others being zero. */
template <typename Desc, typename Fill> Desc vka_describe(Fill fill) {
    Desc desc = Desc();
    fill(desc);
    return desc;
}
} /* extern "C++" */
#else
#    define VKA_OPERATION_CANDIDATES_REFERENCE(op)
#    define VKA_OPERATION_REFERENCES(op)
#endif

#endif
