/* Command lines of the larger examples.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_OPTIONS_H
#define COMMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum option_kind {
    OPTION_TEXT,   /* const char *                  */
    OPTION_NUMBER, /* uint32_t, 0 .. 10^9           */
    OPTION_REAL,   /* float, 0 .. 1000              */
    OPTION_FLAG,   /* bool; has no value behind it  */
} option_kind;

typedef struct option {
    const char *name; /* "--steps" */
    option_kind kind;
    void *to;
} option;

/* Writes what is given to where options point. --help prints the usage and ends the program, and so does what is not
 * understood, with the reason. */
void options_read(int argc, char **argv, const option *list, size_t count, const char *usage);
/* The same where more may follow: returns the first argument that does not begin with "--", or is behind "--". */
int options_read_first(int argc, char **argv, const option *list, size_t count, const char *usage);
/* Unless it is NULL: prints the usage and the reason on stderr, and ends the program. */
void options_check(const char *usage, const char *why_not);

#endif
