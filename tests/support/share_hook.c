/* Leaves out the tests of other shares. Criterion calls it; nothing refers to it by name.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <criterion/hooks.h>

#include "share.h"

ReportHook(PRE_ALL)(struct criterion_test_set *tests) {
    unsigned number = 0;
    FOREACH_SET(struct criterion_suite_set * suite, tests->suites) {
        FOREACH_SET(struct criterion_test * test, suite->tests) {
            test->data->disabled = test->data->disabled || share_leaves_out(number++);
        }
    }
}
