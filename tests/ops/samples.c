/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <string.h>

int32_t sample_few(const char *name, uint32_t index) {
    return (int32_t)(strstr(name, "lengths") ? 3 + index % 2 : index);
}
