/* SPDX-License-Identifier: MIT */
#include "op/text.h"

#include <stdarg.h>
#include <stdio.h>

void vka__say(vka__text *t, const char *format, ...) {
    size_t room = t->length < t->capacity ? t->capacity - t->length : 0;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(room ? t->text + t->length : NULL, room, format, args);
    va_end(args);
    t->length += n < 0 ? 0 : (size_t)n;
}
