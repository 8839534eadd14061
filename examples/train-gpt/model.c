/* SPDX-License-Identifier: MIT */
#include "model.h"

#include "common/program.h"
#include "gpt/parameters.h"
#include "training/operation.h"

#include <vkattn/embedding.h>
#include <vkattn/loss.h>

/* ---- tensors ------------------------------------------------------------------------------------------------- */

static vka_tensor tokens_of(const model *m, vka_buffer *buffer) {
    return vka_tensor_2d(buffer, VKA_I32, m->desc.batch, m->desc.context);
}

static vka_tensor normed_of(const model *m) {
    return vka_tensor_3d(m->normed, VKA_F32, m->desc.batch, m->desc.context, m->desc.width);
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

/* ---- operations ---------------------------------------------------------------------------------------------- */

/* Returns what the last layer gives. */
static vka_tensor add_forward(model *m, vka_nn_sequence *s, bool trains) {
    ADD(s, EMBEDDING,
        (vka_embedding_desc){.table = parameters_value(&m->parameters, "tokens.weight"),
                             .position = parameters_value(&m->parameters, "positions.weight"),
                             .ids = tokens_of(m, m->ids),
                             .out = trunk_input(&m->trunk)});
    vka_tensor last = trunk_add_layers(&m->trunk, s, trains);
    trunk_add_head(&m->trunk, s, last, normed_of(m), logits_of(m));
    ADD(s, CROSS_ENTROPY,
        (vka_cross_entropy_desc){
            .logits = logits_of(m), .targets = tokens_of(m, m->targets), .lse = lse_of(m), .total = single(m->loss)});
    return last;
}

/* The gradient of logits takes their place. */
static void add_backward(model *m, vka_nn_sequence *s, vka_tensor last) {
    const vka_tensor d_h = trunk_gradient(&m->trunk);
    ADD(s, CROSS_ENTROPY_BACKWARD,
        (vka_cross_entropy_backward_desc){.logits = logits_of(m),
                                          .targets = tokens_of(m, m->targets),
                                          .lse = lse_of(m),
                                          .d_total = single(m->one),
                                          .d_logits = logits_of(m)});
    trunk_add_head_backward(&m->trunk, s, last, normed_of(m), logits_of(m), d_h, d_h);
    trunk_add_layers_backward(&m->trunk, s, d_h);
    ADD(s, EMBEDDING_BACKWARD,
        (vka_embedding_backward_desc){.ids = tokens_of(m, m->ids),
                                      .d_out = d_h,
                                      .d_table = parameters_gradient(&m->parameters, "tokens.weight"),
                                      .d_position = parameters_gradient(&m->parameters, "positions.weight")});
}

/* ---- the model ----------------------------------------------------------------------------------------------- */

void model_create(model *m, vka_device *device, const trunk_desc *desc, uint64_t seed) {
    const uint64_t tokens = (uint64_t)desc->batch * desc->context;
    const float one = 1;
    *m = (model){.desc = *desc, .device = device};
    m->desc.causal = true;
    gpt_add_parameters(&m->parameters, &m->desc);
    parameters_create(&m->parameters, device, seed);
    trunk_create(&m->trunk, device, &m->parameters, &m->desc);
    m->ids = create_buffer(device, tokens * sizeof(int32_t), VKA_MEMORY_UPLOAD);
    m->targets = create_buffer(device, tokens * sizeof(int32_t), VKA_MEMORY_UPLOAD);
    m->loss = create_buffer(device, sizeof(float), VKA_MEMORY_READBACK);
    m->one = create_buffer(device, sizeof(float), VKA_MEMORY_UPLOAD);
    check(vka_buffer_write(m->one, 0, &one, sizeof one));
    m->normed = create_buffer(device, tokens * sizeof(float) * desc->width, VKA_MEMORY_DEVICE);
    m->logits = create_buffer(device, tokens * sizeof(float) * desc->classes, VKA_MEMORY_DEVICE);
    m->lse = create_buffer(device, tokens * sizeof(float), VKA_MEMORY_DEVICE);
}

void model_build(model *m, const optimizer *o) {
    const vka_nn_sequence_desc desc = {.log = {.fn = log_line}};
    check(vka_nn_sequence_create(m->device, &desc, &m->step));
    add_backward(m, m->step, add_forward(m, m->step, true));
    optimizer_add(o, m->step, &m->parameters);
    check(vka_nn_sequence_create(m->device, &desc, &m->evaluation));
    add_forward(m, m->evaluation, false);
}

void model_destroy(model *m) {
    vka_buffer **const buffers[] = {&m->ids, &m->targets, &m->loss, &m->normed, &m->logits, &m->lse, &m->one};
    vka_nn_sequence_destroy(&m->step);
    vka_nn_sequence_destroy(&m->evaluation);
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        vka_buffer_destroy(buffers[i]);
    }
    trunk_destroy(&m->trunk);
    parameters_destroy(&m->parameters);
}
