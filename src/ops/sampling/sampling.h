/* What operations share that select of rows.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_SAMPLING_H
#define VKA_SAMPLING_H

#include "op/op.h"

/* Invocations of a workgroup that owns a row. Software drivers run eight as one, and then barriers are next to free. */
uint32_t vka__selection_group(const vka_device_caps *caps, uint32_t cols);

#endif
