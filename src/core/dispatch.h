/* What the Vulkan side knows of an operation: its kernels, and what each of its dispatches binds.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_DISPATCH_H
#define VKA_DISPATCH_H

#include "core/core.h"
#include "params.h"

/* Kernels, in the order of kernels.def. */
typedef enum vka__kernel {
#define VKA_KERNEL(name, source, defines, needs) VKA__##name,
#include "kernels.def"
#undef VKA_KERNEL
    VKA__KERNEL_COUNT
} vka__kernel;

/* The source-independent name of a kernel. */
const char *vka__kernel_name(vka__kernel kernel);

/* A pipeline: a kernel and its specialization constants. */
typedef struct vka__pipeline_key {
    uint32_t kernel;
    uint32_t any_group; /* 1: dispatches may begin at any workgroup (vka_plan_prepare_slices) */
    uint32_t spec[VKA_SPEC_COUNT];
    uint32_t code[2]; /* hash of the caller's SPIR-V that takes the place of the kernel's; 0: none does */
    /* That SPIR-V, which is there while a pipeline is asked for, and plays no part in comparisons. */
    const uint32_t *words;
    size_t bytes;
} vka__pipeline_key;
/* What is compared, bytewise. */
#define VKA__KEY_BYTES (offsetof(vka__pipeline_key, code) + sizeof((vka__pipeline_key){0}.code))

typedef enum vka__access {
    VKA__UNUSED = 0,
    VKA__READ = 1,
    VKA__WRITE = 2,
    VKA__READ_WRITE = 3,
} vka__access;

/* Memory that bindings show, by number. */
enum {
    VKA__SOURCE_WORKSPACE = 0,
    VKA__SOURCE_COUNTS =
        1, /* numbers of workgroups that an operation's first dispatch computes: memory of the recorder */
    VKA__SOURCE_ARGS = 2, /* the first of an operation's tensors */
    VKA__MAX_SOURCES = 48,
};

/* One binding of a dispatch (binding 0, the parameters, is not listed). */
typedef struct vka__binding {
    vka__access access;
    uint32_t source;
    uint64_t offset; /* bytes from the start of the source's VkBuffer, but of VKA__SOURCE_WORKSPACE, _COUNTS and host */
    /*   values from their own start; a multiple of the device's storage alignment                    */
    uint64_t range; /* bytes, a multiple of 4                                                                         */
} vka__binding;

typedef struct vka__dispatch {
    uint32_t key;    /* which of the operation's pipelines        */
    uint32_t params; /* which of the operation's parameter blocks */
    vka__binding binding[VKA_MAX_BINDINGS];
    uint32_t groups[3]; /* at most, when the device computes them */
    uint32_t indirect;  /* 1 or 2: as many as the first or second entry of VKA__SOURCE_COUNTS says; 0: as above */
    uint64_t group_ops; /* operations of a workgroup, about; 0: not known */
    vka_push push;
} vka__dispatch;

/* Pipelines of one operation. */
#define VKA__MAX_KEYS 16
/* Bytes of a parameter block. */
#define VKA__MAX_PARAMS 912
/* Bytes of VKA__SOURCE_COUNTS: two entries. */
#define VKA__COUNTS_BYTES 24

/* Where a source lies: in a buffer, or in host memory from which the recorder copies it. */
typedef struct vka__source {
    const vka_buffer *buffer;
    uint64_t offset; /* of host values that were copied to `buffer`: where in its VkBuffer; otherwise 0 */
    const void *values;
    uint64_t value_bytes;
} vka__source;

/* A planned operation: what recording it takes. */
typedef struct vka__commands {
    const char *item; /* function name, for the log */
    const void *params;
    size_t params_size; /* of a block */
    uint32_t param_blocks;
    const vka__pipeline_key *keys;
    uint32_t key_count;
    uint32_t source_count;
    vka__source source[VKA__MAX_SOURCES];
    uint64_t workspace_bytes;  /* 0: none                                                                   */
    uint64_t workspace_offset; /* within the workspace's buffer; without one, within the recorder's scratch */
    bool counts;               /* the first dispatch computes VKA__SOURCE_COUNTS                            */
    uint64_t dispatches;       /* one after the other                                                       */
    void (*dispatch)(const void *user, uint64_t index, vka__dispatch *out);
    const void *user;
} vka__commands;

#endif
