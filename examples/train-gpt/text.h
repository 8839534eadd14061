/* A text as tokens: of each kind of byte that it has, one.
 * SPDX-License-Identifier: MIT */
#ifndef TRAIN_GPT_TEXT_H
#define TRAIN_GPT_TEXT_H

#include "training/random.h"

#include <stdint.h>

typedef struct text {
    uint8_t *tokens;     /* the last tenth is for validation */
    uint32_t training;   /* tokens */
    uint32_t validation; /* tokens behind them */
    uint32_t classes;
    uint8_t bytes[256]; /* of each class, in ascending order */
} text;

/* Ends the program if the file can't be read, or is shorter than `least` tokens in either part. */
text text_load(const char *path, uint64_t least);
void text_free(text *t);

/* The vocabulary, two hexadecimal digits a byte. */
typedef struct text_vocabulary {
    char digits[513];
} text_vocabulary;
text_vocabulary text_vocabulary_of(const text *t);

/* Sequences of `context` tokens from anywhere in the training part, and what follows each token. */
void text_draw(const text *t, random_state *random, uint32_t batch, uint32_t context, int32_t *ids, int32_t *targets);
/* How many sequences that do not overlap the validation part has, and one of them. */
uint32_t text_validation_count(const text *t, uint32_t context);
void text_validation(const text *t, uint32_t which, uint32_t context, int32_t *ids, int32_t *targets);

/* The loss of a bigram model, which counts pairs in the training part, over the first `count` pairs of the validation
 * part. Pairs that are rare are mixed with single tokens' frequencies, those with equal ones. */
double text_bigram_loss(const text *t, uint32_t count);

#endif
