/* SPDX-License-Identifier: MIT */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>

void say(writer *w, bool when, const char *format, ...) {
    va_list args;
    if (!when || !w->left) {
        return;
    }
    va_start(args, format);
    int length = vsnprintf(w->at, w->left, format, args);
    va_end(args);
    size_t used = length < 0 ? 0 : (size_t)length < w->left ? (size_t)length : w->left - 1;
    w->at += used;
    w->left -= used;
}
