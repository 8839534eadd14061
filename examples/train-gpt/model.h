/* A GPT (Radford 2019, with norms in front) of tokens that are few: layers with names as PyTorch's
 * nn.TransformerEncoderLayer has them, learned positions, and a head of its own.
 * SPDX-License-Identifier: MIT */
#ifndef TRAIN_GPT_MODEL_H
#define TRAIN_GPT_MODEL_H

#include "training/optimizer.h"
#include "training/parameters.h"

#include <vkattn/nn.h>

enum { MAX_LAYERS = 64 };

typedef struct model_desc {
    uint32_t layers, heads, width;
    uint32_t context; /* tokens of a sequence        */
    uint32_t batch;   /* sequences of a step         */
    uint32_t classes; /* kinds of tokens             */
} model_desc;

typedef struct model {
    model_desc desc;
    vka_device *device;
    parameters parameters;
    vka_buffer *ids, *targets;   /* i32 [batch, context], mapped: for the host to write                          */
    vka_buffer *loss;            /* f32 [1], mapped: the mean over a batch                                        */
    vka_nn_sequence *step;       /* forward, backward, update                                                   */
    vka_nn_sequence *evaluation; /* the loss alone                                                           */
    vka_buffer *activations[MAX_LAYERS + 1], *kept[MAX_LAYERS], *normed, *gradient, *logits, *lse, *one;
} model;

/* Refuses sizes that can't be, by ending the program. */
void model_create(model *m, vka_device *device, const model_desc *desc, uint64_t seed);
/* Makes both sequences. */
void model_build(model *m, const optimizer *o);
void model_destroy(model *m);

/* The prefix of a layer's names. */
typedef struct model_prefix {
    char text[24];
} model_prefix;
model_prefix model_prefix_of(uint32_t layer);

/* A layer from x to out, with its parameters. */
vka_nn_layer_desc model_layer(model *m, vka_nn_sequence *s, uint32_t layer, vka_tensor x, vka_tensor out);
/* The last norm, from x to out, and logits. */
void model_add_head(model *m, vka_nn_sequence *s, vka_tensor x, vka_tensor normed, vka_tensor logits);

#endif
