/* SPDX-License-Identifier: MIT */
#include "share.h"

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

bool share_leaves_out(unsigned number) {
    const char *text = getenv("VKATTN_TEST_SHARE");
    unsigned share, shares;
    if (!text) {
        return false;
    }
    if (sscanf(text, "%u/%u", &share, &shares) != 2 || !share || share > shares) {
        fprintf(stderr, "VKATTN_TEST_SHARE=%s: must be K/N, with 1 <= K <= N\n", text);
        exit(2);
    }
    if (share_of(number, shares) == share - 1) {
        return false;
    }
    fprintf(stderr, "SKIP: a test: of another share than VKATTN_TEST_SHARE=%u/%u\n", share, shares);
    return true;
}
