/* Tiles of kernels, and what they ask of a device, whatever the operation.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_TILE_H
#define VKA_TILE_H

#include "core/core.h"

#define VKA_VENDOR_AMD      0x1002
#define VKA_VENDOR_INTEL    0x8086
#define VKA_VENDOR_NVIDIA   0x10de
#define VKA_VENDOR_ARM      0x13b5
#define VKA_VENDOR_QUALCOMM 0x5143

/* Rows of a workgroup, columns (attention: keys) of a step, rows of an invocation (matrices: products stacked in a
 * block), invocations that share a row (decode: lanes; matrices: subgroups). */
typedef struct vka__tile {
    uint32_t br, bc, rm, tc;
} vka__tile;

/* Do compilers for it spill where others have registers to spare? */
bool vka__has_few_registers(const vka_device_caps *caps);
/* Apple's GPUs, by any of their drivers. */
bool vka__is_apple(const vka_device_caps *caps);
/* Adreno 6xx and before, whose compiler spills some kernels that it does not spill for later ones. */
bool vka__is_old_adreno(const vka_device_caps *caps);
/* Mesa's software driver before 26.1 compiles every load into a loop over lanes, and takes minutes over large tiles. */
bool vka__is_slow_compiler(const vka_device_caps *caps);
/* The width that a workgroup of one subgroup is made for; 0: nobody knows how wide subgroups are here. */
uint32_t vka__subgroup_width(const vka_device_caps *caps);

#endif
