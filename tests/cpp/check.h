// What the C++ tests share. SPDX-License-Identifier: MIT
#ifndef VKATTN_TEST_CPP_CHECK_H
#define VKATTN_TEST_CPP_CHECK_H

#include <cstdio>

// Counts what does not hold, and says it.
inline int failures = 0;
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                       \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)

// In a file that was compiled with exceptions.
void test_exceptions();

#endif
