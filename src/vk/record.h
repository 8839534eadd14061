/* What operations use to get recorded. No Vulkan in here: the API layer includes it.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_RECORD_H
#define VKA_RECORD_H

#include "core/dispatch.h"

/* Records all dispatches, or nothing. */
vka_status vka__record(vka_recorder *recorder, const vka__commands *commands);
/* That it takes of a recorder's memory for host values. */
uint64_t vka__value_bytes(const vka_device *device, const vka__commands *commands);

/* A plan that records them, with copies of host values and with the pipelines. It frees `owned` when it needs it no
 * more, which may be at once: memory of vka__alloc that `commands` points into, also on an error. */
vka_status vka__plan_create(vka_device *device, const vka__commands *commands, void *owned, vka_plan **plan);

/* Compiles pipelines; `item` is for the log. */
vka_status vka__prepare(vka_device *device, const char *item, const vka__pipeline_key *keys, uint32_t count);

const vka__context *vka__device_context(const vka_device *device);
/* The tuning record that the device was created with. */
const struct vka__tuning *vka__device_tuning(const vka_device *device);
/* The self-test's verdict: operations that it went through, as bits, and kernels that it switched off. No other thread
 * may use the device. */
uint64_t vka__device_tested(const vka_device *device);
void vka__device_add_tested(vka_device *device, uint64_t operations);
void vka__device_switch_off(vka_device *device, uint32_t kernel);
/* Takes over what an earlier self-test found. A verdict that is damaged, or not for this device and library, is dropped
 * with a warning. */
void vka__verdict_load(vka_device *device, const char *item, const void *blob, size_t size);
bool vka__device_has_queue(const vka_device *device); /* an imported one may have none */

/* Objects of the app that must be gone before their device. A pattern is a child instead of its buffer. */
typedef enum vka__child {
    VKA__CHILD_BUFFER,
    VKA__CHILD_RECORDER,
    VKA__CHILD_PATTERN,
    VKA__CHILD_PLAN,
    VKA__CHILDREN
} vka__child;
void vka__device_count(vka_device *device, vka__child kind, int change);
void vka__buffer_adopt(vka_buffer *buffer); /* a buffer is now part of another child */

vka_device *vka__recorder_device(const vka_recorder *recorder);
vka_device *vka__buffer_device(const vka_buffer *buffer);
uint64_t vka__buffer_base(const vka_buffer *buffer);  /* where a wrapped range begins in its VkBuffer   */
uint64_t vka__buffer_bytes(const vka_buffer *buffer); /* that may be accessed: size plus our own padding */
bool vka__buffer_same_memory(const vka_buffer *a, const vka_buffer *b);

#endif
