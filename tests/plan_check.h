/* What holds for every dispatch of every plan.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_PLAN_CHECK_H
#define VKATTN_TEST_PLAN_CHECK_H

#include "plan/plan.h"
#include "plan_devices.h"

/* Its groups and bindings are ones that the device has. */
void check_dispatch(const device *d, const vka__dispatch *x);

/* Its pipeline is one that the device can make, with so many bytes of shared memory. */
void check_key(const device *d, const vka__pipeline_key *key, uint32_t shared);

/* The binding contains the part of the view that begins at `first` elements and spans `extent`, if there is any;
 * `base` counts from the binding's offset. */
void check_binding(const device *d, const vka__view *v, uint64_t first, uint64_t extent, const vka__binding *b,
                   uint32_t base, const char *name);

#endif
