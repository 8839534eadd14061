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

/* Positions that the host knows: `rows` of them from `first` on, plus the offset, must be 32-bit integers. */
vka_status vka__check_reach(const vka__check *c, const char *field, const vka__rope *rope, int64_t first,
                            uint32_t rows);

#endif
