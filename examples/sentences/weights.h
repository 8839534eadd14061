/* The weights of a sentence encoder, in a safetensors file.
 * SPDX-License-Identifier: MIT */
#ifndef SENTENCES_WEIGHTS_H
#define SENTENCES_WEIGHTS_H

#include <vkattn/safetensors.h>

#include "vocabulary.h"

enum { MAX_LAYERS = 24, MAX_TOKENS = 128 /* a sentence is cut off there, as the model was trained */ };

/* Of a linear layer or of a norm. */
typedef struct parameters {
    const vka_safetensor *weight, *bias;
} parameters;

typedef struct layer_weights {
    uint32_t inputs;     /* width of what comes in: [.., inputs]; what goes out has `width` */
    uint32_t dim;        /* of a head                                                       */
    uint32_t inner;      /* of the feed-forward network                                     */
    parameters norm1;    /* [inputs]                                                        */
    parameters in_proj;  /* [3 heads dim, inputs]: queries, keys, values                    */
    parameters out_proj; /* [width, heads dim]                                              */
    parameters residual; /* [width, inputs]; absent where inputs = width                    */
    parameters norm2;    /* [width]                                                         */
    parameters linear1;  /* [inner, width]                                                  */
    parameters linear2;  /* [width, inner]                                                  */
} layer_weights;

typedef struct weights {
    vka_safetensors *file;
    uint32_t pieces, channels; /* of the table of embeddings     */
    uint32_t layers, heads;
    uint32_t width;                  /* of all layers' results         */
    uint32_t outputs;                /* of embeddings of sentences     */
    const vka_safetensor *embedding; /* [pieces, channels]       */
    layer_weights layer[MAX_LAYERS];
    parameters hidden; /* [outputs, width]                       */
} weights;

/* Opens a file and checks that everything is there, in f32, in shapes that go together. */
bool weights_open(weights *w, const char *path, complaint *why);
void weights_close(weights *w);

#endif
