/* Kernels that gave wrong results in a device's self-test. Plans keep away from them as they do from what a device
 * lacks. SPDX-License-Identifier: MIT */
#ifndef VKA_SWITCHED_OFF_H
#define VKA_SWITCHED_OFF_H

#include "core/dispatch.h"

/* Bits of vka_device_caps.switched_off. */
static inline bool vka__is_switched_off(const vka_device_caps *caps, uint32_t kernel) {
    return caps->switched_off[kernel / 64] >> kernel % 64 & 1;
}
static inline void vka__switch_off(vka_device_caps *caps, uint32_t kernel) {
    caps->switched_off[kernel / 64] |= UINT64_C(1) << kernel % 64;
}
bool vka__any_switched_off(const vka_device_caps *caps);

/* Why a path that needs the kernel can't run, for refusals. */
const char *vka__switched_off_why(uint32_t kernel);

#endif
