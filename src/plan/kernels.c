/* SPDX-License-Identifier: MIT */
#include "plan/plan.h"

const char *vka__kernel_name(vka__kernel kernel) {
    static const char *const names[] = {
#define VKA_KERNEL(name, source, defines, needs) #name,
#include "kernels.def"
#undef VKA_KERNEL
    };
    return (unsigned)kernel < VKA__KERNEL_COUNT ? names[kernel] : "none";
}

vka__kernel vka__kernel_for_storage(vka__kernel f32_variant, vka_dtype dtype, const vka_device_caps *caps) {
    uint32_t flavour = dtype == VKA_F32 ? 0 : dtype == VKA_BF16 ? 3 : caps->f16_storage ? 1 : 2;
    return (vka__kernel)((uint32_t)f32_variant + flavour);
}
