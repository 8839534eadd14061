/* What operations use to get recorded. No Vulkan in here: the API layer includes it.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_RECORD_H
#define VKA_RECORD_H

#include "plan/plan.h"

/* A planned operation: its buffers by binding (or what vka__binding.buffer says), its parameter block and its
 * dispatches, one after the other. */
typedef struct vka__operation {
    const char *item; /* function name, for the log                                   */
    const void *params;
    size_t params_size;
    vka_buffer *buffers[VKA__BUFFERS];
    const int32_t
        *values[VKA_MAX_BINDINGS]; /* host values where there is no buffer; copied. The dispatches' bindings of */
                                   /*   them begin at 0                           */
    uint64_t workspace_bytes;      /* 0: none                                             */
    uint64_t workspace_offset;     /* within buffers[workspace_binding], if that is given */
    uint32_t workspace_binding;    /* its buffer may be NULL: the recorder's scratch      */
    uint64_t dispatches;
    void (*dispatch)(const void *user, uint64_t index, vka__dispatch *out);
    const void *user;
} vka__operation;

/* Records all dispatches, or nothing. */
vka_status vka__record(vka_recorder *recorder, const vka__operation *operation);

/* Compiles the pipelines of all dispatches. */
vka_status vka__prepare(vka_device *device, const vka__operation *operation);

const vka__context *vka__device_context(const vka_device *device);
const vka__tuning *vka__device_tuning(const vka_device *device);
bool vka__device_has_queue(const vka_device *device); /* an imported one may have none */

/* Objects of the app that must be gone before their device. A pattern is a child instead of its buffer. */
typedef enum vka__child { VKA__CHILD_BUFFER, VKA__CHILD_RECORDER, VKA__CHILD_PATTERN, VKA__CHILDREN } vka__child;
void vka__device_count(vka_device *device, vka__child kind, int change);
void vka__buffer_adopt(vka_buffer *buffer); /* a buffer is now part of another child */

vka_device *vka__recorder_device(const vka_recorder *recorder);
vka_device *vka__buffer_device(const vka_buffer *buffer);
uint64_t vka__buffer_base(const vka_buffer *buffer);  /* where a wrapped range begins in its VkBuffer   */
uint64_t vka__buffer_bytes(const vka_buffer *buffer); /* that may be accessed: size plus our own padding */
bool vka__buffer_same_memory(const vka_buffer *a, const vka_buffer *b);

#endif
