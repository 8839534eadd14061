/* The transformer of 2017 (Vaswani, "Attention Is All You Need"): an encoder reads characters, a decoder writes others,
 * one after the other. Positions are sinusoids, norms are behind what they normalise, and the target's embedding is the
 * head's weight.
 * SPDX-License-Identifier: MIT */
#ifndef TRANSLATE_MODEL_H
#define TRANSLATE_MODEL_H

#include "dates.h"
#include "decoder.h"
#include "training/optimizer.h"
#include "training/trunk.h"

typedef struct model_desc {
    uint32_t layers, heads, width; /* layers of the encoder, and as many of the decoder */
    uint32_t batch;
    cross_kind attention;
    bool hard; /* see cross_desc */
} model_desc;

typedef struct model {
    model_desc desc;
    parameters parameters;
    trunk encoder;
    decoder decoder;
    pool tensors;
    vka_tensor source, lengths; /* i32 [batch, DATE_SOURCE] and [batch], mapped: for the host to write             */
    vka_tensor ids, targets;    /* i32 [batch, DATE_TARGET], mapped: likewise; what the decoder reads and is to write */
    vka_tensor loss;            /* f32 [1], mapped: the mean over a batch                                          */
    vka_tensor alignment;       /* f32 [layers, batch, heads, DATE_TARGET, DATE_SOURCE], mapped                    */
    vka_tensor one, positions, logits, lse, ones;
    vka_nn_sequence *step, *evaluation, *align; /* forward, backward, update; the loss; the alignment              */
} model;

/* Refuses sizes that can't be, by ending the program. */
void model_create(model *m, vka_device *device, const model_desc *desc, uint64_t seed);
void model_destroy(model *m);

/* Makes `step` and `evaluation`. */
void model_build_training(model *m, const optimizer *o);
/* Makes `align`: what the decoder looks at when it has `ids` to read. */
void model_build_alignment(model *m);

/* What layers of the decoder read of a source: its memory, and what they make of it. */
vka_tensor model_add_encoder(model *m, vka_nn_sequence *s, bool trains);
/* Characters `ids` [batch, n] to the decoder's input, at positions [.., n, width]. */
void model_add_input(model *m, vka_nn_sequence *s, vka_tensor ids, vka_tensor positions);
/* From what the decoder gives [.., width] to logits [.., DATE_CLASSES]. */
void model_add_head(model *m, vka_nn_sequence *s, vka_tensor x, vka_tensor logits);

/* Puts a text, or its translation, at a place in the batch. false: it is empty, too long, or has a character that
 * there is not. */
bool model_set_source(model *m, uint32_t at, const char *text);
void model_set_target(model *m, uint32_t at, const char *text);

#endif
