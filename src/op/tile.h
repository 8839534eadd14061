/* Tiles of kernels, whatever the operation.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_TILE_H
#define VKA_TILE_H

#include "core/core.h"

#define VKA_VENDOR_AMD    0x1002
#define VKA_VENDOR_INTEL  0x8086
#define VKA_VENDOR_NVIDIA 0x10de
#define VKA_VENDOR_ARM    0x13b5

/* Rows of a workgroup, columns (attention: keys) of a step, rows of an invocation (matrices: products stacked in a
 * block), invocations that share a row (decode: lanes; matrices: subgroups). */
typedef struct vka__tile {
    uint32_t br, bc, rm, tc;
} vka__tile;

/* "row", "tile", .., of a vka_attention_path */
const char *vka__path_name(uint32_t path);
/* 0: there is no such path. */
uint32_t vka__path_named(const char *name);

#endif
