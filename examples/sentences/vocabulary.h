/* A vocabulary of pieces, and sentences cut into them.
 * SPDX-License-Identifier: MIT */
#ifndef SENTENCES_VOCABULARY_H
#define SENTENCES_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is wrong, for a person: of a function that returns false. */
typedef struct complaint {
    char text[320];
} complaint;

/* Says it, and returns false. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
bool complain(complaint *why, const char *format, ...);

typedef struct piece {
    const char *bytes; /* UTF-8, with a NUL at its end     */
    size_t length;     /* in bytes                         */
    double score;      /* logarithm of its probability     */
    int32_t id;
} piece;

typedef struct vocabulary {
    char *text;
    piece *pieces;        /* by id                                                    */
    const piece **sorted; /* those that text is cut into, by their bytes; of equals the last one first */
    uint32_t count, sorted_count;
} vocabulary;

/* The first ids: what is unknown, and marks that no text has. */
enum { UNKNOWN = 0, RESERVED = 6 };

/* A file of lines "piece<TAB>score", where the line's number, from 0, is the id. */
bool vocabulary_open(vocabulary *v, const char *path, complaint *why);
/* The same of a text in memory. */
bool vocabulary_read(vocabulary *v, const char *text, size_t length, const char *name, complaint *why);
void vocabulary_close(vocabulary *v);

/* Cuts a sentence into the most probable pieces (Kudo 2018; by Viterbi's algorithm) and stores ids, which are freed by
 * the caller. A space is U+2581, and one stands in front. Text is normalised before (NFKC); characters that
 * no piece has are unknown, together where they lie side by side.
 *
 * Equal to what the publisher's tokenizer does, for whose quirks see vocabulary.c. */
bool vocabulary_cut(const vocabulary *v, const char *sentence, int32_t **ids, size_t *count, complaint *why);

#endif
