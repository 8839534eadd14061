/* Dates as people write them, and as ISO 8601 has them.
 *
 * Days are those from 1970 to 2069, so that two digits are a year. Left out is what can be read in two ways: of two
 * numbers for day and month, whose order is not said, one is above 12 or both are the same.
 * SPDX-License-Identifier: MIT */
#ifndef TRANSLATE_DATES_H
#define TRANSLATE_DATES_H

#include "training/random.h"

#include <stdbool.h>

enum {
    DATE_SOURCE = 28, /* characters at most                                     */
    DATE_TARGET = 10, /* of YYYY-MM-DD                                          */
    DATE_BEGIN = 11,  /* the class in front of a target; those of its characters are before it */
    DATE_CLASSES
};

typedef struct date_pair {
    char source[DATE_SOURCE + 1], target[DATE_TARGET + 1];
} date_pair;

/* One of the tenth of all days that is for judging alone, or one of the others, in a spelling; all by chance. */
date_pair date_draw(random_state *r, bool judges);

/* Characters that sources have: their number, and that of one of them, or -1. */
uint32_t date_characters(void);
int32_t date_character(char c);

/* 0 .. 10, or -1; and back: '?' for what is no character. */
int32_t date_class(char c);
char date_letter(int32_t class);

#endif
