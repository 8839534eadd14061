/* SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_MUST_H
#define VKATTN_TEST_MUST_H

#include <criterion/criterion.h>

/* cr_assert for what is checked millions of times: Criterion counts assertions that hold, by a call that costs more
 * than most conditions do. must(condition[, format, ...]) */
#define must(...)                                                                                                      \
    do {                                                                                                               \
        if (!(MUST_CONDITION(__VA_ARGS__, 0))) {                                                                       \
            cr_assert(__VA_ARGS__);                                                                                    \
        }                                                                                                              \
    } while (0)
#define MUST_CONDITION(condition, ...) condition

#endif
