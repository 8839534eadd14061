/* Tuning records: which path and tile was measured to be the fastest for a class of problems on one device and driver.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_TUNING_H
#define VKA_TUNING_H

#include "op/tile.h"

struct vka__paths;

/* Numbers that, with a type, make a class of an operation's problems. */
#define VKA__CLASS_SIZES 3

/* What a record calls the members of an operation's rules. */
typedef struct vka__tuning_format {
    const char *list; /* of the operation's rules */
    /* Each number of a class has an upper bound and a lower one. The narrowest class decides, and the first number
     * tells that first. NULL: there are no more. */
    struct {
        const char *most, *above;
        bool optional; /* without an upper bound any number is in the class */
    } size[VKA__CLASS_SIZES];
    const char *br, *bc, *rm, *tc; /* of the tile */
} vka__tuning_format;

typedef struct vka__tuning_class {
    vka_dtype dtype;
    uint32_t size[VKA__CLASS_SIZES];
} vka__tuning_class;

/* Problems whose numbers are above `above` and at most `most`, all of them. */
typedef struct vka__tuning_rule {
    const struct vka__paths *paths; /* of the operation */
    vka_dtype dtype;
    uint32_t most[VKA__CLASS_SIZES], above[VKA__CLASS_SIZES];
    uint32_t path;
    vka__tile tile;
    uint32_t workgroups; /* that an operation's splitting aims at; 0: the device class's default */
} vka__tuning_rule;

/* Of all operations together. */
#define VKA_MAX_TUNING_RULES 64

typedef struct vka__tuning {
    uint32_t count;
    vka__tuning_rule rules[VKA_MAX_TUNING_RULES];
} vka__tuning;

/* Reads the record of this device and driver from JSON. Of the library's operations it may lack some, but not all; what
 * else it has is passed over. VKA_OK with count = 0: there is none. VKA_INVALID with *why: the text is malformed.
 * VKA_OUT_OF_MEMORY. */
vka_status vka__tuning_parse(const vka__context *ctx, const vka_device_caps *caps, const char *text, size_t size,
                             vka__tuning *tuning, const char **why);
/* The same of these operations. */
vka_status vka__tuning_parse_lists(const vka__context *ctx, const vka_device_caps *caps,
                                   const struct vka__paths *const *operations, uint32_t operation_count,
                                   const char *text, size_t size, vka__tuning *tuning, const char **why);

/* The rule of the narrowest class of an operation that holds a problem, or NULL. `tuning` may be NULL. */
const vka__tuning_rule *vka__tuning_find(const vka__tuning *tuning, const struct vka__paths *operation,
                                         const vka__tuning_class *problem);

#endif
