/* The encoder's backward pass, operation by operation: from the gradient of embeddings to that of what the layers get.
 * SPDX-License-Identifier: MIT */
#include "encoder_parts.h"

#include <vkattn/embedding.h>

static void add_linear_backward(encoder *e, const vka_nn_linear *l, vka_tensor d_out, vka_tensor d_x) {
    vka_linear_backward_desc desc = {.weight = l->weight, .d_out = d_out, .d_x = d_x};
    encoder_add(e, VKA_OPERATION_LINEAR_BACKWARD, &desc, sizeof desc);
}

static void add_norm_backward(encoder *e, const vka_nn_norm *norm, vka_tensor x, vka_tensor d_out, vka_tensor d_sum,
                              vka_tensor d_x) {
    vka_nn_normalise_backward_desc desc = {.norm = *norm, .x = x, .d_out = d_out, .d_sum = d_sum, .d_x = d_x};
    if (e->status == VKA_OK) {
        encoder_keep(e, vka_nn_normalise_backward(e->sequence, &desc));
    }
}

static void add_attention_backward(encoder *e, const vka_attention_desc *forward, vka_tensor d_out, vka_tensor d_qkv) {
    uint32_t h = forward->q.shape[1], d = forward->q.shape[3];
    vka_attention_backward_desc desc = {.forward = *forward,
                                        .d_out = encoder_heads(&d_out, 0, h, d),
                                        .d_q = encoder_heads(&d_qkv, 0, h, d),
                                        .d_k = encoder_heads(&d_qkv, h * d, h, d),
                                        .d_v = encoder_heads(&d_qkv, 2 * h * d, h, d)};
    encoder_add(e, VKA_OPERATION_ATTENTION_BACKWARD, &desc, sizeof desc);
}

/* Returns the gradient of x, which is written to `d_x` where that is given. */
static vka_tensor add_layer_backward(encoder *e, const layer_parts *p, vka_tensor d_out, vka_tensor d_x) {
    uint32_t tokens = e->capacity.tokens, inputs = p->x.shape[1];
    vka_tensor d_n = encoder_new(e, tokens, e->width), d_y = encoder_new(e, tokens, e->width), d_around = d_y;
    vka_tensor d_a = encoder_new(e, tokens, p->qkv.shape[1] / 3), d_qkv = encoder_new(e, tokens, p->qkv.shape[1]);
    vka_tensor d_h = encoder_new(e, tokens, inputs);
    vka_nn_feed_forward_backward_desc feed_forward = {.forward = p->feed_forward,
                                                      .gradients = {.x = d_n, .out = d_out}};
    if (e->status == VKA_OK) {
        encoder_keep(e, vka_nn_feed_forward_backward(e->sequence, &feed_forward));
    }
    add_norm_backward(e, &p->norm2, p->y, d_n, d_out, d_y);
    add_linear_backward(e, &p->out, d_y, d_a);
    add_attention_backward(e, &p->attention, d_a, d_qkv);
    add_linear_backward(e, &p->in, d_qkv, d_h);
    if (p->residual.weight.buffer) {
        d_around = encoder_new(e, tokens, inputs);
        add_linear_backward(e, &p->residual, d_y, d_around);
    }
    d_x = d_x.buffer ? d_x : encoder_new(e, tokens, inputs);
    add_norm_backward(e, &p->norm1, p->x, d_h, d_around, d_x);
    return d_x;
}

/* Returns the gradient of what the last layer gave. */
static vka_tensor add_head_backward(encoder *e) {
    uint32_t sentences = e->capacity.sentences;
    vka_tensor d_bent = encoder_new(e, sentences, e->outputs), d_mean = encoder_new(e, sentences, e->width);
    vka_tensor d = encoder_new(e, e->capacity.tokens, e->width);
    vka_rms_norm_backward_desc unit = {
        .x = e->bent, .d_out = e->toward, .weight = e->unit.weight, .d_x = d_bent, .epsilon = e->unit.epsilon};
    encoder_add(e, VKA_OPERATION_RMS_NORM_BACKWARD, &unit, sizeof unit);
    vka_linear_backward_desc hidden = {.x = e->mean,
                                       .weight = e->hidden.weight,
                                       .bias = e->hidden.bias,
                                       .d_out = d_bent,
                                       .d_x = d_mean,
                                       .activation = VKA_ACTIVATION_TANH};
    encoder_add(e, VKA_OPERATION_LINEAR_BACKWARD, &hidden, sizeof hidden);
    /* All sentences have as many pieces, each of which has its share of the mean's gradient: that row of it. */
    vka_embedding_desc averaging = {.table = d_mean, .ids = e->ids, .out = d};
    averaging.scale = (float)sentences / (float)e->capacity.tokens;
    encoder_add(e, VKA_OPERATION_EMBEDDING, &averaging, sizeof averaging);
    return d;
}

void encoder_add_backward(encoder *e) {
    vka_tensor d = add_head_backward(e);
    for (uint32_t i = e->layers; i-- > 0;) {
        d = add_layer_backward(e, &e->parts[i], d, i ? (vka_tensor){0} : e->d_input);
    }
}
