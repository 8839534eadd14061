/* SPDX-License-Identifier: MIT */
#include "vk/vk.h"

vka_status vka__vk_status(const vka__context *ctx, VkResult result, const char *item, const char *call) {
    switch (result) {
    case VK_SUCCESS:
        return VKA_OK;
    case VK_TIMEOUT:
        return VKA_TIMEOUT;
    case VK_ERROR_OUT_OF_HOST_MEMORY:
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    case VK_ERROR_OUT_OF_POOL_MEMORY:
    case VK_ERROR_FRAGMENTED_POOL:
    case VK_ERROR_TOO_MANY_OBJECTS:
        return vka__fail(ctx, VKA_OUT_OF_MEMORY, item, "%s: out of memory (VkResult %d)", call, (int)result);
    case VK_ERROR_DEVICE_LOST:
        return vka__fail(ctx, VKA_DEVICE_LOST, item, "%s: the device was lost", call);
    default:
        return vka__fail(ctx, VKA_DRIVER_ERROR, item, "%s failed with VkResult %d", call, (int)result);
    }
}
