/* SPDX-License-Identifier: MIT */
#include "op/switched_off.h"

_Static_assert(VKA__KERNEL_COUNT <= 64 * VKA_SWITCHED_OFF_WORDS, "every kernel has a bit");

bool vka__any_switched_off(const vka_device_caps *caps) {
    uint64_t any = 0;
    for (uint32_t i = 0; i < VKA_SWITCHED_OFF_WORDS; ++i)
        any |= caps->switched_off[i];
    return any;
}

const char *vka__switched_off_why(uint32_t kernel) {
    static const char *const why[] = {
#define VKA_KERNEL(name, source, defines, needs)                                                                       \
    "its kernel " #name " is switched off by the self-test, which got wrong results from it on this device",
#include "kernels.def"
#undef VKA_KERNEL
    };
    return why[kernel];
}
