/* SPDX-License-Identifier: MIT */
#include "vk/hazard.h"

static bool conflict(const vka__range *a, const vka__range *b) {
    return (a->write || b->write) && a->buffer == b->buffer && a->begin < b->end && b->begin < a->end;
}

bool vka__hazards_add(vka__hazards *hazards, const vka__range *ranges, uint32_t count) {
    /* A full table is treated as a conflict: a barrier too many is only slow. */
    bool barrier = hazards->count + count > VKA_HAZARD_CAPACITY;
    for (uint32_t i = 0; i < count && !barrier; ++i)
        for (uint32_t j = 0; j < hazards->count && !barrier; ++j)
            barrier = conflict(&ranges[i], &hazards->ranges[j]);
    if (barrier)
        hazards->count = 0;
    for (uint32_t i = 0; i < count; ++i)
        hazards->ranges[hazards->count++] = ranges[i];
    return barrier;
}
