/* What models have in common: layers from vectors to vectors, a last norm, and a head that makes logits of them.
 *
 * Layers have the names of PyTorch's nn.TransformerEncoderLayer behind "layers.N.", with norms in front and GELU unless
 * it is said otherwise; the rest are "norm.weight", "norm.bias" and "head.weight". A model of several trunks gives each
 * a prefix. SPDX-License-Identifier: MIT */
#ifndef TRAINING_TRUNK_H
#define TRAINING_TRUNK_H

#include "parameters.h"

#include <vkattn/nn.h>

enum { TRUNK_MAX_LAYERS = 64, TRUNK_MAX_WIDTH = 65536 };

typedef struct trunk_desc {
    uint32_t layers, heads, width;
    uint32_t context; /* tokens of a sequence        */
    uint32_t batch;   /* sequences of a step         */
    uint32_t classes; /* logits; 0: there are layers alone */
    bool causal;
    bool norm_last;     /* norms behind, and RELU: the layers of 2017                    */
    vka_tensor lengths; /* i32 [batch]: tokens that are seen; absent: all                */
    const char *prefix; /* of its parameters' names; NULL: none. Must outlive the trunk */
} trunk_desc;

typedef struct trunk_text {
    char text[64];
} trunk_text;

typedef struct trunk {
    trunk_desc desc;
    vka_device *device;
    parameters *parameters;
    vka_buffer *activations[TRUNK_MAX_LAYERS + 1], *kept[TRUNK_MAX_LAYERS], *gradient;
    vka_nn_layer_desc layers[TRUNK_MAX_LAYERS]; /* as forward had them, for backward */
} trunk;

/* A parameter named `of` and `name`: a weight where there are two sizes, otherwise a bias. */
void trunk_add_parameter(parameters *p, const char *of, const char *name, uint32_t n0, uint32_t n1, float mean,
                         float deviation);
/* A name behind the prefix. */
trunk_text trunk_name(const trunk_desc *desc, const char *name);
/* Of weights at first: GPT-2's 0.02 at its width of 768. */
float trunk_deviation(const trunk_desc *desc);
/* Refuses sizes that can't be, by ending the program. */
void trunk_add_parameters(parameters *p, const trunk_desc *desc);
/* `p` must exist, and outlive the trunk. */
void trunk_create(trunk *t, vka_device *device, parameters *p, const trunk_desc *desc);
void trunk_destroy(trunk *t);

/* f32 [batch, width]: the first token of each sequence, of all tokens' vectors. */
vka_tensor trunk_first(const trunk *t, vka_tensor vectors);

/* f32 [batch, context, width]: what the first layer reads, and what its gradient is in the end. */
vka_tensor trunk_input(const trunk *t);
vka_tensor trunk_gradient(const trunk *t);

/* The value of a parameter by its name behind the prefix, and its gradient. */
vka_tensor trunk_value(const trunk *t, const char *name);
vka_tensor trunk_value_gradient(const trunk *t, const char *name);

/* A layer from x to out, with its parameters. */
vka_nn_layer_desc trunk_layer(const trunk *t, vka_nn_sequence *s, uint32_t layer, vka_tensor x, vka_tensor out);
/* All layers, from trunk_input; with what a backward pass needs, or in place. Returns what the last one writes. */
vka_tensor trunk_add_layers(trunk *t, vka_nn_sequence *s, bool trains);
/* Behind trunk_add_layers with `trains`: from the gradient of what that returned, which may be trunk_gradient. */
void trunk_add_layers_backward(const trunk *t, vka_nn_sequence *s, vka_tensor d_out);

/* The last norm, of x [.., width] into `normed`, and logits. */
void trunk_add_head(const trunk *t, vka_nn_sequence *s, vka_tensor x, vka_tensor normed, vka_tensor logits);
/* From d_logits to d_x, by way of d_normed. */
void trunk_add_head_backward(const trunk *t, vka_nn_sequence *s, vka_tensor x, vka_tensor normed, vka_tensor d_logits,
                             vka_tensor d_normed, vka_tensor d_x);

#endif
