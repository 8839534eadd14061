/* VulkanMemoryAllocator behind a few C functions: it is a C++ header.
 * SPDX-License-Identifier: MIT */
#if defined(__GNUC__)
#    pragma GCC diagnostic push
#    pragma GCC diagnostic ignored "-Wpragmas"
#    pragma GCC diagnostic ignored "-Wall"
#    pragma GCC diagnostic ignored "-Wextra"
#    pragma GCC diagnostic ignored "-Wshadow"
#    pragma GCC diagnostic ignored "-Wpedantic"
#    pragma GCC diagnostic ignored "-Wunused-parameter"
#    pragma GCC diagnostic ignored "-Wunused-variable"
#    pragma GCC diagnostic ignored "-Wunused-function"
#    pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#    pragma GCC diagnostic ignored "-Wparentheses"
#    pragma GCC diagnostic ignored "-Wnullability-completeness"
#    pragma GCC diagnostic ignored "-Wunknown-warning-option"
#endif
#define VK_NO_PROTOTYPES
#define VMA_IMPLEMENTATION
#define VMA_STATIC_VULKAN_FUNCTIONS  0
#define VMA_DYNAMIC_VULKAN_FUNCTIONS 1
#define VMA_STATS_STRING_ENABLED     0
/* The library never aborts; VMA's assertions catch misuse of VMA, and all uses of it are in this file. */
#define VMA_ASSERT(expression)       ((void)0)
#define VMA_HEAVY_ASSERT(expression) ((void)0)
#define VMA_ASSERT_LEAK(expression)  ((void)0)
/* Mutexes of C, so that apps need no C++ run-time library. */
#include "core/sync.h"
namespace {
class Mutex {
  public:
    Mutex() {
        vka__mutex_init(&mutex);
    }
    ~Mutex() {
        vka__mutex_destroy(&mutex);
    }
    Mutex(const Mutex &) = delete;
    Mutex &operator=(const Mutex &) = delete;
    void Lock() {
        vka__lock(&mutex);
    }
    void Unlock() {
        vka__unlock(&mutex);
    }
    bool TryLock() {
        Lock();
        return true;
    }
    void LockRead() {
        Lock();
    }
    void UnlockRead() {
        Unlock();
    }
    bool TryLockRead() {
        return TryLock();
    }
    void LockWrite() {
        Lock();
    }
    void UnlockWrite() {
        Unlock();
    }
    bool TryLockWrite() {
        return TryLock();
    }

  private:
    vka__mutex mutex;
};
} // namespace
#define VMA_MUTEX    Mutex
#define VMA_RW_MUTEX Mutex
#include <vk_mem_alloc.h>
#include <cstddef>
#include <cstdlib>
#if defined(__GNUC__)
#    pragma GCC diagnostic pop
#endif

extern "C" {
#include "vk/vk.h"
}

/* Virtual destructors and abstract classes refer to these, though VMA frees through its own callbacks and constructs no
 * abstract class. The build keeps them out of what the libraries export; where it can't, they do what the language's
 * own do, or give way to them. */
extern "C" __attribute__((weak)) void __cxa_pure_virtual() {
}
/* AddressSanitizer pairs new with delete and brings its own. */
#if defined(__has_feature)
#    if __has_feature(address_sanitizer)
#        define VKA_ADDRESS_SANITIZER 1
#    endif
#elif defined(__SANITIZE_ADDRESS__)
#    define VKA_ADDRESS_SANITIZER 1
#endif
#ifndef VKA_ADDRESS_SANITIZER
__attribute__((weak)) void operator delete(void *memory) noexcept {
    std::free(memory);
}
__attribute__((weak)) void operator delete(void *memory, std::size_t) noexcept {
    std::free(memory);
}
#endif

extern "C" VkResult vka__vma_create(const vka_device *device, vka__vma *vma) {
    VmaVulkanFunctions functions = {};
    functions.vkGetInstanceProcAddr = device->instance.get_proc_addr;
    functions.vkGetDeviceProcAddr = device->instance.GetDeviceProcAddr;
    VmaAllocatorCreateInfo info = {};
    info.instance = device->instance.handle;
    info.physicalDevice = device->physical;
    info.device = device->handle;
    info.pVulkanFunctions = &functions;
    info.vulkanApiVersion = device->caps.api_version;
    return vmaCreateAllocator(&info, vma);
}

extern "C" void vka__vma_destroy(vka__vma vma) {
    vmaDestroyAllocator(vma);
}

extern "C" VkResult vka__vma_create_buffer(vka__vma vma, const VkBufferCreateInfo *info, vka_memory memory, bool map,
                                           VkBuffer *buffer, vka__vma_allocation *allocation, void **mapped,
                                           uint64_t *bytes) {
    VmaAllocationCreateInfo want = {};
    want.usage = VMA_MEMORY_USAGE_AUTO_PREFER_DEVICE;
    if (memory == VKA_MEMORY_UPLOAD) {
        want.flags = VMA_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT;
        want.requiredFlags = VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    } else if (memory == VKA_MEMORY_READBACK) {
        want.usage = VMA_MEMORY_USAGE_AUTO_PREFER_HOST;
        want.flags = VMA_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT;
        want.requiredFlags = VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    } else if (map) {
        want.flags =
            VMA_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT | VMA_ALLOCATION_CREATE_HOST_ACCESS_ALLOW_TRANSFER_INSTEAD_BIT;
        /* On integrated GPUs VMA would prefer cached system memory otherwise. */
        want.requiredFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    }
    if (want.flags)
        want.flags |= VMA_ALLOCATION_CREATE_MAPPED_BIT;
    VmaAllocationInfo result = {};
    VkResult status = vmaCreateBuffer(vma, info, &want, buffer, allocation, &result);
    *mapped = status == VK_SUCCESS ? result.pMappedData : nullptr;
    *bytes = status == VK_SUCCESS ? result.size : 0;
    return status;
}

extern "C" void vka__vma_destroy_buffer(vka__vma vma, VkBuffer buffer, vka__vma_allocation allocation) {
    vmaDestroyBuffer(vma, buffer, allocation);
}

extern "C" VkResult vka__vma_flush(vka__vma vma, vka__vma_allocation allocation, uint64_t offset, uint64_t size) {
    return vmaFlushAllocation(vma, allocation, offset, size);
}

extern "C" VkResult vka__vma_invalidate(vka__vma vma, vka__vma_allocation allocation, uint64_t offset, uint64_t size) {
    return vmaInvalidateAllocation(vma, allocation, offset, size);
}
