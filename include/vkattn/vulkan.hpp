/* vkattn/vulkan.h in C++17: the four steps of an app that has its own VkDevice.
 * SPDX-License-Identifier: MIT
 *
 *   vkattn::import_device(device, vkattn::import_desc().instance(instance). .. .enabled(features));
 *   vkattn::wrap(buffer, device, vk_buffer, 0, size);
 *   each frame: vkattn::wrap(recorder, commands), recorder.record(..), vkattn::unwrap(recorder).
 *
 * What has no word here is called in C: vka_vulkan_query, vka_vulkan_features, vka_device_vk, .. */
#ifndef VKATTN_VULKAN_HPP
#define VKATTN_VULKAN_HPP

#include <vkattn/vkattn.hpp>
#include <vkattn/vulkan.h>

VKATTN_NAMESPACE_BEGIN

using import_desc = describe<vka_import_desc>;
using submit_desc = describe<vka_submit_desc>;

/* A device from the app's own: like create, destroys what was there. */
inline status import_device(device &imported, const vka_import_desc &desc) VKATTN_NOEXCEPT {
    return check(vka_device_import(&desc, imported.put()));
}

/* The app's buffer, or a range of it. The VkBuffer stays the app's. */
inline status wrap(buffer &wrapped, vka_device *device, VkBuffer vk_buffer, std::uint64_t offset,
                   std::uint64_t size) VKATTN_NOEXCEPT {
    return check(vka_buffer_wrap(device, vk_buffer, offset, size, wrapped.put()));
}

/* Records into the app's command buffer from now to unwrap. */
inline status wrap(vka_recorder *recorder, VkCommandBuffer commands) VKATTN_NOEXCEPT {
    return check(vka_recorder_wrap(recorder, commands));
}
inline status unwrap(vka_recorder *recorder) VKATTN_NOEXCEPT {
    return check(vka_recorder_unwrap(recorder));
}

/* recorder.submit() with semaphores and a fence. */
inline status submit(vka_recorder *recorder, const vka_submit_desc &desc) VKATTN_NOEXCEPT {
    return check(vka_recorder_submit_vk(recorder, &desc));
}

VKATTN_NAMESPACE_END

#endif
