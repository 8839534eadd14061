/* A GPT (Radford 2019, with norms in front) of tokens that are few: learned positions, and a head of its own.
 * SPDX-License-Identifier: MIT */
#ifndef TRAIN_GPT_MODEL_H
#define TRAIN_GPT_MODEL_H

#include "training/optimizer.h"
#include "training/parameters.h"
#include "training/trunk.h"

#include <vkattn/nn.h>

typedef struct model {
    trunk_desc desc;
    trunk trunk;
    vka_device *device;
    parameters parameters;
    vka_buffer *ids, *targets;   /* i32 [batch, context], mapped: for the host to write                          */
    vka_buffer *loss;            /* f32 [1], mapped: the mean over a batch                                        */
    vka_nn_sequence *step;       /* forward, backward, update                                                   */
    vka_nn_sequence *evaluation; /* the loss alone                                                           */
    vka_buffer *normed, *logits, *lse, *one;
} model;

/* Refuses sizes that can't be, by ending the program. */
void model_create(model *m, vka_device *device, const trunk_desc *desc, uint64_t seed);
/* Makes both sequences. */
void model_build(model *m, const optimizer *o);
void model_destroy(model *m);

#endif
