/* vkattn-random: runs attentions with everything drawn at random, any number of them, or one again.
 *
 *   vkattn-random [--count N] [--seed S] [--first K] [--verbose]
 *
 * Cases first .. first + count - 1 of the seed; with --first alone, that one. The first one that fails is made as small
 * as it goes and described, with the command that runs it again. Exit status: 0, 1 when one failed, 2 for a wrong
 * command line. Criterion keeps it in a process of its own, so that a crash of the driver is a failure like any other.
 * SPDX-License-Identifier: MIT */
#include "random.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/system.h"

/* The process of the test has the environment, but not the command line. */
#define SEED  "VKATTN_RANDOM_SEED"
#define FIRST "VKATTN_RANDOM_FIRST"
#define COUNT "VKATTN_RANDOM_COUNT"

static uint64_t number_of(const char *name) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : 0;
}

Test(random, cases, .timeout = 0) {
    context c;
    context_open(&c, &config_real);
    random_run(&c, number_of(SEED), number_of(FIRST), number_of(COUNT));
    context_close(&c);
}

static int usage(void) {
    fprintf(stderr, "usage: vkattn-random [--count N] [--seed S] [--first K] [--verbose]\n");
    return 2;
}

static bool is_number(const char *text) {
    char *end;
    errno = 0;
    strtoull(text, &end, 0);
    return *text >= '0' && *text <= '9' && !*end && !errno;
}

int main(int argc, char **argv) {
    static const char *const names[][2] = {{"--seed", SEED}, {"--first", FIRST}, {"--count", COUNT}};
    system_set_variable(SEED, "1");
    system_set_variable(FIRST, "0");
    bool one = false, counted = false;
    for (int i = 1; i < argc; i++) {
        const char *variable = NULL;
        for (int n = 0; n < 3; n++) {
            variable = strcmp(argv[i], names[n][0]) ? variable : names[n][1];
        }
        if (!strcmp(argv[i], "--verbose")) {
            system_set_variable("VKATTN_RANDOM_VERBOSE", "1");
        } else if (!variable || i + 1 == argc || !is_number(argv[i + 1])) {
            return usage();
        } else {
            system_set_variable(variable, argv[++i]);
            one = one || variable == names[1][1];
            counted = counted || variable == names[2][1];
        }
    }
    if (!counted) {
        system_set_variable(COUNT, one ? "1" : "1000");
    }
    struct criterion_test_set *tests = criterion_initialize();
    int status = criterion_run_all_tests(tests) ? 0 : 1;
    criterion_finalize(tests);
    return status;
}
