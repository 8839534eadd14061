/* What the program prints.
 * SPDX-License-Identifier: MIT */
#ifndef SENTENCES_TABLE_H
#define SENTENCES_TABLE_H

#include <stdint.h>

/* No line is longer, and of more sentences than this there is no table that would fit. */
enum { TABLE_COLUMNS = 80, TABLE_SENTENCES = 8 };

/* cosines [count, count]: those of each sentence with the ones before it, at most TABLE_SENTENCES. */
void print_table(char *const *sentences, uint32_t count, const float *cosines);

/* A sentence and the one that is most like it. */
void print_nearest(char *const *sentences, uint32_t sentence, uint32_t nearest, float cosine);

#endif
