/* Rotation as an option of operations.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_API_ROPE_H
#define VKA_API_ROPE_H

#include <vkattn/rope.h>

#include "api/check.h"
#include "plan/rope.h"

/* Rows that are rotated: [batch, .., rows, cols]. */
typedef struct vka__rotated {
    uint32_t batch, rows, cols;
} vka__rotated;

/* Checks options, which the log calls "prefix.field", and resolves their defaults. */
vka_status vka__check_rope(const vka__check *c, const char *prefix, const vka_rope_options *options,
                           const vka__rotated *rotated, vka__rope *rope);

#endif
