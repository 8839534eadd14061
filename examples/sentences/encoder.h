/* A sentence encoder on a device: ids of pieces become embeddings.
 * SPDX-License-Identifier: MIT */
#ifndef SENTENCES_ENCODER_H
#define SENTENCES_ENCODER_H

#include <vkattn/nn.h>

#include "weights.h"

/* Sentences that lie one behind the other: sentence s has the ids offsets[s] .. offsets[s + 1] - 1, at most MAX_TOKENS.
 */
typedef struct token_batch {
    const int32_t *ids;
    const int32_t *offsets;
    uint32_t sentences;
} token_batch;

typedef struct encoder_desc {
    uint32_t tokens, sentences; /* of a batch, at most                                        */
    bool attention;             /* keeps the probabilities of all heads for encoder_attention */
    bool gradients;             /* with a backward pass, for gradients.c: not for encoder_run  */
} encoder_desc;

typedef struct encoder encoder;

/* Uploads weights, which may be closed then, and records the model once: each run submits the same recording. NULL: see
 * `why`. */
encoder *encoder_create(vka_device *device, const weights *w, const encoder_desc *desc, complaint *why);
void encoder_destroy(encoder **e);

/* embeddings [sentences, outputs]. A sentence without ids has an embedding, too. */
bool encoder_run(encoder *e, const token_batch *batch, float *embeddings, complaint *why);

/* Probabilities of a layer in the last run, of a sentence of n ids: [heads, n, n]. */
bool encoder_attention(encoder *e, uint32_t layer, uint32_t sentence, uint32_t n, float *probabilities, complaint *why);

/* Cosines of `count` embeddings from `first` on with all of them, on the device: cosines [count, all]. */
bool cosines_of(vka_device *device, const float *embeddings, uint32_t outputs, uint32_t all, uint32_t first,
                uint32_t count, float *cosines, complaint *why);

#endif
