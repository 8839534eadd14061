/* A vision transformer (Dosovitskiy 2021): patches of a picture are tokens, and one token more, of which the head makes
 * logits.
 * SPDX-License-Identifier: MIT */
#ifndef TRAIN_VISION_MODEL_H
#define TRAIN_VISION_MODEL_H

#include "digits.h"
#include "training/optimizer.h"
#include "training/patches.h"
#include "training/trunk.h"

enum { MODEL_TOKENS = PATCHES + 1 }; /* the first one is that of the class */

typedef struct model {
    trunk trunk;
    parameters parameters;
    patches patches;
    vka_buffer *targets; /* i32 [batch], mapped: for the host to write */
    vka_buffer *loss;    /* f32 [1], mapped: the mean over a batch                                                   */
    vka_buffer *logits;  /* f32 [batch, classes], mapped: of the evaluation                                          */
    vka_nn_sequence *step, *evaluation; /* forward, backward, update; logits                                         */
    vka_buffer *normed, *d_normed, *d_last, *lse, *one;
} model;

/* Refuses sizes that can't be, by ending the program. */
void model_create(model *m, vka_device *device, const trunk_desc *desc, uint64_t seed);
/* Makes both sequences. */
void model_build(model *m, const optimizer *o);
void model_destroy(model *m);

/* Puts a picture at its place in the batch. */
void model_set_picture(model *m, uint32_t at, const float pixels[DIGIT_PIXELS], int32_t label);

#endif
