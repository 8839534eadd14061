/* A decoder's layers of 2017: self-attention, attention to an encoder's memory, and a feed-forward part, each added to
 * what it begins with and normalised. Names are those of PyTorch's nn.TransformerDecoderLayer behind
 * "decoder.layers.N.", but for "cross.", which has them of its own. SPDX-License-Identifier: MIT */
#ifndef TRANSLATE_DECODER_H
#define TRANSLATE_DECODER_H

#include "cross.h"

enum { DECODER_MAX_LAYERS = 16 };

typedef struct decoder_desc {
    uint32_t layers, heads, width;
    uint32_t batch, queries, keys; /* keys: of the memory                      */
    cross_kind attention;          /* to the memory                            */
    vka_tensor lengths;            /* i32 [batch]: tokens of memory that count */
    bool hard;                     /* see cross_desc                           */
} decoder_desc;

typedef struct decoder_layer {
    cross cross;
    vka_tensor self_sum, self_out, cross_sum, cross_out, feed_sum, out; /* [batch, queries, width]        */
    vka_nn_attention_desc self;                                         /* as a pass that trains had them */
    vka_nn_feed_forward_desc feed_forward;
    vka_tensor k_cache, v_cache; /* [batch, heads, queries, D] */
    char prefix[32];
} decoder_layer;

typedef struct decoder {
    decoder_desc desc;
    pool *tensors;
    const parameters *parameters;
    decoder_layer layers[DECODER_MAX_LAYERS];
    vka_tensor input, gradient, d_part; /* the first layer's x; the last one's d_out and then the first one's d_x */
} decoder;

/* What a pass through the layers is for. */
typedef struct decoder_pass {
    bool trains;                     /* keeps what backward passes read                                 */
    vka_tensor lengths, new_lengths; /* i32 [batch], of caches: x has one row, behind those before      */
    vka_tensor ones, alignment;      /* see cross_add_alignment; the first layer's, and                 */
    uint64_t alignment_bytes;        /*   the next one's is so far behind it                            */
} decoder_pass;

void decoder_add_parameters(parameters *p, const decoder_desc *d);
void decoder_create(decoder *d, pool *tensors, const parameters *p, const decoder_desc *desc);

/* What layers make of the memory alone: for a pass, or for many of them. */
void decoder_add_memory(const decoder *d, vka_nn_sequence *s, vka_tensor memory);
/* Behind that: from `input` with `rows` rows of each sequence; returns what the last layer gives. */
vka_tensor decoder_add(decoder *d, vka_nn_sequence *s, uint32_t rows, vka_tensor memory, const decoder_pass *pass);
/* Behind that with `trains`: from and to `gradient`, and d_memory, which is written. */
void decoder_add_backward(const decoder *d, vka_nn_sequence *s, vka_tensor memory, vka_tensor d_memory);

#endif
