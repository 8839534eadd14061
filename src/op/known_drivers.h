/* Drivers that are known to give wrong results, and what plans avoid there.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_KNOWN_DRIVERS_H
#define VKA_KNOWN_DRIVERS_H

#include <vkattn/vkattn.h>

/* VkDriverId, of the drivers that plans know by name. */
enum {
    VKA__DRIVER_AMD = 1, /* proprietary; on Windows, AMD's only one */
    VKA__DRIVER_RADV = 3,
    VKA__DRIVER_NVIDIA = 4, /* proprietary */
    VKA__DRIVER_ANV = 6,    /* and HasVK   */
    VKA__DRIVER_SWIFTSHADER = 10,
    VKA__DRIVER_LLVMPIPE = 13,
    VKA__DRIVER_MOLTENVK = 14,
    VKA__DRIVER_TURNIP = 18,
    VKA__DRIVER_V3DV = 19,
    VKA__DRIVER_PANVK = 20,
    VKA__DRIVER_DOZEN = 23,
    VKA__DRIVER_NVK = 24,
    VKA__DRIVER_POWERVR = 25,
    VKA__DRIVER_HONEYKRISP = 26,
    VKA__DRIVER_KOSMICKRISP = 28,
};

/* vka_device_caps.driver_version of Mesa's drivers. */
#define VKA__MESA(major, minor, patch) ((uint32_t)(major) << 22 | (uint32_t)(minor) << 12 | (uint32_t)(patch))

/* What is avoided, as bits. */
typedef enum vka__avoid {
    VKA__AVOID_MATRICES = 1,         /* all cooperative matrices                                      */
    VKA__AVOID_PLAIN_MATRICES = 2,   /* those of VK_KHR_cooperative_matrix alone: the coopmat path    */
    VKA__AVOID_BLOCK_REDUCTIONS = 4, /* by rows, of matrices with several grains in both directions   */
    VKA__AVOID_F16_SHUFFLES = 8,     /* in subgroups: no kernel has any, and a test keeps it that way */
} vka__avoid;

/* A line of the table. */
typedef struct vka__known_driver {
    uint32_t drivers;               /* bits of VkDriverId                                               */
    uint32_t vendor_id;             /* 0: any                                                           */
    uint32_t first_bad, first_good; /* driver versions; 0: since ever, not yet                         */
    struct {
        uint32_t first, last;
    } device_ids[2];                           /* ranges; none: all                                   */
    bool (*is_class)(const vka_device_caps *); /* of devices; NULL: all                               */
    uint32_t avoid;
    const char *fault; /* what goes wrong, and where it is written down */
} vka__known_driver;

/* Lines are numbered from 0; NULL: there are no more. */
const vka__known_driver *vka__known_driver_at(uint32_t line);

/* Lines, as bits, that hold for the device and avoid something that it would otherwise do. */
uint32_t vka__known_drivers(const vka_device_caps *caps);

/* Why the device can't be trusted with any of `avoid`; NULL: nothing is known against it. */
const char *vka__known_fault(const vka_device_caps *caps, uint32_t avoid);

#endif
