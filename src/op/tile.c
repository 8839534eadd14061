/* SPDX-License-Identifier: MIT */
#include "op/tile.h"

#include <string.h>

static const char *const names[] = {NULL, "row", "tile", "decode", "coopmat", "coopmat2", "dot"};
#define NAMES (sizeof names / sizeof *names)

const char *vka__path_name(uint32_t path) {
    return path < NAMES && names[path] ? names[path] : "none";
}

uint32_t vka__path_named(const char *name) {
    for (uint32_t i = 1; i < NAMES; ++i)
        if (!strcmp(names[i], name))
            return i;
    return 0;
}
