/* SPDX-License-Identifier: MIT */
#include "attribution.h"

#include "training/operation.h"

#include <stdlib.h>
#include <vkattn/attention.h>

/* ---- tensors ------------------------------------------------------------------------------------------------- */

static vka_tensor vectors(const attribution *a, vka_buffer *buffer) {
    const trunk_desc *d = &a->trunk->desc;
    return vka_tensor_3d(buffer, VKA_F32, d->batch, d->context, d->width);
}

static vka_tensor triples(const attribution *a, vka_buffer *buffer) {
    const trunk_desc *d = &a->trunk->desc;
    return vka_tensor_3d(buffer, VKA_F32, d->batch, d->context, 3 * d->width);
}

/* [batch, heads, tokens, channels]: of the columns of rows that begin with `first`. */
static vka_tensor heads(const attribution *a, vka_tensor rows, uint32_t first) {
    const trunk_desc *d = &a->trunk->desc;
    vka_tensor t = vka_tensor_4d(rows.buffer, VKA_F32, d->batch, d->heads, d->context, d->width / d->heads);
    const uint64_t columns = rows.shape[2];
    t.offset = first * sizeof(float);
    t.stride[0] = columns * d->context, t.stride[1] = t.shape[3], t.stride[2] = columns, t.stride[3] = 1;
    return t;
}

static vka_tensor pairs(const attribution *a, vka_buffer *buffer) {
    const trunk_desc *d = &a->trunk->desc;
    return vka_tensor_4d(buffer, VKA_F32, d->batch, d->heads, d->context, d->context);
}

static vka_tensor rows(const attribution *a, vka_buffer *buffer, uint32_t columns) {
    return vka_tensor_2d(buffer, VKA_F32, a->trunk->desc.batch, columns);
}

static vka_tensor input_of(const attribution *a, uint32_t layer) {
    return vectors(a, a->trunk->activations[layer]);
}

/* ---- operations ---------------------------------------------------------------------------------------------- */

static const vka_nn_norm length = {.kind = VKA_NN_NORM_RMS};

static vka_attention_desc attention_of(const attribution *a, const attribution_layer *l) {
    const trunk_desc *d = &a->trunk->desc;
    const vka_tensor qkv = triples(a, l->qkv);
    return (vka_attention_desc){.q = heads(a, qkv, 0),
                                .k = heads(a, qkv, d->width),
                                .v = heads(a, qkv, 2 * d->width),
                                .out = heads(a, vectors(a, l->attended), 0),
                                .lse = vka_tensor_3d(l->lse, VKA_F32, d->batch, d->heads, d->context),
                                .scores = pairs(a, l->probabilities),
                                .score_stage = VKA_SCORES_PROBABILITIES};
}

static vka_nn_feed_forward_desc feed_forward_of(const attribution *a, const vka_nn_layer_desc *weights,
                                                uint32_t layer) {
    vka_nn_feed_forward_desc d = weights->feed_forward;
    d.x = vectors(a, a->layers[layer].normed_again);
    d.residual = vectors(a, a->layers[layer].h);
    d.out = input_of(a, layer + 1);
    d.keep = VKA_NN_KEEP_INPUTS;
    return d;
}

static vka_nn_layer_desc weights_of(const attribution *a, uint32_t layer) {
    return trunk_layer(a->trunk, a->sequence, layer, input_of(a, layer), input_of(a, layer + 1));
}

static void add_layer(const attribution *a, uint32_t layer) {
    const attribution_layer *l = &a->layers[layer];
    const vka_nn_layer_desc w = weights_of(a, layer);
    const vka_tensor x = input_of(a, layer), normed = vectors(a, l->normed), h = vectors(a, l->h);
    const vka_tensor again = vectors(a, l->normed_again);
    const vka_nn_feed_forward_desc feed_forward = feed_forward_of(a, &w, layer);
    const vka_attention_desc attention = attention_of(a, l);
    check(vka_nn_normalise(a->sequence, &w.norm_self, &x, &normed));
    ADD(a->sequence, LINEAR,
        (vka_linear_desc){
            .x = normed, .weight = w.self.qkv.weight, .bias = w.self.qkv.bias, .out = triples(a, l->qkv)});
    ADD(a->sequence, ATTENTION, attention);
    ADD(a->sequence, LINEAR,
        (vka_linear_desc){.x = vectors(a, l->attended),
                          .weight = w.self.projection.weight,
                          .bias = w.self.projection.bias,
                          .residual = x,
                          .out = h});
    check(vka_nn_normalise(a->sequence, &w.norm_feed_forward, &h, &again));
    check(vka_nn_feed_forward(a->sequence, &feed_forward));
}

/* The gradient of attention's result, of which those of probabilities, queries, keys and values are made. */
static void add_attention_backward(const attribution *a, const attribution_layer *l) {
    const uint32_t width = a->trunk->desc.width;
    const vka_tensor d_out = heads(a, vectors(a, a->d_attended), 0), d_qkv = triples(a, a->d_qkv);
    const vka_attention_desc forward = attention_of(a, l);
    ADD(a->sequence, LINEAR, (vka_linear_desc){.x = d_out, .weight = forward.v, .out = pairs(a, l->d_probabilities)});
    ADD(a->sequence, ATTENTION_BACKWARD,
        (vka_attention_backward_desc){.forward = forward,
                                      .d_out = d_out,
                                      .d_q = heads(a, d_qkv, 0),
                                      .d_k = heads(a, d_qkv, width),
                                      .d_v = heads(a, d_qkv, 2 * width)});
}

/* From the gradient of what the layer gives to that of what it reads. */
static void add_layer_backward(const attribution *a, uint32_t layer, vka_tensor d_out, vka_tensor d_x) {
    const attribution_layer *l = &a->layers[layer];
    const vka_nn_layer_desc w = weights_of(a, layer);
    const vka_tensor d_rows = vectors(a, a->d_rows), d_h = vectors(a, a->d_h);
    check(vka_nn_feed_forward_backward(a->sequence,
                                       &(vka_nn_feed_forward_backward_desc){.forward = feed_forward_of(a, &w, layer),
                                                                            .gradients = {.out = d_out, .x = d_rows}}));
    check(vka_nn_normalise_backward(
        a->sequence,
        &(vka_nn_normalise_backward_desc){
            .norm = w.norm_feed_forward, .x = vectors(a, l->h), .d_out = d_rows, .d_sum = d_out, .d_x = d_h}));
    ADD(a->sequence, LINEAR_BACKWARD,
        (vka_linear_backward_desc){.weight = w.self.projection.weight, .d_out = d_h, .d_x = vectors(a, a->d_attended)});
    add_attention_backward(a, l);
    ADD(a->sequence, LINEAR_BACKWARD,
        (vka_linear_backward_desc){.weight = w.self.qkv.weight, .d_out = triples(a, a->d_qkv), .d_x = d_rows});
    check(vka_nn_normalise_backward(
        a->sequence, &(vka_nn_normalise_backward_desc){
                         .norm = w.norm_self, .x = input_of(a, layer), .d_out = d_rows, .d_sum = d_h, .d_x = d_x}));
}

/* The result of the head, and the gradient of what the last layer gives: 0 but for the first tokens. */
static vka_tensor add_head(const attribution *a) {
    const trunk *t = a->trunk;
    const uint32_t classes = t->desc.classes, width = t->desc.width;
    const vka_tensor last = trunk_first(t, input_of(a, t->desc.layers)), d_last = vectors(a, a->d_last);
    const vka_tensor head = rows(a, a->unit ? a->head : a->result, classes), result = rows(a, a->result, classes);
    const vka_tensor d_head = rows(a, a->unit ? a->d_head : a->d_result, classes);
    trunk_add_head(t, a->sequence, last, rows(a, a->normed, width), head);
    if (a->unit) {
        check(vka_nn_normalise(a->sequence, &length, &head, &result));
        check(vka_nn_normalise_backward(
            a->sequence, &(vka_nn_normalise_backward_desc){
                             .norm = length, .x = head, .d_out = rows(a, a->d_result, classes), .d_x = d_head}));
    }
    trunk_add_head_backward(t, a->sequence, last, rows(a, a->normed, width), d_head, rows(a, a->d_normed, width),
                            trunk_first(t, d_last));
    return d_last;
}

static void add_all(const attribution *a) {
    const uint32_t count = a->trunk->desc.layers;
    patches_add(a->patches, a->sequence);
    for (uint32_t i = 0; i < count; i++) {
        add_layer(a, i);
    }
    vka_tensor d = add_head(a);
    for (uint32_t i = count; i-- > 0;) {
        const vka_tensor d_x = i == count - 1 ? vectors(a, a->d_input) : trunk_gradient(a->trunk);
        add_layer_backward(a, i, d, d_x);
        d = d_x;
    }
}

/* ---- buffers ------------------------------------------------------------------------------------------------- */

static void create_layer(attribution_layer *l, vka_device *device, const trunk_desc *d) {
    const uint64_t tokens = sizeof(float) * d->batch * d->context, row = tokens * d->width;
    l->normed = create_buffer(device, row, VKA_MEMORY_DEVICE);
    l->qkv = create_buffer(device, 3 * row, VKA_MEMORY_DEVICE);
    l->attended = create_buffer(device, row, VKA_MEMORY_DEVICE);
    l->lse = create_buffer(device, tokens * d->heads, VKA_MEMORY_DEVICE);
    l->h = create_buffer(device, row, VKA_MEMORY_DEVICE);
    l->normed_again = create_buffer(device, row, VKA_MEMORY_DEVICE);
    l->probabilities = create_buffer(device, tokens * d->heads * d->context, VKA_MEMORY_READBACK);
    l->d_probabilities = create_buffer(device, tokens * d->heads * d->context, VKA_MEMORY_READBACK);
}

void attribution_create(attribution *a, const patches *p, bool unit) {
    const trunk_desc *d = &p->trunk->desc;
    vka_device *device = p->trunk->device;
    const uint64_t row = sizeof(float) * d->batch * d->width, all = row * d->context;
    const uint64_t classes = sizeof(float) * d->batch * d->classes;
    *a = (attribution){.patches = p, .trunk = p->trunk, .unit = unit};
    for (uint32_t i = 0; i < d->layers; i++) {
        create_layer(&a->layers[i], device, d);
    }
    a->result = create_buffer(device, classes, VKA_MEMORY_READBACK);
    a->d_result = create_buffer(device, classes, VKA_MEMORY_UPLOAD);
    a->head = create_buffer(device, classes, VKA_MEMORY_DEVICE);
    a->d_head = create_buffer(device, classes, VKA_MEMORY_DEVICE);
    a->normed = create_buffer(device, row, VKA_MEMORY_DEVICE);
    a->d_normed = create_buffer(device, row, VKA_MEMORY_DEVICE);
    a->d_qkv = create_buffer(device, 3 * all, VKA_MEMORY_DEVICE);
    vka_buffer **const rows_of_all[] = {&a->d_last, &a->d_input, &a->d_h, &a->d_rows, &a->d_attended};
    for (size_t i = 0; i < sizeof rows_of_all / sizeof *rows_of_all; i++) {
        *rows_of_all[i] = create_buffer(device, all, VKA_MEMORY_DEVICE);
    }
    check(vka_nn_sequence_create(device, &(vka_nn_sequence_desc){.log = {.fn = log_line}}, &a->sequence));
    add_all(a);
    check(vka_recorder_create(device, &(vka_recorder_desc){.max_dispatches = 1024}, &a->recorder));
    check(vka_recorder_begin(a->recorder));
    check(vka_nn_sequence_record(a->recorder, a->sequence));
}

void attribution_destroy(attribution *a) {
    vka_buffer **const buffers[] = {&a->result, &a->d_result, &a->head, &a->d_head, &a->normed,     &a->d_normed,
                                    &a->d_last, &a->d_input,  &a->d_h,  &a->d_rows, &a->d_attended, &a->d_qkv};
    vka_recorder_destroy(&a->recorder);
    vka_nn_sequence_destroy(&a->sequence);
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        vka_buffer_destroy(buffers[i]);
    }
    for (uint32_t i = 0; i < TRUNK_MAX_LAYERS; i++) {
        attribution_layer *l = &a->layers[i];
        vka_buffer **const of_layer[] = {&l->normed, &l->qkv,          &l->attended,      &l->lse,
                                         &l->h,      &l->normed_again, &l->probabilities, &l->d_probabilities};
        for (size_t k = 0; k < sizeof of_layer / sizeof *of_layer; k++) {
            vka_buffer_destroy(of_layer[k]);
        }
    }
}

/* ---- results ------------------------------------------------------------------------------------------------- */

void attribution_run(const attribution *a) {
    check(vka_recorder_submit(a->recorder));
    check(vka_recorder_wait(a->recorder, VKA_FOREVER));
}

attribution_maps attribution_maps_create(const attribution *a) {
    const trunk_desc *d = &a->trunk->desc;
    attribution_maps m = {.layers = d->layers, .heads = d->heads, .tokens = d->context, .width = d->width};
    const size_t all = (size_t)d->layers * d->heads * d->context * d->context, rows_all = (size_t)d->context * d->width;
    m.probabilities = allocate(all, sizeof(float));
    m.gradients = allocate(all, sizeof(float));
    m.vectors = allocate(rows_all, sizeof(float));
    m.d_vectors = allocate(rows_all, sizeof(float));
    return m;
}

void attribution_maps_free(attribution_maps *m) {
    free(m->probabilities);
    free(m->gradients);
    free(m->vectors);
    free(m->d_vectors);
    *m = (attribution_maps){0};
}

void attribution_read(const attribution *a, uint32_t picture, attribution_maps *m) {
    const size_t layer = (size_t)m->heads * m->tokens * m->tokens, bytes = layer * sizeof(float);
    const size_t row = (size_t)m->tokens * m->width * sizeof(float);
    for (uint32_t i = 0; i < m->layers; i++) {
        check(vka_buffer_read(a->layers[i].probabilities, picture * bytes, m->probabilities + i * layer, bytes));
        check(vka_buffer_read(a->layers[i].d_probabilities, picture * bytes, m->gradients + i * layer, bytes));
    }
    check(vka_buffer_read(a->trunk->activations[m->layers - 1], picture * row, m->vectors, row));
    check(vka_buffer_read(a->d_input, picture * row, m->d_vectors, row));
}
