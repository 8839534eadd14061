/* What an encoder is made of, for its backward pass.
 * SPDX-License-Identifier: MIT */
#ifndef SENTENCES_ENCODER_PARTS_H
#define SENTENCES_ENCODER_PARTS_H

#include "encoder.h"

#include <vkattn/attention.h>
#include <vkattn/linear.h>
#include <vkattn/norm.h>

enum { MAX_BUFFERS = 1024 };

typedef struct layer_parts {
    vka_tensor x, h, qkv, y; /* what comes in, normalised, projected; and with attention added */
    vka_nn_norm norm1, norm2;
    vka_nn_linear in, out, residual; /* residual.weight.buffer is NULL where the width is kept */
    vka_attention_desc attention;
    vka_nn_feed_forward_desc feed_forward;
} layer_parts;

struct encoder {
    vka_device *device;
    vka_recorder *recorder;
    vka_nn_sequence *sequence;
    vka_buffer *buffers[MAX_BUFFERS];
    uint32_t buffer_count;
    encoder_desc capacity;
    uint32_t heads, layers, channels, width, outputs, longest;
    vka_tensor ids, positions, offsets; /* what the host writes                          */
    vka_tensor input, toward;           /* with gradients: x instead of ids; [sentences, outputs] */
    vka_tensor zeros;                   /* [1, tokens]                                   */
    vka_tensor rows;                    /* 0 .. sentences                                */
    vka_tensor mean, bent;              /* [sentences, width]; behind tanh [sentences, outputs] */
    vka_tensor embeddings;              /* [sentences, outputs]                          */
    vka_tensor d_input;                 /* with gradients: of the sum of embeddings . toward */
    layer_parts parts[MAX_LAYERS];
    vka_nn_linear hidden;
    vka_rms_norm_desc unit;
    vka_tensor probabilities[MAX_LAYERS];
    vka_status status; /* the first that is not VKA_OK */
};

/* The first that is not VKA_OK stays. */
void encoder_keep(encoder *e, vka_status status);

/* A result of a kernel. */
vka_tensor encoder_new(encoder *e, uint32_t rows, uint32_t columns);

/* Adds an operation to the sequence. */
void encoder_add(encoder *e, vka_operation operation, const void *desc, size_t size);

/* Columns `first` .. of rows that are tokens, as heads of one packed sequence: [1, heads, tokens, dim]. */
vka_tensor encoder_heads(const vka_tensor *t, uint32_t first, uint32_t heads, uint32_t dim);

/* encoder_backward.c: from `toward` to `d_input`. Sentences have as many pieces each, and ids[i] says which one piece i
 * is of. */
void encoder_add_backward(encoder *e);

bool encoder_done(vka_status status, complaint *why);

#endif
