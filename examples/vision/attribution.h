/* What a transformer over patches looked at: attention's probabilities in all layers, and gradients of what the head
 * gives with respect to them and to the patches' vectors in front of the last layer.
 *
 * The layers of a trunk with everything kept to look at, in one recording with the way back. The gradient with respect
 * to probabilities is that of attention's result times the values, a matrix product; from the scores on back it is
 * vka_attention_backward's.
 * SPDX-License-Identifier: MIT */
#ifndef VISION_ATTRIBUTION_H
#define VISION_ATTRIBUTION_H

#include "training/patches.h"

/* Of one layer and a batch. */
typedef struct attribution_layer {
    vka_buffer *normed, *qkv, *attended, *lse, *h, *normed_again;
    vka_buffer *probabilities, *d_probabilities; /* f32 [batch, heads, tokens, tokens] */
} attribution_layer;

typedef struct attribution {
    const patches *patches;
    const trunk *trunk;
    bool unit;            /* the head's result is divided by its length, and has that of the root of its size */
    vka_buffer *result;   /* f32 [batch, classes], mapped: what the head gives                                 */
    vka_buffer *d_result; /* f32 [batch, classes], mapped: which sum of results gradients are of               */
    attribution_layer layers[TRUNK_MAX_LAYERS];
    vka_buffer *head, *d_head, *normed, *d_normed, *d_last, *d_input, *d_h, *d_rows, *d_attended, *d_qkv;
    vka_nn_sequence *sequence;
    vka_recorder *recorder;
} attribution;

/* What there is to know of one picture. */
typedef struct attribution_maps {
    uint32_t layers, heads, tokens, width;
    float *probabilities, *gradients; /* [layers, heads, tokens, tokens]                           */
    float *vectors, *d_vectors;       /* [tokens, width], in front of the last layer               */
} attribution_maps;

/* The patches, and the trunk that they have, must outlive it. */
void attribution_create(attribution *a, const patches *p, bool unit);
void attribution_destroy(attribution *a);

/* From patches and d_result to result and all gradients. */
void attribution_run(const attribution *a);

attribution_maps attribution_maps_create(const attribution *a);
void attribution_maps_free(attribution_maps *m);
void attribution_read(const attribution *a, uint32_t picture, attribution_maps *m);

#endif
