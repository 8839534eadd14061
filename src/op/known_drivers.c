/* The table of drivers that are known to give wrong results. A line says what is known in public, and where; it has a
 * test in tests/test_plan_drivers.c.
 * SPDX-License-Identifier: MIT */
#include "op/known_drivers.h"

#include <stddef.h>

#include "op/tile.h"

#define BIT(driver) (UINT32_C(1) << (driver))
/* They share the passes that lower SPIR-V to what hardware has. */
#define ALL_OF_MESA                                                                                                    \
    (BIT(VKA__DRIVER_RADV) | BIT(VKA__DRIVER_ANV) | BIT(VKA__DRIVER_LLVMPIPE) | BIT(VKA__DRIVER_TURNIP) |              \
     BIT(VKA__DRIVER_V3DV) | BIT(VKA__DRIVER_PANVK) | BIT(VKA__DRIVER_DOZEN) | BIT(VKA__DRIVER_NVK) |                  \
     BIT(VKA__DRIVER_POWERVR) | BIT(VKA__DRIVER_HONEYKRISP) | BIT(VKA__DRIVER_KOSMICKRISP))

static bool has_other_vectors(const vka_device_caps *caps) {
    return caps->subgroup_size != 8;
}

/* AMD's devices have matrices since RDNA3. */
static bool is_before_rdna3(const vka_device_caps *caps) {
    return !caps->matrix_shape_count;
}

static const vka__known_driver table[] = {
    /* Device ids of Panther Lake and Wildcat Lake: linux, include/drm/intel/pciids.h. */
    {
        .drivers = BIT(VKA__DRIVER_ANV),
        .vendor_id = VKA_VENDOR_INTEL,
        .device_ids = {{0xb080, 0xb0bf}, {0xfd80, 0xfd8f}},
        .avoid = VKA__AVOID_MATRICES,
        .fault =
            "Mesa's driver for Intel's Xe3 loads matrices from the wrong place in shared memory (Mesa issue 15932, "
            "cubecl pull request 1444)",
    },
    /* 26.0.8 was right, 26.2.3 is not; nothing is known of what lies between, nor of a version that is right again. */
    {
        .drivers = BIT(VKA__DRIVER_ANV),
        .vendor_id = VKA_VENDOR_INTEL,
        .first_bad = VKA__MESA(26, 2, 0),
        .avoid = VKA__AVOID_MATRICES,
        .fault = "Mesa's driver for Intel multiplies wrong, from 26.2 on, when workgroups of a core have different "
                 "numbers of products (llama.cpp pull request 24406)",
    },
    /* TU102 to TU117. */
    {
        .drivers = BIT(VKA__DRIVER_NVIDIA),
        .vendor_id = VKA_VENDOR_NVIDIA,
        .device_ids = {{0x1e00, 0x1fff}, {0x2180, 0x21ff}},
        .avoid = VKA__AVOID_PLAIN_MATRICES,
        .fault =
            "NVIDIA's compiler makes wrong code of attention by matrices for Turing (llama.cpp pull request 19290)",
    },
    {
        .drivers = BIT(VKA__DRIVER_AMD),
        .vendor_id = VKA_VENDOR_AMD,
        .is_class = is_before_rdna3,
        .avoid = VKA__AVOID_F16_SHUFFLES,
        .fault = "AMD's driver for Windows shuffles vectors of f16 wrong on RDNA2 and before (llama.cpp issue 19881)",
    },
    /* A 16x16 matrix of ones, of 8x8 grains, sums to 16 in its upper rows and to 8 in its lower ones. */
    {
        .drivers = ALL_OF_MESA,
        .avoid = VKA__AVOID_BLOCK_REDUCTIONS,
        .fault = "Mesa sums only the first row of grains in reductions by rows (measured with 26.1.6)",
    },
    /* At 4 lanes loads fault; at 16 products fault and reductions are wrong. */
    {
        .drivers = BIT(VKA__DRIVER_LLVMPIPE),
        .is_class = has_other_vectors,
        .avoid = VKA__AVOID_MATRICES,
        .fault = "Mesa's software driver crashes on matrices unless its subgroups have 8 lanes (measured with 26.1.6)",
    },
};
#define LINES (sizeof table / sizeof *table)

const vka__known_driver *vka__known_driver_at(uint32_t line) {
    return line < LINES ? &table[line] : NULL;
}

static bool has_device(const vka__known_driver *k, uint32_t device_id) {
    bool any = true, found = false;
    for (size_t i = 0; i < sizeof k->device_ids / sizeof *k->device_ids; ++i)
        if (k->device_ids[i].last) {
            any = false;
            found = found || (device_id >= k->device_ids[i].first && device_id <= k->device_ids[i].last);
        }
    return any || found;
}

static bool holds(const vka__known_driver *k, const vka_device_caps *caps) {
    return caps->driver_id < 32 && (k->drivers & BIT(caps->driver_id)) &&
           (!k->vendor_id || k->vendor_id == caps->vendor_id) && caps->driver_version >= k->first_bad &&
           (!k->first_good || caps->driver_version < k->first_good) && has_device(k, caps->device_id) &&
           (!k->is_class || k->is_class(caps));
}

/* What a device would do if nothing were known against it. */
static uint32_t can_do(const vka_device_caps *caps) {
    uint32_t can = caps->f16_arithmetic && caps->subgroup_shuffle ? VKA__AVOID_F16_SHUFFLES : 0;
    if (caps->matrix_shape_count)
        can |= VKA__AVOID_MATRICES | VKA__AVOID_PLAIN_MATRICES;
    if (caps->matrix_operations)
        can |= VKA__AVOID_MATRICES;
    if (caps->matrix_operations && caps->matrix_grain.m && !caps->matrix_workgroup_grain.m)
        can |= VKA__AVOID_BLOCK_REDUCTIONS;
    return can;
}

uint32_t vka__known_drivers(const vka_device_caps *caps) {
    uint32_t lines = 0, can = can_do(caps);
    for (uint32_t i = 0; i < LINES; ++i)
        if ((table[i].avoid & can) && holds(&table[i], caps))
            lines |= BIT(i);
    return lines;
}

const char *vka__known_fault(const vka_device_caps *caps, uint32_t avoid) {
    uint32_t lines = vka__known_drivers(caps);
    for (uint32_t i = 0; i < LINES; ++i)
        if ((lines & BIT(i)) && (table[i].avoid & avoid))
            return table[i].fault;
    return NULL;
}
