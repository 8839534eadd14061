/* As much of Criterion as the tests here use, for systems that it is not packaged for: Windows, Android. Output, exit
 * status and what a failed assertion ends are Criterion's; each test runs in a process of its own, one after the other.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_CRITERION_H
#define VKATTN_TEST_CRITERION_H

#pragma GCC system_header /* variadic macros that are called without an argument for their dots, as Criterion's are */

#include <stdbool.h>
#include <string.h>

typedef struct criterion_test {
    const char *suite, *name, *file;
    int line;
    void (*run)(void);
    struct criterion_test *next;
    double timeout; /* of Criterion's options the one that is used, and ignored: tools/run-test has limits */
} criterion_test;

void criterion_add_(criterion_test *test);
/* Says what does not hold, and ends the test if that is `fatal`. `message`: empty, or a format. */
void criterion_fail_(bool fatal, const char *file, int line, const char *text, const char *message, ...);
_Noreturn void criterion_skip_(const char *format, ...);

/* What a main does. */
struct criterion_test_set *criterion_initialize(void);
int criterion_run_all_tests(struct criterion_test_set *set); /* 1 if all went well */
void criterion_finalize(struct criterion_test_set *set);

#define Test(suite_, name_, ...)                                                                                       \
    static void suite_##_##name_##_test(void);                                                                         \
    __attribute__((constructor)) static void suite_##_##name_##_add(void) {                                            \
        static criterion_test test = {.suite = #suite_,                                                                \
                                      .name = #name_,                                                                  \
                                      .file = __FILE__,                                                                \
                                      .line = __LINE__,                                                                \
                                      .run = suite_##_##name_##_test,                                                  \
                                      ##__VA_ARGS__};                                                                  \
        criterion_add_(&test);                                                                                         \
    }                                                                                                                  \
    static void suite_##_##name_##_test(void)

#define cr_skip_test(...) criterion_skip_(__VA_ARGS__)
/* What belongs to the message is computed after the condition, and only if that does not hold. */
#define CR_CHECK_(fatal, ok, text, ...)                                                                                \
    ((ok) ? (void)0 : criterion_fail_(fatal, __FILE__, __LINE__, text, "" __VA_ARGS__))
#define CR_COMPARE_(fatal, a, op, b, ...) CR_CHECK_(fatal, (a)op(b), #a " " #op " " #b, ##__VA_ARGS__)
#define CR_NEAR_(fatal, a, b, e, ...)                                                                                  \
    CR_CHECK_(fatal, (a) - (b) <= (e) && (b) - (a) <= (e), #a " == " #b " to " #e, ##__VA_ARGS__)
#define CR_STRINGS_(fatal, a, b, ...)  CR_CHECK_(fatal, !strcmp((a), (b)), #a " is " #b, ##__VA_ARGS__)
#define CR_BYTES_(fatal, a, b, n, ...) CR_CHECK_(fatal, !memcmp((a), (b), (n)), #a " is " #b, ##__VA_ARGS__)

#define cr_assert_fail(...)            CR_CHECK_(true, false, "reached", ##__VA_ARGS__)
#define cr_assert(ok, ...)             CR_CHECK_(true, ok, #ok, ##__VA_ARGS__)
#define cr_assert_not(ok, ...)         CR_CHECK_(true, !(ok), "!" #ok, ##__VA_ARGS__)
#define cr_assert_null(p, ...)         CR_CHECK_(true, (p) == NULL, #p " is NULL", ##__VA_ARGS__)
#define cr_assert_not_null(p, ...)     CR_CHECK_(true, (p) != NULL, #p " is not NULL", ##__VA_ARGS__)
#define cr_assert_eq(a, b, ...)        CR_COMPARE_(true, a, ==, b, ##__VA_ARGS__)
#define cr_assert_neq(a, b, ...)       CR_COMPARE_(true, a, !=, b, ##__VA_ARGS__)
#define cr_assert_lt(a, b, ...)        CR_COMPARE_(true, a, <, b, ##__VA_ARGS__)
#define cr_assert_leq(a, b, ...)       CR_COMPARE_(true, a, <=, b, ##__VA_ARGS__)
#define cr_assert_gt(a, b, ...)        CR_COMPARE_(true, a, >, b, ##__VA_ARGS__)
#define cr_assert_geq(a, b, ...)       CR_COMPARE_(true, a, >=, b, ##__VA_ARGS__)
#define cr_assert_float_eq(a, b, ...)  CR_NEAR_(true, a, b, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)    CR_STRINGS_(true, a, b, ##__VA_ARGS__)
#define cr_assert_arr_eq(a, b, ...)    CR_BYTES_(true, a, b, __VA_ARGS__)

#define cr_expect(ok, ...)             CR_CHECK_(false, ok, #ok, ##__VA_ARGS__)
#define cr_expect_not(ok, ...)         CR_CHECK_(false, !(ok), "!" #ok, ##__VA_ARGS__)
#define cr_expect_null(p, ...)         CR_CHECK_(false, (p) == NULL, #p " is NULL", ##__VA_ARGS__)
#define cr_expect_not_null(p, ...)     CR_CHECK_(false, (p) != NULL, #p " is not NULL", ##__VA_ARGS__)
#define cr_expect_eq(a, b, ...)        CR_COMPARE_(false, a, ==, b, ##__VA_ARGS__)
#define cr_expect_neq(a, b, ...)       CR_COMPARE_(false, a, !=, b, ##__VA_ARGS__)
#define cr_expect_lt(a, b, ...)        CR_COMPARE_(false, a, <, b, ##__VA_ARGS__)
#define cr_expect_leq(a, b, ...)       CR_COMPARE_(false, a, <=, b, ##__VA_ARGS__)
#define cr_expect_gt(a, b, ...)        CR_COMPARE_(false, a, >, b, ##__VA_ARGS__)
#define cr_expect_geq(a, b, ...)       CR_COMPARE_(false, a, >=, b, ##__VA_ARGS__)
#define cr_expect_float_eq(a, b, ...)  CR_NEAR_(false, a, b, __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...)    CR_STRINGS_(false, a, b, ##__VA_ARGS__)
#define cr_expect_arr_eq(a, b, ...)    CR_BYTES_(false, a, b, __VA_ARGS__)

#endif
