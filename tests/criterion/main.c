/* For programs that have no main of their own.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

int main(void) {
    struct criterion_test_set *tests = criterion_initialize();
    int status = criterion_run_all_tests(tests) ? 0 : 1;
    criterion_finalize(tests);
    return status;
}
