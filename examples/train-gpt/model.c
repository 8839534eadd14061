/* SPDX-License-Identifier: MIT */
#include "model.h"

#include "common/program.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <vkattn/embedding.h>
#include <vkattn/loss.h>

#define ADD(sequence, OP, ...)                                                                                         \
    check(vka_nn_operation(sequence, VKA_OPERATION_##OP, &(__VA_ARGS__), sizeof(__VA_ARGS__)))

/* ---- parameters ---------------------------------------------------------------------------------------------- */

model_prefix model_prefix_of(uint32_t layer) {
    model_prefix p;
    snprintf(p.text, sizeof p.text, "layers.%" PRIu32 ".", layer);
    return p;
}

/* A weight where there are two sizes, otherwise a bias. */
static void add(model *m, const char *prefix, const char *name, uint32_t n0, uint32_t n1, float mean, float deviation) {
    char whole[64];
    snprintf(whole, sizeof whole, "%s%s", prefix, name);
    parameters_add(&m->parameters, whole, n1 ? 2 : 1, (uint32_t[]){n0, n1}, mean, deviation);
}

/* GPT-2's deviations, 0.02 at its width of 768; what is added to the residuals is less, for there are many. */
static void add_parameters(model *m) {
    const uint32_t width = m->desc.width, inner = 4 * width;
    const float deviation = 0.02f * sqrtf(768.0f / (float)width);
    const float residual = deviation / sqrtf(2.0f * (float)m->desc.layers);
    add(m, "", "tokens.weight", m->desc.classes, width, 0, deviation);
    add(m, "", "positions.weight", m->desc.context, width, 0, deviation);
    for (uint32_t i = 0; i < m->desc.layers; i++) {
        model_prefix p = model_prefix_of(i);
        add(m, p.text, "norm1.weight", width, 0, 1, 0);
        add(m, p.text, "norm1.bias", width, 0, 0, 0);
        add(m, p.text, "self_attn.in_proj_weight", 3 * width, width, 0, deviation);
        add(m, p.text, "self_attn.in_proj_bias", 3 * width, 0, 0, 0);
        add(m, p.text, "self_attn.out_proj.weight", width, width, 0, residual);
        add(m, p.text, "self_attn.out_proj.bias", width, 0, 0, 0);
        add(m, p.text, "norm2.weight", width, 0, 1, 0);
        add(m, p.text, "norm2.bias", width, 0, 0, 0);
        add(m, p.text, "linear1.weight", inner, width, 0, deviation);
        add(m, p.text, "linear1.bias", inner, 0, 0, 0);
        add(m, p.text, "linear2.weight", width, inner, 0, residual);
        add(m, p.text, "linear2.bias", width, 0, 0, 0);
    }
    add(m, "", "norm.weight", width, 0, 1, 0);
    add(m, "", "norm.bias", width, 0, 0, 0);
    add(m, "", "head.weight", m->desc.classes, width, 0, deviation);
}

/* ---- tensors ------------------------------------------------------------------------------------------------- */

static vka_tensor tokens_of(const model *m, vka_buffer *buffer) {
    return vka_tensor_2d(buffer, VKA_I32, m->desc.batch, m->desc.context);
}

/* A vector for each token. */
static vka_tensor vectors(const model *m, vka_buffer *buffer) {
    return vka_tensor_3d(buffer, VKA_F32, m->desc.batch, m->desc.context, m->desc.width);
}

static vka_tensor logits_of(const model *m) {
    return vka_tensor_3d(m->logits, VKA_F32, m->desc.batch, m->desc.context, m->desc.classes);
}

static vka_tensor lse_of(const model *m) {
    return vka_tensor_2d(m->lse, VKA_F32, m->desc.batch, m->desc.context);
}

static vka_tensor single(vka_buffer *buffer) {
    return vka_tensor_1d(buffer, VKA_F32, 1);
}

static vka_nn_norm last_norm(const model *m) {
    return (vka_nn_norm){.kind = VKA_NN_NORM_LAYER,
                         .weight = parameters_value(&m->parameters, "norm.weight"),
                         .bias = parameters_value(&m->parameters, "norm.bias")};
}

/* ---- forward ------------------------------------------------------------------------------------------------- */

vka_nn_layer_desc model_layer(model *m, vka_nn_sequence *s, uint32_t layer, vka_tensor x, vka_tensor out) {
    vka_nn_layer_desc d = {.x = x,
                           .out = out,
                           .norm_first = true,
                           .norm_self.kind = VKA_NN_NORM_LAYER,
                           .norm_feed_forward.kind = VKA_NN_NORM_LAYER,
                           .self = {.heads = m->desc.heads, .attention.causal = true},
                           .feed_forward.activation = VKA_ACTIVATION_GELU};
    check(vka_nn_layer_find(s, VKA_NN_NAMES_TORCH, model_prefix_of(layer).text, parameters_find_value, &m->parameters,
                            &d));
    return d;
}

void model_add_head(model *m, vka_nn_sequence *s, vka_tensor x, vka_tensor normed, vka_tensor logits) {
    const vka_nn_norm norm = last_norm(m);
    check(vka_nn_normalise(s, &norm, &x, &normed));
    ADD(s, LINEAR,
        (vka_linear_desc){.x = normed, .weight = parameters_value(&m->parameters, "head.weight"), .out = logits});
}

/* Where there is a backward pass each layer has an output of its own, and `layers` is written. */
static void add_forward(model *m, vka_nn_sequence *s, vka_nn_layer_desc *layers) {
    ADD(s, EMBEDDING,
        (vka_embedding_desc){.table = parameters_value(&m->parameters, "tokens.weight"),
                             .position = parameters_value(&m->parameters, "positions.weight"),
                             .ids = tokens_of(m, m->ids),
                             .out = vectors(m, m->activations[0])});
    for (uint32_t i = 0; i < m->desc.layers; i++) {
        vka_tensor x = vectors(m, m->activations[layers ? i : 0]), out = vectors(m, m->activations[layers ? i + 1 : 0]);
        vka_nn_layer_desc d = model_layer(m, s, i, x, out);
        if (layers) {
            uint64_t bytes;
            d.keep = VKA_NN_KEEP_RESULTS;
            check(vka_nn_layer_kept_bytes(s, &d, &bytes));
            check(vka_buffer_create(m->device, &(vka_buffer_desc){.size = bytes}, &m->kept[i]));
            d.kept.buffer = m->kept[i];
            layers[i] = d;
        }
        check(vka_nn_layer(s, &d));
    }
    model_add_head(m, s, vectors(m, m->activations[layers ? m->desc.layers : 0]), vectors(m, m->normed), logits_of(m));
    ADD(s, CROSS_ENTROPY,
        (vka_cross_entropy_desc){
            .logits = logits_of(m), .targets = tokens_of(m, m->targets), .lse = lse_of(m), .total = single(m->loss)});
}

/* ---- backward ------------------------------------------------------------------------------------------------ */

/* The gradient of logits takes their place, and one tensor has those of all layers one after the other. */
static void add_backward(model *m, vka_nn_sequence *s, const vka_nn_layer_desc *layers) {
    parameters *p = &m->parameters;
    const vka_tensor d_h = vectors(m, m->gradient);
    ADD(s, CROSS_ENTROPY_BACKWARD,
        (vka_cross_entropy_backward_desc){.logits = logits_of(m),
                                          .targets = tokens_of(m, m->targets),
                                          .lse = lse_of(m),
                                          .d_total = single(m->one),
                                          .d_logits = logits_of(m)});
    ADD(s, LINEAR_BACKWARD,
        (vka_linear_backward_desc){.x = vectors(m, m->normed),
                                   .weight = parameters_value(p, "head.weight"),
                                   .d_out = logits_of(m),
                                   .d_x = d_h,
                                   .d_weight = parameters_gradient(p, "head.weight")});
    const vka_nn_normalise_backward_desc norm = {
        .norm = last_norm(m),
        .gradient = {.weight = parameters_gradient(p, "norm.weight"), .bias = parameters_gradient(p, "norm.bias")},
        .x = vectors(m, m->activations[m->desc.layers]),
        .d_out = d_h,
        .d_x = d_h};
    check(vka_nn_normalise_backward(s, &norm));
    for (uint32_t i = m->desc.layers; i-- > 0;) {
        vka_nn_layer_backward_desc d = {.forward = layers[i], .gradients = {.out = d_h, .x = d_h}};
        check(vka_nn_layer_backward_find(s, VKA_NN_NAMES_TORCH, model_prefix_of(i).text, parameters_find_gradient, p,
                                         &d));
        check(vka_nn_layer_backward(s, &d));
    }
    ADD(s, EMBEDDING_BACKWARD,
        (vka_embedding_backward_desc){.ids = tokens_of(m, m->ids),
                                      .d_out = d_h,
                                      .d_table = parameters_gradient(p, "tokens.weight"),
                                      .d_position = parameters_gradient(p, "positions.weight")});
}

/* ---- the model ----------------------------------------------------------------------------------------------- */

void model_create(model *m, vka_device *device, const model_desc *desc, uint64_t seed) {
    const uint64_t tokens = (uint64_t)desc->batch * desc->context, row = sizeof(float) * desc->width;
    const float one = 1;
    *m = (model){.desc = *desc, .device = device};
    if (!tokens || !desc->layers || desc->layers > MAX_LAYERS || !desc->heads || !desc->width ||
        desc->width % desc->heads) {
        fail("a model needs 1 .. %d layers, tokens, and a width that is a multiple of its heads", MAX_LAYERS);
    }
    add_parameters(m);
    parameters_create(&m->parameters, device, seed);
    m->ids = create_buffer(device, tokens * sizeof(int32_t), VKA_MEMORY_UPLOAD);
    m->targets = create_buffer(device, tokens * sizeof(int32_t), VKA_MEMORY_UPLOAD);
    m->loss = create_buffer(device, sizeof(float), VKA_MEMORY_READBACK);
    m->one = create_buffer(device, sizeof(float), VKA_MEMORY_UPLOAD);
    check(vka_buffer_write(m->one, 0, &one, sizeof one));
    for (uint32_t i = 0; i <= desc->layers; i++) {
        m->activations[i] = create_buffer(device, tokens * row, VKA_MEMORY_DEVICE);
    }
    m->normed = create_buffer(device, tokens * row, VKA_MEMORY_DEVICE);
    m->gradient = create_buffer(device, tokens * row, VKA_MEMORY_DEVICE);
    m->logits = create_buffer(device, tokens * sizeof(float) * desc->classes, VKA_MEMORY_DEVICE);
    m->lse = create_buffer(device, tokens * sizeof(float), VKA_MEMORY_DEVICE);
}

void model_build(model *m, const optimizer *o) {
    vka_nn_layer_desc *layers = allocate(m->desc.layers, sizeof *layers);
    const vka_nn_sequence_desc desc = {.log = {.fn = log_line}};
    check(vka_nn_sequence_create(m->device, &desc, &m->step));
    add_forward(m, m->step, layers);
    add_backward(m, m->step, layers);
    optimizer_add(o, m->step, &m->parameters);
    check(vka_nn_sequence_create(m->device, &desc, &m->evaluation));
    add_forward(m, m->evaluation, NULL);
    free(layers);
}

void model_destroy(model *m) {
    vka_buffer **const buffers[] = {&m->ids,      &m->targets, &m->loss, &m->normed,
                                    &m->gradient, &m->logits,  &m->lse,  &m->one};
    vka_nn_sequence_destroy(&m->step);
    vka_nn_sequence_destroy(&m->evaluation);
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        vka_buffer_destroy(buffers[i]);
    }
    for (uint32_t i = 0; i <= m->desc.layers; i++) {
        vka_buffer_destroy(&m->activations[i]);
    }
    for (uint32_t i = 0; i < m->desc.layers; i++) {
        vka_buffer_destroy(&m->kept[i]);
    }
    parameters_destroy(&m->parameters);
}
