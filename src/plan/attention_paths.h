/* The paths of attention, for its plan. SPDX-License-Identifier: MIT */
#ifndef VKA_ATTENTION_PATHS_H
#define VKA_ATTENTION_PATHS_H

#include "plan/plan.h"

/* Query heads of a key head. */
uint32_t vka__group_of(const vka__attention_problem *problem);

/* "row", "tile", .. */
const char *vka__path_name(uint32_t path);

/* Fills in kernel, tile, rows, shared memory, path and reason; false with the refusal: the path that the description
 * asks for can't run here. */
bool vka__choose_path(const vka_device_caps *caps, const vka__attention_problem *problem, vka__attention_plan *plan,
                      vka__refusal *refusal);

#endif
