/* SPDX-License-Identifier: MIT */
#include "ops/sampling/sampling.h"

uint32_t vka__selection_group(const vka_device_caps *caps, uint32_t cols) {
    uint32_t most = caps->type == VKA_DEVICE_CPU ? 8 : vka__group_size(caps, 512), group = vka__min_u32(most, 32);
    while (group < most && group * 2 <= vka__div_up(cols, 4))
        group *= 2;
    return group;
}
