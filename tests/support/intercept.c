/* SPDX-License-Identifier: MIT */
#include "intercept.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "intercept_instance.h"
#include "system.h"

#define MAX_FUNCTIONS 64

enum { CREATES = 1, MAY_LOSE = 2, MAY_EXHAUST = 4 };

typedef struct function {
    const char *name;
    PFN_vkVoidFunction wrapper;
    unsigned flags;
    uint64_t calls;
} function;

static struct {
    pthread_mutex_t mutex;
    void *loader;
    int64_t live;
    const char *fail_name, *failed;
    uint32_t fail_nth;
    VkResult fail_result;
    bool lost;
    intercept_alteration alter;
} state = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- what wrappers do ---------------------------------------------------------------------------------------- */

static function *find(const char *name);

/* The loader exports trampolines of all core functions, which find a handle's device by themselves. */
static PFN_vkVoidFunction next(const char *name) {
    PFN_vkVoidFunction f;
    pthread_mutex_lock(&state.mutex);
    if (!state.loader) {
        state.loader = system_vulkan();
    }
    void *symbol = state.loader ? system_symbol(state.loader, name) : NULL;
    pthread_mutex_unlock(&state.mutex);
    memcpy(&f, &symbol, sizeof f); /* ISO C has no cast from void * to a function */
    return f;
}

#define NEXT(name) ((PFN_##name)next(#name))

static bool may_return(const function *f, VkResult result) {
    return f->flags & (result == VK_ERROR_DEVICE_LOST ? MAY_LOSE : MAY_EXHAUST);
}

/* Counts the call; anything but VK_SUCCESS is what it must return instead of being made. */
static VkResult gate(const char *name) {
    VkResult result = VK_SUCCESS;
    pthread_mutex_lock(&state.mutex);
    function *f = find(name);
    f->calls++;
    if (state.failed == f->name || (state.lost && (f->flags & MAY_LOSE))) {
        result = state.fail_result;
    } else if (state.fail_nth &&
               (state.fail_name ? !strcmp(name, state.fail_name) : may_return(f, state.fail_result))) {
        if (--state.fail_nth == 0) {
            result = state.fail_result;
            state.failed = f->name;
            state.lost = result == VK_ERROR_DEVICE_LOST;
        }
    }
    pthread_mutex_unlock(&state.mutex);
    return result;
}

static void count_live(int64_t change) {
    pthread_mutex_lock(&state.mutex);
    state.live += change;
    pthread_mutex_unlock(&state.mutex);
}

static VkResult created(VkResult result) {
    count_live(result == VK_SUCCESS);
    return result;
}

/* ---- functions that create and destroy one thing ------------------------------------------------------------- */

#define PAIRS(X)                                                                                                       \
    X(Buffer)                                                                                                          \
    X(BufferView)                                                                                                      \
    X(CommandPool)                                                                                                     \
    X(DescriptorPool)                                                                                                  \
    X(DescriptorSetLayout)                                                                                             \
    X(Event)                                                                                                           \
    X(Fence)                                                                                                           \
    X(PipelineCache)                                                                                                   \
    X(PipelineLayout)                                                                                                  \
    X(QueryPool)                                                                                                       \
    X(Semaphore)

#define DEFINE_PAIR(T)                                                                                                 \
    static VKAPI_ATTR VkResult VKAPI_CALL create_##T(VkDevice device, const Vk##T##CreateInfo *info,                   \
                                                     const VkAllocationCallbacks *allocator, Vk##T *handle) {          \
        VkResult fault = gate("vkCreate" #T);                                                                          \
        *handle = VK_NULL_HANDLE;                                                                                      \
        return fault ? fault : created(NEXT(vkCreate##T)(device, info, allocator, handle));                            \
    }                                                                                                                  \
    static VKAPI_ATTR void VKAPI_CALL destroy_##T(VkDevice device, Vk##T handle,                                       \
                                                  const VkAllocationCallbacks *allocator) {                            \
        count_live(-(handle != VK_NULL_HANDLE));                                                                       \
        NEXT(vkDestroy##T)(device, handle, allocator);                                                                 \
    }
PAIRS(DEFINE_PAIR)
DEFINE_PAIR(ShaderModule)

static VKAPI_ATTR VkResult VKAPI_CALL create_altered(VkDevice device, const VkShaderModuleCreateInfo *info,
                                                     const VkAllocationCallbacks *allocator, VkShaderModule *module) {
    VkShaderModuleCreateInfo altered = *info;
    uint32_t *code = state.alter ? malloc(info->codeSize) : NULL;
    if (code) {
        memcpy(code, info->pCode, info->codeSize);
        state.alter(info->pCode, code, info->codeSize / 4);
        altered.pCode = code;
    }
    VkResult result = create_ShaderModule(device, &altered, allocator, module);
    free(code);
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL allocate_memory(VkDevice device, const VkMemoryAllocateInfo *info,
                                                      const VkAllocationCallbacks *allocator, VkDeviceMemory *memory) {
    VkResult fault = gate("vkAllocateMemory");
    *memory = VK_NULL_HANDLE;
    return fault ? fault : created(NEXT(vkAllocateMemory)(device, info, allocator, memory));
}

static VKAPI_ATTR void VKAPI_CALL free_memory(VkDevice device, VkDeviceMemory memory,
                                              const VkAllocationCallbacks *allocator) {
    count_live(-(memory != VK_NULL_HANDLE));
    NEXT(vkFreeMemory)(device, memory, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL create_pipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                                       const VkComputePipelineCreateInfo *infos,
                                                       const VkAllocationCallbacks *allocator, VkPipeline *pipelines) {
    VkResult result = gate("vkCreateComputePipelines");
    for (uint32_t i = 0; i < count; i++) {
        pipelines[i] = VK_NULL_HANDLE;
    }
    if (!result) {
        result = NEXT(vkCreateComputePipelines)(device, cache, count, infos, allocator, pipelines);
    }
    for (uint32_t i = 0; i < count; i++) {
        count_live(pipelines[i] != VK_NULL_HANDLE);
    }
    return result;
}

static VKAPI_ATTR void VKAPI_CALL destroy_pipeline(VkDevice device, VkPipeline pipeline,
                                                   const VkAllocationCallbacks *allocator) {
    count_live(-(pipeline != VK_NULL_HANDLE));
    NEXT(vkDestroyPipeline)(device, pipeline, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info,
                                                      const VkAllocationCallbacks *allocator, VkInstance *instance) {
    VkResult fault = gate("vkCreateInstance");
    *instance = VK_NULL_HANDLE;
    return fault ? fault : created(intercept_instance_create(NEXT(vkGetInstanceProcAddr), info, allocator, instance));
}

static VKAPI_ATTR void VKAPI_CALL destroy_instance(VkInstance instance, const VkAllocationCallbacks *allocator) {
    count_live(-(instance != VK_NULL_HANDLE));
    intercept_instance_destroy(NEXT(vkGetInstanceProcAddr), instance, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                                    const VkAllocationCallbacks *allocator, VkDevice *device) {
    VkResult fault = gate("vkCreateDevice");
    *device = VK_NULL_HANDLE;
    return fault ? fault : created(NEXT(vkCreateDevice)(physical, info, allocator, device));
}

static VKAPI_ATTR void VKAPI_CALL destroy_device(VkDevice device, const VkAllocationCallbacks *allocator) {
    count_live(-(device != VK_NULL_HANDLE));
    NEXT(vkDestroyDevice)(device, allocator);
}

/* ---- functions that can fail --------------------------------------------------------------------------------- */

#define DEFINE_FALLIBLE(name, parameters, arguments)                                                                   \
    static VKAPI_ATTR VkResult VKAPI_CALL fallible_##name parameters {                                                 \
        VkResult fault = gate(#name);                                                                                  \
        return fault ? fault : NEXT(name) arguments;                                                                   \
    }
DEFINE_FALLIBLE(vkEnumeratePhysicalDevices, (VkInstance i, uint32_t *n, VkPhysicalDevice *d), (i, n, d))
DEFINE_FALLIBLE(vkAllocateCommandBuffers, (VkDevice d, const VkCommandBufferAllocateInfo *i, VkCommandBuffer *c),
                (d, i, c))
DEFINE_FALLIBLE(vkAllocateDescriptorSets, (VkDevice d, const VkDescriptorSetAllocateInfo *i, VkDescriptorSet *s),
                (d, i, s))
DEFINE_FALLIBLE(vkBindBufferMemory, (VkDevice d, VkBuffer b, VkDeviceMemory m, VkDeviceSize o), (d, b, m, o))
DEFINE_FALLIBLE(vkBindBufferMemory2, (VkDevice d, uint32_t n, const VkBindBufferMemoryInfo *i), (d, n, i))
DEFINE_FALLIBLE(vkMapMemory,
                (VkDevice d, VkDeviceMemory m, VkDeviceSize o, VkDeviceSize s, VkMemoryMapFlags f, void **p),
                (d, m, o, s, f, p))
DEFINE_FALLIBLE(vkFlushMappedMemoryRanges, (VkDevice d, uint32_t n, const VkMappedMemoryRange *r), (d, n, r))
DEFINE_FALLIBLE(vkInvalidateMappedMemoryRanges, (VkDevice d, uint32_t n, const VkMappedMemoryRange *r), (d, n, r))
DEFINE_FALLIBLE(vkBeginCommandBuffer, (VkCommandBuffer c, const VkCommandBufferBeginInfo *i), (c, i))
DEFINE_FALLIBLE(vkEndCommandBuffer, (VkCommandBuffer c), (c))
DEFINE_FALLIBLE(vkResetCommandPool, (VkDevice d, VkCommandPool p, VkCommandPoolResetFlags f), (d, p, f))
DEFINE_FALLIBLE(vkResetCommandBuffer, (VkCommandBuffer c, VkCommandBufferResetFlags f), (c, f))
DEFINE_FALLIBLE(vkResetFences, (VkDevice d, uint32_t n, const VkFence *f), (d, n, f))
DEFINE_FALLIBLE(vkQueueSubmit, (VkQueue q, uint32_t n, const VkSubmitInfo *i, VkFence f), (q, n, i, f))
DEFINE_FALLIBLE(vkGetFenceStatus, (VkDevice d, VkFence f), (d, f))
DEFINE_FALLIBLE(vkGetQueryPoolResults,
                (VkDevice d, VkQueryPool p, uint32_t f, uint32_t n, size_t s, void *o, VkDeviceSize t,
                 VkQueryResultFlags l),
                (d, p, f, n, s, o, t, l))
DEFINE_FALLIBLE(vkGetPipelineCacheData, (VkDevice d, VkPipelineCache c, size_t *s, void *o), (d, c, s, o))

/* Waits: a lost device finishes in reality first, so that destroying what it used stays legal. */
static VKAPI_ATTR VkResult VKAPI_CALL wait_fences(VkDevice device, uint32_t count, const VkFence *fences, VkBool32 all,
                                                  uint64_t timeout) {
    VkResult fault = gate("vkWaitForFences");
    if (fault == VK_ERROR_DEVICE_LOST) {
        NEXT(vkDeviceWaitIdle)(device);
    }
    return fault ? fault : NEXT(vkWaitForFences)(device, count, fences, all, timeout);
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_queue(VkQueue queue) {
    VkResult fault = gate("vkQueueWaitIdle"), result = NEXT(vkQueueWaitIdle)(queue);
    return fault ? fault : result;
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_device(VkDevice device) {
    VkResult fault = gate("vkDeviceWaitIdle"), result = NEXT(vkDeviceWaitIdle)(device);
    return fault ? fault : result;
}

static VKAPI_ATTR void VKAPI_CALL dispatch(VkCommandBuffer commands, uint32_t x, uint32_t y, uint32_t z) {
    gate("vkCmdDispatch");
    NEXT(vkCmdDispatch)(commands, x, y, z);
}

/* ---- the table and its users --------------------------------------------------------------------------------- */

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_proc_addr(VkDevice device, const char *name);

#define ROW(name, wrapper, flags)                                                                                      \
    { name, (PFN_vkVoidFunction)(wrapper), flags, 0 }
#define ROW_PAIR(T)               ROW("vkCreate" #T, create_##T, CREATES | MAY_EXHAUST), ROW("vkDestroy" #T, destroy_##T, 0),
#define ROW_FALLIBLE(name, flags) ROW(#name, fallible_##name, flags)

static function functions[MAX_FUNCTIONS] = {
    PAIRS(ROW_PAIR) ROW("vkGetInstanceProcAddr", intercept_get_instance_proc_addr, 0),
    ROW("vkGetDeviceProcAddr", get_device_proc_addr, 0),
    ROW("vkCreateShaderModule", create_altered, CREATES | MAY_EXHAUST),
    ROW("vkDestroyShaderModule", destroy_ShaderModule, 0),
    ROW("vkCreateInstance", create_instance, CREATES | MAY_EXHAUST),
    ROW("vkDestroyInstance", destroy_instance, 0),
    ROW("vkCreateDevice", create_device, CREATES | MAY_EXHAUST),
    ROW("vkDestroyDevice", destroy_device, 0),
    ROW("vkAllocateMemory", allocate_memory, CREATES | MAY_EXHAUST),
    ROW("vkFreeMemory", free_memory, 0),
    ROW("vkCreateComputePipelines", create_pipelines, CREATES | MAY_EXHAUST),
    ROW("vkDestroyPipeline", destroy_pipeline, 0),
    ROW("vkCmdDispatch", dispatch, 0),
    ROW("vkWaitForFences", wait_fences, MAY_LOSE | MAY_EXHAUST),
    ROW("vkQueueWaitIdle", wait_queue, MAY_LOSE | MAY_EXHAUST),
    ROW("vkDeviceWaitIdle", wait_device, MAY_LOSE | MAY_EXHAUST),
    ROW_FALLIBLE(vkEnumeratePhysicalDevices, MAY_EXHAUST),
    ROW_FALLIBLE(vkAllocateCommandBuffers, CREATES | MAY_EXHAUST),
    ROW_FALLIBLE(vkAllocateDescriptorSets, MAY_EXHAUST),
    ROW_FALLIBLE(vkBindBufferMemory, MAY_EXHAUST),
    ROW_FALLIBLE(vkBindBufferMemory2, MAY_EXHAUST),
    ROW_FALLIBLE(vkMapMemory, MAY_EXHAUST),
    ROW_FALLIBLE(vkFlushMappedMemoryRanges, MAY_EXHAUST),
    ROW_FALLIBLE(vkInvalidateMappedMemoryRanges, MAY_EXHAUST),
    ROW_FALLIBLE(vkBeginCommandBuffer, MAY_EXHAUST),
    ROW_FALLIBLE(vkEndCommandBuffer, MAY_EXHAUST),
    ROW_FALLIBLE(vkResetCommandPool, MAY_EXHAUST),
    ROW_FALLIBLE(vkResetCommandBuffer, MAY_EXHAUST),
    ROW_FALLIBLE(vkResetFences, MAY_EXHAUST),
    ROW_FALLIBLE(vkQueueSubmit, MAY_LOSE | MAY_EXHAUST),
    ROW_FALLIBLE(vkGetFenceStatus, MAY_LOSE | MAY_EXHAUST),
    ROW_FALLIBLE(vkGetQueryPoolResults, MAY_LOSE | MAY_EXHAUST),
    ROW_FALLIBLE(vkGetPipelineCacheData, MAY_EXHAUST),
};

static function *find(const char *name) {
    for (function *f = functions; f < functions + MAX_FUNCTIONS && f->name; f++) {
        if (!strcmp(f->name, name)) {
            return f;
        }
    }
    return NULL;
}

PFN_vkVoidFunction VKAPI_CALL intercept_get_instance_proc_addr(VkInstance instance, const char *name) {
    PFN_vkGetInstanceProcAddr real = NEXT(vkGetInstanceProcAddr);
    PFN_vkVoidFunction f = real ? real(instance, name) : NULL;
    function *ours = find(name);
    return f && ours ? ours->wrapper : f;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_proc_addr(VkDevice device, const char *name) {
    PFN_vkVoidFunction f = NEXT(vkGetDeviceProcAddr)(device, name);
    function *ours = find(name);
    return f && ours ? ours->wrapper : f;
}

intercept_function intercept_loader(void) {
    return (intercept_function)intercept_get_instance_proc_addr;
}

bool intercept_has_loader(void) {
    return NEXT(vkGetInstanceProcAddr) != NULL;
}

bool intercept_has_validation(void) {
    return intercept_has_loader() && intercept_instance_has_layer(NEXT(vkGetInstanceProcAddr));
}

void intercept_fail(const char *name, uint32_t nth, VkResult result) {
    pthread_mutex_lock(&state.mutex);
    state.fail_name = name;
    state.fail_nth = nth;
    state.fail_result = result;
    state.failed = NULL;
    state.lost = false;
    pthread_mutex_unlock(&state.mutex);
}

void intercept_alter(intercept_alteration alter) {
    state.alter = alter;
}

const char *intercept_failed(void) {
    return state.failed;
}

uint64_t intercept_count(const char *name) {
    uint64_t calls = 0;
    pthread_mutex_lock(&state.mutex);
    for (function *f = functions; f < functions + MAX_FUNCTIONS && f->name; f++) {
        calls += (name ? !strcmp(f->name, name) : (f->flags & CREATES) != 0) ? f->calls : 0;
    }
    pthread_mutex_unlock(&state.mutex);
    return calls;
}

int64_t intercept_live(void) {
    return state.live;
}
