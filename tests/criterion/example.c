/* A program of which test_run knows how each test has to end.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

static int calls;

static int count(void) {
    return ++calls;
}

Test(example, passes) {
    cr_assert(true);
    cr_assert_eq(count(), 1, "%d", count());
    cr_assert_eq(calls, 1, "a message is computed only when it is needed");
    cr_assert_float_eq(1.0, 1.5, 0.5);
    cr_assert_str_eq("same", "same");
}

Test(example, fails) {
    cr_assert_eq(calls, 7, "calls: %d", calls);
    fprintf(stderr, "an assertion that fails must end the test\n");
}

Test(example, fails_at_its_end) {
    cr_expect_lt(2, 1);
    fprintf(stderr, "went on\n");
}

Test(example, nan_is_not_near) {
    cr_assert_float_eq(NAN, 1.0, 10.0);
}

Test(example, crashes) {
    volatile int *volatile nowhere = NULL;
    *nowhere = 1;
}

Test(example, skips) {
    cr_skip_test("SKIP: no %s here", "device");
}

Test(example, has_a_process_of_its_own) {
    cr_assert_eq(count(), 1);
}
