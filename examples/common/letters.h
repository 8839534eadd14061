/* Letters of 5 x 7 dots, and 2 below the line, for pictures: those of ASCII, and Latin-1's without their accents.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_LETTERS_H
#define COMMON_LETTERS_H

#include <stdint.h>

enum { LETTER_COLUMNS = 5, LETTER_ROWS = 9 };

/* Rows from the top, five bits each, the leftmost dot the highest bit. U+2581, by which SentencePiece marks that a word
 * begins, is an underscore; what is not there is a box. */
const uint8_t *letter_rows(uint32_t code);

/* The code of the character at *text, which is UTF-8 and does not end there; *text is behind it then. */
uint32_t letter_next(const char **text);

#endif
