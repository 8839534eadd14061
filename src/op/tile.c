/* SPDX-License-Identifier: MIT */
#include "op/tile.h"

#include "op/known_drivers.h"

/* A subgroup of Intel's has a fraction of others' registers, an invocation of Mali's 64. NVIDIA's Kepler has a quarter
 * of what came after it: its ids are below those of the first Maxwell, and its drivers stop at Vulkan 1.2. */
bool vka__has_few_registers(const vka_device_caps *caps) {
    enum { FIRST_MAXWELL = 0x1340 };
    bool kepler = caps->vendor_id == VKA_VENDOR_NVIDIA && caps->device_id < FIRST_MAXWELL &&
                  caps->api_version < (1u << 22 | 3u << 12);
    return kepler || caps->vendor_id == VKA_VENDOR_INTEL || caps->vendor_id == VKA_VENDOR_ARM;
}

bool vka__is_apple(const vka_device_caps *caps) {
    return caps->driver_id == VKA__DRIVER_HONEYKRISP || caps->driver_id == VKA__DRIVER_MOLTENVK ||
           caps->driver_id == VKA__DRIVER_KOSMICKRISP;
}

bool vka__is_old_adreno(const vka_device_caps *caps) {
    return caps->vendor_id == VKA_VENDOR_QUALCOMM && caps->device_id >> 24 <= 6;
}

bool vka__is_slow_compiler(const vka_device_caps *caps) {
    return caps->driver_id == VKA__DRIVER_LLVMPIPE && caps->driver_version < VKA__MESA(26, 1, 0);
}

/* Of a choice 32, or what comes nearest: narrower subgroups share less, wider ones leave lanes idle. */
uint32_t vka__subgroup_width(const vka_device_caps *caps) {
    uint32_t width = caps->subgroup_size;
    if (caps->subgroup_min != caps->subgroup_max) {
        if (!caps->subgroup_size_control)
            return 0;
        width = vka__min_u32(vka__max_u32(32, caps->subgroup_min), caps->subgroup_max);
    }
    return width <= caps->max_invocations ? width : 0;
}
