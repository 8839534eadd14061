/* SPDX-License-Identifier: MIT */
#include "model.h"

#include "training/operation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <vkattn/embedding.h>
#include <vkattn/loss.h>
#include <vkattn/positions.h>

static const char source_name[] = "source.weight", target_name[] = "target.weight";

/* ---- operations ---------------------------------------------------------------------------------------------- */

/* Vectors of a length of about sqrt(width), as positions have it. */
static float embedding_scale(const model *m) {
    return sqrtf((float)m->desc.width);
}

static vka_tensor first_positions(const model *m, uint32_t count) {
    vka_tensor t = m->positions;
    t.shape[0] = count;
    return t;
}

static void add_embedding(const model *m, vka_nn_sequence *s, const char *table, vka_tensor ids, vka_tensor positions,
                          vka_tensor out) {
    ADD(s, EMBEDDING,
        (vka_embedding_desc){.table = parameters_value(&m->parameters, table),
                             .position = positions,
                             .ids = ids,
                             .out = out,
                             .scale = embedding_scale(m)});
}

vka_tensor model_add_encoder(model *m, vka_nn_sequence *s, bool trains) {
    add_embedding(m, s, source_name, m->source, first_positions(m, DATE_SOURCE), trunk_input(&m->encoder));
    const vka_tensor memory = trunk_add_layers(&m->encoder, s, trains);
    decoder_add_memory(&m->decoder, s, memory);
    return memory;
}

void model_add_input(model *m, vka_nn_sequence *s, vka_tensor ids, vka_tensor positions) {
    vka_tensor x = m->decoder.input;
    x.shape[1] = ids.shape[1];
    add_embedding(m, s, target_name, ids, positions, x);
}

void model_add_head(model *m, vka_nn_sequence *s, vka_tensor x, vka_tensor logits) {
    ADD(s, LINEAR, (vka_linear_desc){.x = x, .weight = parameters_value(&m->parameters, target_name), .out = logits});
}

/* Returns what the last layer gives. */
static vka_tensor add_forward(model *m, vka_nn_sequence *s, vka_tensor memory, bool trains) {
    model_add_input(m, s, m->ids, first_positions(m, DATE_TARGET));
    const vka_tensor out = decoder_add(&m->decoder, s, DATE_TARGET, memory, &(decoder_pass){.trains = trains});
    model_add_head(m, s, out, m->logits);
    ADD(s, CROSS_ENTROPY,
        (vka_cross_entropy_desc){.logits = m->logits, .targets = m->targets, .lse = m->lse, .total = m->loss});
    return out;
}

/* The gradient of logits takes their place. */
static void add_head_backward(model *m, vka_nn_sequence *s, vka_tensor out) {
    ADD(s, CROSS_ENTROPY_BACKWARD,
        (vka_cross_entropy_backward_desc){
            .logits = m->logits, .targets = m->targets, .lse = m->lse, .d_total = m->one, .d_logits = m->logits});
    ADD(s, LINEAR_BACKWARD,
        (vka_linear_backward_desc){.x = out,
                                   .weight = parameters_value(&m->parameters, target_name),
                                   .d_out = m->logits,
                                   .d_x = m->decoder.gradient,
                                   .d_weight = parameters_gradient(&m->parameters, target_name)});
}

static void add_embedding_backward(model *m, vka_nn_sequence *s, const char *table, vka_tensor ids, vka_tensor d_out,
                                   bool accumulate) {
    ADD(s, EMBEDDING_BACKWARD,
        (vka_embedding_backward_desc){.ids = ids,
                                      .d_out = d_out,
                                      .d_table = parameters_gradient(&m->parameters, table),
                                      .scale = embedding_scale(m),
                                      .accumulate = accumulate});
}

static void add_backward(model *m, vka_nn_sequence *s, vka_tensor memory, vka_tensor out) {
    const vka_tensor d_memory = trunk_gradient(&m->encoder);
    add_head_backward(m, s, out);
    decoder_add_backward(&m->decoder, s, memory, d_memory);
    add_embedding_backward(m, s, target_name, m->ids, m->decoder.gradient, true);
    trunk_add_layers_backward(&m->encoder, s, d_memory);
    add_embedding_backward(m, s, source_name, m->source, d_memory, false);
}

/* ---- the model ----------------------------------------------------------------------------------------------- */

static void create_tensors(model *m) {
    const uint32_t batch = m->desc.batch, width = m->desc.width;
    const uint32_t source[] = {batch, DATE_SOURCE}, target[] = {batch, DATE_TARGET, DATE_CLASSES};
    const float one = 1;
    float *positions = allocate((size_t)DATE_SOURCE * width, sizeof *positions);
    m->source = pool_take(&m->tensors, VKA_MEMORY_UPLOAD, VKA_I32, 2, source);
    m->lengths = pool_take(&m->tensors, VKA_MEMORY_UPLOAD, VKA_I32, 1, source);
    m->ids = pool_take(&m->tensors, VKA_MEMORY_UPLOAD, VKA_I32, 2, target);
    m->targets = pool_take(&m->tensors, VKA_MEMORY_UPLOAD, VKA_I32, 2, target);
    m->logits = pool_take(&m->tensors, VKA_MEMORY_DEVICE, VKA_F32, 3, target);
    m->lse = pool_take(&m->tensors, VKA_MEMORY_DEVICE, VKA_F32, 2, target);
    m->loss = pool_take(&m->tensors, VKA_MEMORY_READBACK, VKA_F32, 1, (uint32_t[]){1});
    m->one = pool_take(&m->tensors, VKA_MEMORY_UPLOAD, VKA_F32, 1, (uint32_t[]){1});
    m->positions = pool_take(&m->tensors, VKA_MEMORY_DEVICE, VKA_F32, 2, (uint32_t[]){DATE_SOURCE, width});
    vka_sinusoidal_positions(0, DATE_SOURCE, width, VKA_SINUSOID_INTERLEAVED, 0, positions);
    check(vka_buffer_write(m->positions.buffer, 0, positions, (uint64_t)DATE_SOURCE * width * sizeof *positions));
    check(vka_buffer_write(m->one.buffer, 0, &one, sizeof one));
    free(positions);
}

static trunk_desc encoder_of(const model_desc *d) {
    return (trunk_desc){.layers = d->layers,
                        .heads = d->heads,
                        .width = d->width,
                        .context = DATE_SOURCE,
                        .batch = d->batch,
                        .norm_last = true,
                        .prefix = "encoder."};
}

static decoder_desc decoder_of(const model_desc *d) {
    return (decoder_desc){.layers = d->layers,
                          .heads = d->heads,
                          .width = d->width,
                          .batch = d->batch,
                          .queries = DATE_TARGET,
                          .keys = DATE_SOURCE,
                          .attention = d->attention,
                          .hard = d->hard};
}

void model_create(model *m, vka_device *device, const model_desc *desc, uint64_t seed) {
    trunk_desc reads = encoder_of(desc);
    decoder_desc writes = decoder_of(desc);
    const float deviation = 1 / sqrtf((float)desc->width);
    *m = (model){.desc = *desc, .tensors.device = device};
    trunk_add_parameters(&m->parameters, &reads);
    decoder_add_parameters(&m->parameters, &writes);
    parameters_add(&m->parameters, source_name, 2, (uint32_t[]){date_characters(), desc->width}, 0, deviation);
    parameters_add(&m->parameters, target_name, 2, (uint32_t[]){DATE_CLASSES, desc->width}, 0, deviation);
    parameters_create(&m->parameters, device, seed);
    create_tensors(m);
    reads.lengths = writes.lengths = m->lengths;
    trunk_create(&m->encoder, device, &m->parameters, &reads);
    decoder_create(&m->decoder, &m->tensors, &m->parameters, &writes);
}

static vka_nn_sequence *create_sequence(const model *m) {
    vka_nn_sequence *s;
    check(vka_nn_sequence_create(m->tensors.device, &(vka_nn_sequence_desc){.log = {.fn = log_line}}, &s));
    return s;
}

void model_build_training(model *m, const optimizer *o) {
    m->step = create_sequence(m);
    const vka_tensor memory = model_add_encoder(m, m->step, true);
    add_backward(m, m->step, memory, add_forward(m, m->step, memory, true));
    optimizer_add(o, m->step, &m->parameters);
    m->evaluation = create_sequence(m);
    add_forward(m, m->evaluation, model_add_encoder(m, m->evaluation, false), false);
}

void model_build_alignment(model *m) {
    const uint32_t batch = m->desc.batch, heads = cross_heads(&m->decoder.layers[0].cross.desc);
    const uint32_t shape[] = {m->desc.layers * batch, heads, DATE_TARGET, DATE_SOURCE};
    const uint32_t square = DATE_SOURCE * DATE_SOURCE;
    m->alignment = pool_take(&m->tensors, VKA_MEMORY_READBACK, VKA_F32, 4, shape);
    m->ones =
        pool_take(&m->tensors, VKA_MEMORY_UPLOAD, VKA_F32, 4, (uint32_t[]){batch, heads, DATE_SOURCE, DATE_SOURCE});
    for (uint32_t i = 0; i < batch * heads * DATE_SOURCE; i++) {
        ((float *)vka_buffer_map(m->ones.buffer))[i / DATE_SOURCE * square + i % DATE_SOURCE * (DATE_SOURCE + 1)] = 1;
    }
    decoder_pass pass = {.ones = m->ones, .alignment = m->alignment};
    pass.alignment.shape[0] = batch;
    pass.alignment_bytes = (uint64_t)batch * heads * DATE_TARGET * DATE_SOURCE * sizeof(float);
    m->align = create_sequence(m);
    const vka_tensor memory = model_add_encoder(m, m->align, false);
    model_add_input(m, m->align, m->ids, first_positions(m, DATE_TARGET));
    decoder_add(&m->decoder, m->align, DATE_TARGET, memory, &pass);
}

void model_destroy(model *m) {
    vka_nn_sequence_destroy(&m->step);
    vka_nn_sequence_destroy(&m->evaluation);
    vka_nn_sequence_destroy(&m->align);
    trunk_destroy(&m->encoder);
    pool_destroy(&m->tensors);
    parameters_destroy(&m->parameters);
}

/* ---- texts --------------------------------------------------------------------------------------------------- */

bool model_set_source(model *m, uint32_t at, const char *text) {
    int32_t *ids = (int32_t *)vka_buffer_map(m->source.buffer) + (size_t)at * DATE_SOURCE;
    const size_t length = strlen(text);
    if (length == 0 || length > DATE_SOURCE) {
        return false;
    }
    for (uint32_t i = 0; i < DATE_SOURCE; i++) {
        ids[i] = i < length ? date_character(text[i]) : -1;
        if (i < length && ids[i] < 0) {
            return false;
        }
    }
    ((int32_t *)vka_buffer_map(m->lengths.buffer))[at] = (int32_t)length;
    return true;
}

void model_set_target(model *m, uint32_t at, const char *text) {
    int32_t *ids = (int32_t *)vka_buffer_map(m->ids.buffer) + (size_t)at * DATE_TARGET;
    int32_t *targets = (int32_t *)vka_buffer_map(m->targets.buffer) + (size_t)at * DATE_TARGET;
    for (uint32_t i = 0; i < DATE_TARGET; i++) {
        targets[i] = date_class(text[i]);
        ids[i] = i ? targets[i - 1] : DATE_BEGIN;
    }
}
