/* Devices that are not here, to plan for.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_PLAN_DEVICES_H
#define VKATTN_TEST_PLAN_DEVICES_H

#include <vkattn/vkattn.h>

typedef struct device {
    const char *name;
    vka_device_caps caps;
} device;

#define MIB (UINT64_C(1) << 20)
/* A version of Mesa's drivers. */
#define MESA(major, minor, patch) ((uint32_t)(major) << 22 | (uint32_t)(minor) << 12 | (uint32_t)(patch))

/* What every description says: the width of a subgroup and the least and most that can be asked for, bytes of shared
 * memory, invocations of a workgroup, bytes and alignment of a binding, and whether there is f16. */
#define CAPS(type_, subgroup, least, most, shared, invocations, range, align, f16)                                     \
    .type = type_, .subgroup_size = subgroup, .subgroup_min = least, .subgroup_max = most, .shared_bytes = shared,     \
    .max_invocations = invocations, .max_groups = {65535, 65535, 65535}, .storage_range = range,                       \
    .storage_buffers = 64, .storage_align = align, .memory_bytes = UINT64_C(1) << 32,                                  \
    .subgroup_arithmetic = subgroup > 1, .subgroup_shuffle = subgroup > 1, .subgroup_size_control = most > least,      \
    .f16_storage = f16, .f16_arithmetic = f16

/* Of every kind that there is, with matrices and without, and the least that Vulkan promises. */
#define DEVICES 24
extern const device devices[DEVICES];

/* The one of this name, which has to be there. */
const device *device_named(const char *name);

#endif
