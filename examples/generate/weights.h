/* Weights of a GPT with its sizes and its characters, from a file of train-gpt: a checkpoint, or weights alone.
 * SPDX-License-Identifier: MIT */
#ifndef GENERATE_WEIGHTS_H
#define GENERATE_WEIGHTS_H

#include "training/trunk.h"

#include <vkattn/safetensors.h>

typedef struct weights {
    vka_safetensors *file; /* closed by weights_upload */
    const char *path;
    trunk_desc sizes;
    uint8_t bytes[256]; /* of each class */
    parameters list;    /* names and shapes alone */
    vka_tensor *tensors;
    vka_buffer *buffer;
} weights;

/* Ends the program with a line that names the file where it is not what it should be. */
weights weights_open(const char *path);
/* The numbers of a tensor as f32, to be freed. */
float *weights_read(const weights *w, uint32_t index);
void weights_upload(weights *w, vka_device *device);
void weights_free(weights *w);

/* A vka_nn_find_fn of uploaded weights. */
bool weights_find(void *user, const char *name, vka_tensor *tensor);

/* Tokens of a text's bytes, to be freed. What the model does not know ends the program. */
int32_t *weights_tokens(const weights *w, const char *text, uint32_t *count);

#endif
