/* Rotation (RoPE) as operations have it among their options.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_ROPE_OPTIONS_H
#define VKA_ROPE_OPTIONS_H

#include <vkattn/rope.h>

#include "op/op.h"
#include "params/rope.h"

/* Checked options. */
typedef struct vka__rope {
    bool enabled;
    bool interleaved;
    bool tables;     /* instead of theta and frequency_scale               */
    bool table_rows; /* they are [B, N, R / 2], not [positions, R / 2]     */
    uint32_t pairs;  /* R / 2                                              */
    double theta;    /* as applied, of frequency_scale, too                */
    double frequency_scale;
    int32_t offset;
    uint32_t cos, sin; /* the tensors of the tables                        */
} vka__rope;

/* Rows that are rotated, [batch, .., rows, cols], and where the options are: what the log calls their structure, the
 * tensors of the tables, and two of the operation's numbers. */
typedef struct vka__rotated {
    uint32_t batch, rows, cols;
    const char *prefix;
    uint32_t cos, sin, theta, frequency_scale;
} vka__rotated;

/* theta and frequency_scale as numbers of an operation. */
#define VKA__ROPE_THETA(name, desc)                                                                                    \
    { name, desc, VKA__NUMBER_F32, true, 1, 1e30, 10000, NULL }
#define VKA__ROPE_FREQUENCY_SCALE(name, desc)                                                                          \
    { name, desc, VKA__NUMBER_F32, true, 1e-30, 1, 1, NULL }

/* What the tables of tensors and numbers can't say. Fills in all of `rope`. */
vka_status vka__rope_check(const vka__call *call, const vka_rope_options *options, const vka__rotated *rotated,
                           vka__rope *rope);

/* Positions that the host knows: `rows` of them from `first` on, plus the offset, must be 32-bit integers. */
vka_status vka__rope_check_reach(const vka__call *call, const char *field, const vka__rope *rope, int64_t first,
                                 uint32_t rows);

/* Kernels that quantise rows: how many invocations share a row, and how many rows a workgroup has. */
uint32_t vka__row_teams(const vka_device_caps *caps, uint32_t cols, uint32_t *team);

/* Flags of a kernel that rotates. */
uint32_t vka__rope_flags(const vka__rope *rope);
void vka__rope_fill(const vka__call *call, const vka__rope *rope, vka_rope_params *params);

#endif
