/* The paths of attention, for loops over them. SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_ATTENTION_PATHS_H
#define VKATTN_TEST_ATTENTION_PATHS_H

#include <stdbool.h>
#include <stdint.h>
#include <vkattn/attention.h>

#define LAST_PATH VKA_ATTENTION_PATH_COOPMAT_REGISTERS

/* Does it multiply cooperative matrices? Drivers compile those for long where they are not hardware. */
static inline bool attention_has_matrices(uint32_t path) {
    return path == VKA_ATTENTION_PATH_COOPMAT || path == VKA_ATTENTION_PATH_COOPMAT2 ||
           path == VKA_ATTENTION_PATH_COOPMAT_REGISTERS;
}

#endif
