/* What holds for every dispatch of every plan.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_PLAN_CHECK_H
#define VKATTN_TEST_PLAN_CHECK_H

#include "op/op.h"
#include "plan_devices.h"

/* A tensor that is nowhere: the last `rank` dimensions of a view. */
vka_tensor tensor_of(const vka__view *view, uint32_t rank);

/* Plans a description, which must be legal, from capabilities alone. False with call->refusal: no kernel can do it. */
bool plan_call(vka__call *call, const vka__op *op, const vka_device_caps *caps, const void *desc, size_t size);
#define PLAN(call, name, caps, desc) plan_call(call, &vka__op_##name, caps, desc, sizeof *(desc))

/* The view of a field. */
const vka__view *view_named(const vka__call *call, const char *name);

/* An operation on rows: every dispatch keeps to the device's limits and finds its rows in every tensor, and together
 * they do every row once. Looks at some rows of each dispatch, or at all. Returns the number of dispatches. */
uint64_t check_rows(const device *d, const vka__call *call, bool all);

/* Its groups and bindings are ones that the device has. */
void check_dispatch(const device *d, const vka__dispatch *x);

/* Its pipeline is one that the device can make, with so many bytes of shared memory. */
void check_key(const device *d, const vka__pipeline_key *key, uint32_t shared);

/* The binding contains the part of the view that begins at `first` elements and spans `extent`, if there is any;
 * `base` counts from the binding's offset. */
void check_binding(const device *d, const vka__view *v, uint64_t first, uint64_t extent, const vka__binding *b,
                   uint32_t base, const char *name);

#endif
