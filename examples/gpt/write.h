/* A text that a decoder writes, and how long that takes.
 * SPDX-License-Identifier: MIT */
#ifndef GPT_WRITE_H
#define GPT_WRITE_H

#include "draft.h"

typedef struct written_text {
    int32_t *tokens; /* a prompt of a token at least, and room for what is written behind it */
    uint32_t count, room;
} written_text;

typedef struct writing {
    uint32_t steps, tokens;
    double seconds; /* without the first step, in which drivers compile .. */
    uint32_t timed; /* .. and the tokens in that time                      */
} writing;

/* Tokens to fill a decoder with, of a text that does not fit its context, or no longer: learned positions end there, so
 * the last half goes into empty caches anew, and the token that is next. */
uint32_t refill_count(uint32_t context);

/* Writes until there is no room. `d`: with trees of `nodes` tokens, guesses which learn from the text; NULL: token by
 * token. The text is the same. */
writing write_text(decoder *writer, uint32_t context, draft *d, uint32_t nodes, written_text *text);

#endif
