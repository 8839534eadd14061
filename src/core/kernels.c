/* SPDX-License-Identifier: MIT */
#include "core/dispatch.h"

const char *vka__kernel_name(vka__kernel kernel) {
    static const char *const names[] = {
#define VKA_KERNEL(name, source, defines, needs) #name,
#include "kernels.def"
#undef VKA_KERNEL
    };
    return (unsigned)kernel < VKA__KERNEL_COUNT ? names[kernel] : "none";
}
