/* Text that is written piece by piece into memory of any size.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_TEXT_H
#define VKA_TEXT_H

#include "core/core.h"

/* `length` is that of the whole text, which may be more than there is room for. What fits ends with a 0. */
typedef struct vka__text {
    char *text; /* NULL with a capacity of 0 */
    size_t capacity, length;
} vka__text;

void vka__say(vka__text *text, const char *format, ...) VKA_PRINTF(2, 3);

static inline const char *vka__yes(bool yes) {
    return yes ? "yes" : "no";
}

#endif
