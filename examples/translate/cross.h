/* A decoder's attention to what an encoder made: of three kinds, whose operations and gradients the library has.
 *
 *   dot       softmax((W_q h) . (W_k m) / sqrt(D)) of several heads, means of W_v m       Vaswani 2017
 *   additive  softmax(s . tanh(W_q h + b + W_k m)), means of m                            Bahdanau 2014
 *   luong     softmax(h . (W_k m)), means of m                                            Luong 2015, "general"
 *
 * with states h of the decoder and memory m of the encoder. Behind each comes a linear layer, and h is added. Names are
 * "q_proj.weight", "k_proj.weight", "v_proj.weight", "score", "out_proj.weight" and those of biases.
 * SPDX-License-Identifier: MIT */
#ifndef TRANSLATE_CROSS_H
#define TRANSLATE_CROSS_H

#include "training/parameters.h"
#include "training/pool.h"

#include <vkattn/nn.h>

typedef enum cross_kind { CROSS_DOT, CROSS_ADDITIVE, CROSS_LUONG, CROSS_KINDS } cross_kind;

typedef struct cross_desc {
    cross_kind kind;
    uint32_t heads, width;         /* heads of dot; of the others there is one                          */
    uint32_t batch, queries, keys; /* queries at most                                                   */
    vka_tensor lengths;            /* i32 [batch]: keys that count                                      */
    bool hard;                     /* the key with the highest score gets all: not for additive, nor to train */
    char prefix[32];               /* of names                                                          */
} cross_desc;

typedef struct cross {
    cross_desc desc;
    const parameters *parameters;
    vka_tensor q, k, v, merged, lse;              /* q and v: where there is a projection                 */
    vka_tensor d_q, d_k, d_v, d_merged, d_memory; /* d_memory: what is to be added                        */
} cross;

uint32_t cross_heads(const cross_desc *d);
void cross_add_parameters(parameters *p, const cross_desc *d);
void cross_create(cross *c, pool *tensors, const parameters *p, const cross_desc *d);

/* What is made of memory [B, M, E] alone. */
void cross_add_memory(const cross *c, vka_nn_sequence *s, vka_tensor memory);
/* Behind that: from h [B, N, E], of no more queries than there may be, to out. */
void cross_add(const cross *c, vka_nn_sequence *s, vka_tensor h, vka_tensor memory, vka_tensor out);
/* Behind that: probabilities [B, heads, N, M], by attention to `ones`, [B, 1, M, M] with ones on the diagonal. */
void cross_add_alignment(const cross *c, vka_nn_sequence *s, vka_tensor h, vka_tensor ones, vka_tensor alignment);
/* From d_out to d_h, which lacks what goes around it; d_memory is written, or added to. All queries are there. */
void cross_add_backward(const cross *c, vka_nn_sequence *s, vka_tensor h, vka_tensor memory, vka_tensor d_out,
                        vka_tensor d_h, vka_tensor d_memory, bool add_memory);

#endif
