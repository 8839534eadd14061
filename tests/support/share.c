/* VKATTN_TEST_SHARE=K/N: of the tests of every program, only those of share K (1 .. N). Machines that test the same
 * change with different drivers divide them among themselves.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include <stdio.h>
#include <stdlib.h>

/* The sum of the digits of a test's number, base `shares`, modulo `shares`: as many tests for each share, and those of
 * types and the like, which go in turn, are not all of the same. */
static unsigned share_of(unsigned number, unsigned shares) {
    unsigned sum = 0;
    for (; shares > 1 && number; number /= shares) {
        sum += number % shares;
    }
    return sum % shares;
}

static void leave_out(struct criterion_suite_set *suite, unsigned *number, unsigned share, unsigned shares) {
    FOREACH_SET(struct criterion_test * test, suite->tests) {
        if (!test->data->disabled && share_of((*number)++, shares) != share - 1) {
            test->data->disabled = true;
            fprintf(stderr, "SKIP: a test: of another share than VKATTN_TEST_SHARE=%u/%u\n", share, shares);
        }
    }
}

ReportHook(PRE_ALL)(struct criterion_test_set *tests) {
    const char *text = getenv("VKATTN_TEST_SHARE");
    unsigned share, shares, number = 0;
    if (!text) {
        return;
    }
    if (sscanf(text, "%u/%u", &share, &shares) != 2 || !share || share > shares) {
        fprintf(stderr, "VKATTN_TEST_SHARE=%s: must be K/N, with 1 <= K <= N\n", text);
        exit(2);
    }
    FOREACH_SET(struct criterion_suite_set * suite, tests->suites) {
        leave_out(suite, &number, share, shares);
    }
}
