/* Which memory has been read and written since the last barrier. Pure bookkeeping: testable without a device.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_HAZARD_H
#define VKA_HAZARD_H

#include "core/core.h"

/* Ten dispatches of as many bindings as there can be, or forty of dense operations. */
#define VKA_HAZARD_CAPACITY 192

typedef struct vka__range {
    uint64_t buffer; /* the VkBuffer handle as a number */
    uint64_t begin, end;
    bool write;
} vka__range;

typedef struct vka__hazards {
    vka__range ranges[VKA_HAZARD_CAPACITY];
    uint32_t count;
} vka__hazards;

/* Adds the accesses of one command. True: a barrier is needed before it; what was known is forgotten then. */
bool vka__hazards_add(vka__hazards *hazards, const vka__range *ranges, uint32_t count);

#endif
