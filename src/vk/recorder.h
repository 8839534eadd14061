/* The recorder's inside, shared by recorder.c (life), submit.c (submission) and record.c (commands).
 * SPDX-License-Identifier: MIT */
#ifndef VKA_RECORDER_H
#define VKA_RECORDER_H

#include "vk/bound.h"
#include "vk/record.h"

/* Descriptor sets and parameter blocks for a number of dispatches, all allocated together. */
typedef struct vka__page {
    VkDescriptorPool pool;
    VkDescriptorSet *sets;
    vka_buffer *params;
    uint32_t capacity;
} vka__page;

typedef enum vka__recorder_state {
    VKA__IDLE = 0,   /* nothing recorded                          */
    VKA__RECORDING,  /* into the own command buffer               */
    VKA__WRAPPED,    /* into the app's                            */
    VKA__EXECUTABLE, /* own command buffer ended, can be submitted */
} vka__recorder_state;

struct vka_recorder {
    vka_device *device;
    vka__recorder_state state;
    VkCommandBuffer cmd; /* the one that is recorded into */

    VkCommandPool pool;
    VkCommandBuffer own_cmd;
    VkFence fence;
    bool pending; /* submitted, and not known to have completed */
    bool ran;     /* this recording was submitted at least once */

    vka__page *pages;
    uint32_t page_count;
    uint32_t dispatches; /* recorded */
    uint32_t capacity;   /* of all pages */
    uint32_t slot_bytes; /* of a parameter block */

    vka_buffer *scratch;
    vka_buffer *values; /* host values that operations were given */
    uint64_t values_used;
    vka_buffer **retired; /* outgrown scratch and values that recorded commands still use */
    uint32_t retired_count;

    vka__hazards hazards;

    VkQueryPool queries;
    uint32_t query_count;
    bool *query_written;
};

/* Room for `count` more dispatches, `scratch_bytes` of scratch and `value_bytes` more of host values. Grows; loses
 * nothing on failure. */
vka_status vka__recorder_reserve(vka_recorder *r, const char *item, uint64_t count, uint64_t scratch_bytes,
                                 uint64_t value_bytes);

/* Waits until the submitted work, if any, has completed. */
vka_status vka__recorder_finish(vka_recorder *r, const char *item, uint64_t timeout);

/* Makes everything recorded or submitted so far visible to later kernels and copies, or to the host after a wait. */
typedef enum vka__barrier_target { VKA__FOR_KERNELS, VKA__FOR_HOST } vka__barrier_target;
void vka__recorder_barrier(vka_recorder *r, vka__barrier_target target);

/* A label around the commands of an operation, where the device has labels. Between the two nothing can fail. */
void vka__label_begin(const vka_recorder *r, const char *name);
void vka__label_end(const vka_recorder *r);

/* Page and index within the page of a dispatch. */
vka__page *vka__recorder_slot(vka_recorder *r, uint32_t dispatch, uint32_t *index);

/* ---- recording operations (record.c) ---------------------------------------------------------------------------- */

/* A dispatch with what it binds, and the memory that it accesses. */
typedef struct vka__command {
    VkPipeline pipeline;
    VkDescriptorSet set;
    const vka_push *push;
    const vka__range *range;
    uint32_t range_count;
    uint32_t groups[3];
    const vka_buffer *indirect; /* NULL: `groups` are the numbers of workgroups, otherwise they lie here */
    uint64_t indirect_at;
} vka__command;

/* Records it, with a barrier before it where it needs one. */
void vka__emit(vka_recorder *r, const vka__command *command);
/* The same of workgroups `first` .. `first` + `count` of it, counted in the order x, y, z; the pipeline allows it. */
void vka__emit_part(vka_recorder *r, const vka__command *command, uint64_t first, uint64_t count);
/* An error unless commands may be recorded. */
vka_status vka__recorder_check(const vka_recorder *r, const char *item);
vka_status vka__get_pipelines(vka_device *device, const char *item, const vka__pipeline_key *keys, uint32_t count,
                              VkPipeline pipelines[VKA__MAX_KEYS]);
/* vka__record with pipelines that are compiled, by a recorder that is recording. */
vka_status vka__record_compiled(vka_recorder *r, const vka__commands *commands, const VkPipeline *pipelines);
/* Room that a source takes in memory for host values. */
uint64_t vka__value_room(const vka_device *device, const vka__commands *commands, uint32_t source);

#endif
