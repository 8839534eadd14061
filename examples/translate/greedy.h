/* Translations: the most probable character each time. The encoder runs once, and then a recording of one character is
 * submitted for each: it reads the one before, and appends to caches of keys and values.
 * SPDX-License-Identifier: MIT */
#ifndef TRANSLATE_GREEDY_H
#define TRANSLATE_GREEDY_H

#include "model.h"

typedef struct greedy {
    model *model;
    pool tensors;
    vka_tensor ids, lengths, new_lengths; /* i32 [batch]: the last character; how many there are; with it */
    vka_tensor history, position, logits; /* i32 [batch, DATE_TARGET], mapped                            */
    vka_nn_sequence *begin, *next;
    vka_recorder *begin_recording, *next_recording;
} greedy;

void greedy_create(greedy *g, model *m);
void greedy_destroy(greedy *g);

/* Of all sources of the batch. */
void greedy_run(greedy *g);
/* What it wrote at a place in the batch. */
void greedy_get(const greedy *g, uint32_t at, char text[DATE_TARGET + 1]);

#endif
