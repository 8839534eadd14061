/* CLIP (Radford 2021), small: a transformer over patches of a picture and one over the words of a caption, whose
 * embeddings are alike where the caption is the picture's.
 *
 * The loss is the cross entropy of the matrix of cosines of a batch, times a learned factor: of its rows, which find
 * the caption of a picture, and of its columns, which find the picture of a caption. All parameters are in one list,
 * the towers' behind "image." and "text.".
 * SPDX-License-Identifier: MIT */
#ifndef CLIP_MODEL_H
#define CLIP_MODEL_H

#include "scenes.h"
#include "training/optimizer.h"
#include "training/patches.h"
#include "training/trunk.h"

enum { IMAGE_TOKENS = SCENE_PATCHES + 1, TEXT_TOKENS = CAPTION_WORDS + 1 };

typedef struct model_desc {
    uint32_t image_layers, text_layers, heads, width, embedding, batch;
} model_desc;

/* What either tower has: embeddings of a batch, and their gradients. */
typedef struct tower {
    trunk trunk;
    vka_buffer *normed, *head, *embedding, *d_normed, *d_head, *d_embedding, *d_last;
} tower;

typedef struct model {
    model_desc desc;
    parameters parameters;
    tower image, text;
    patches patches;
    vka_buffer *words; /* i32 [batch, TEXT_TOKENS], mapped: for the host to write, but for the first ones, which are the
                          token of which the embedding is made */
    vka_buffer *loss;  /* f32 [1], mapped: twice the mean of both losses */
    vka_nn_sequence *step, *evaluation; /* forward, backward, update; embeddings of both towers */
    vka_buffer *targets, *half, *numbers, *cosines, *logits, *d_logits, *d_columns, *lse;
} model;

/* Refuses sizes that can't be, by ending the program. */
void model_create(model *m, vka_device *device, const model_desc *desc, uint64_t seed);
/* Makes the evaluation, and the step where there is an optimizer. */
void model_build(model *m, const optimizer *o);
void model_destroy(model *m);

void model_set_picture(model *m, uint32_t at, const scene *s);
void model_set_caption(model *m, uint32_t at, const caption *c);

/* What cosines are multiplied by. */
double model_factor(const model *m);

#endif
