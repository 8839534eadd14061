/* Descriptions of test cases, word by word.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_SAY_H
#define VKATTN_TEST_SAY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/core.h"

/* Where the next words go; what does not fit is left out. */
typedef struct writer {
    char *at;
    size_t left;
} writer;

void say(writer *w, bool when, const char *format, ...) VKA_PRINTF(3, 4);

#endif
