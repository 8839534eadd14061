/* Tuning records: which path and tile was measured to be the fastest for a class of problems on one device and driver.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_TUNING_H
#define VKA_TUNING_H

#include "op/tile.h"

/* Problems of a class: type, the larger head dimension above `head_dim_above` and up to `head_dim`, rows likewise. */
typedef struct vka__tuning_rule {
    vka_dtype dtype;
    uint32_t head_dim;
    uint32_t rows; /* queries times the query heads of a key head; UINT32_MAX: any */
    uint32_t head_dim_above, rows_above;
    uint32_t path;
    vka__tile tile;
    uint32_t workgroups; /* that splitting keys aims at; 0: the class's default */
} vka__tuning_rule;

#define VKA_MAX_TUNING_RULES 64

typedef struct vka__tuning {
    uint32_t count;
    vka__tuning_rule rules[VKA_MAX_TUNING_RULES];
} vka__tuning;

/* Reads the record of this device and driver from JSON. VKA_OK with count = 0: there is none. VKA_INVALID with *why:
 * the text is malformed. VKA_OUT_OF_MEMORY. */
vka_status vka__tuning_parse(const vka__context *ctx, const vka_device_caps *caps, const char *text, size_t size,
                             vka__tuning *tuning, const char **why);

/* The rule of the narrowest class that holds a problem, or NULL. `tuning` may be NULL. */
const vka__tuning_rule *vka__tuning_find(const vka__tuning *tuning, vka_dtype dtype, uint32_t head_dim, uint32_t rows);

#endif
