/* Runs the tests of a program, each in a process of its own.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef _WIN32
#    include <process.h>
#    include <windows.h>
#else
#    include <sys/wait.h>
#    include <unistd.h>
#endif

#include "support/share.h"

/* In the environment of a test's process: its name. */
#define ONE "VKATTN_CRITERION_ONE"

enum { PASSED, FAILED, SKIPPED = 77 }; /* exit status of a test's process; another one is a crash */

static criterion_test *tests; /* in the order of the sources */
static const criterion_test *current;
static bool failed;

void criterion_add_(criterion_test *test) {
    criterion_test **at = &tests;
    while (*at) {
        int order = strcmp((*at)->file, test->file);
        if (order > 0 || (order == 0 && (*at)->line > test->line)) {
            break;
        }
        at = &(*at)->next;
    }
    test->next = *at;
    *at = test;
}

/* Without what the end of a process may do wrong in the midst of a test. */
static _Noreturn void leave(int status) {
    fflush(NULL);
    _Exit(status);
}

void criterion_fail_(bool fatal, const char *file, int line, const char *text, const char *message, ...) {
    va_list list;
    va_start(list, message);
    fprintf(stderr, "[----] %s:%d: Assertion Failed\n[----]   %s: ", file, line, text);
    vfprintf(stderr, message, list);
    fputc('\n', stderr);
    va_end(list);
    failed = true;
    if (fatal) {
        leave(FAILED);
    }
}

void criterion_skip_(const char *format, ...) {
    va_list list;
    va_start(list, format);
    fprintf(stderr, "[SKIP] %s::%s: ", current->suite, current->name);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    leave(SKIPPED);
}

static _Noreturn void run(const criterion_test *test) {
    current = test;
    test->run();
    leave(failed ? FAILED : PASSED);
}

#ifdef _WIN32
/* The same command line, whose process finds out what it is there for. */
static int run_in_process(const criterion_test *test, const char *name) {
    (void)test;
    _putenv_s(ONE, name);
    return (int)_spawnv(_P_WAIT, _pgmptr, (const char *const *)__argv);
}
#else
static int run_in_process(const criterion_test *test, const char *name) {
    int status;
    pid_t child = fork();
    (void)name;
    if (child == 0) {
        run(test);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
#endif

static void name_of(const criterion_test *test, char name[256]) {
    snprintf(name, 256, "%s::%s", test->suite, test->name);
}

/* In the process of one test: does not return. */
static void run_if_named(void) {
    const char *one = getenv(ONE);
    char name[256];
    for (const criterion_test *test = one ? tests : NULL; test; test = test->next) {
        name_of(test, name);
        if (!strcmp(name, one)) {
            run(test);
        }
    }
}

struct criterion_test_set *criterion_initialize(void) {
#ifdef _WIN32
    SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX); /* no windows when a test crashes */
#endif
    run_if_named();
    return NULL;
}

void criterion_finalize(struct criterion_test_set *set) {
    (void)set;
}

int criterion_run_all_tests(struct criterion_test_set *set) {
    unsigned number = 0, passing = 0, failing = 0, crashing = 0;
    (void)set;
    for (const criterion_test *test = tests; test; test = test->next) {
        char name[256];
        if (share_leaves_out(number++)) {
            continue;
        }
        name_of(test, name);
        fprintf(stderr, "[RUN ] %s\n", name);
        fflush(NULL);
        int status = run_in_process(test, name);
        if (status == PASSED) {
            fprintf(stderr, "[PASS] %s\n", name);
        } else if (status != SKIPPED) {
            fprintf(stderr, "[FAIL] %s%s\n", name, status == FAILED ? "" : ": CRASH!");
        }
        passing += status == PASSED;
        failing += status == FAILED;
        crashing += status != PASSED && status != FAILED && status != SKIPPED;
    }
    fprintf(stderr, "[====] Synthesis: Tested: %u | Passing: %u | Failing: %u | Crashing: %u\n",
            passing + failing + crashing, passing, failing, crashing);
    return !(failing + crashing);
}
