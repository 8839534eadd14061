/* SPDX-License-Identifier: MIT */
#include "model.h"

#include "common/program.h"
#include "training/operation.h"

#include <vkattn/loss.h>

/* ---- tensors ------------------------------------------------------------------------------------------------- */

static vka_tensor targets_of(const model *m) {
    return vka_tensor_1d(m->targets, VKA_I32, m->trunk.desc.batch);
}

static vka_tensor logits_of(const model *m) {
    return vka_tensor_2d(m->logits, VKA_F32, m->trunk.desc.batch, m->trunk.desc.classes);
}

static vka_tensor lse_of(const model *m) {
    return vka_tensor_1d(m->lse, VKA_F32, m->trunk.desc.batch);
}

static vka_tensor single(vka_buffer *buffer) {
    return vka_tensor_1d(buffer, VKA_F32, 1);
}

/* A vector for each picture. */
static vka_tensor rows(const model *m, vka_buffer *buffer) {
    return vka_tensor_2d(buffer, VKA_F32, m->trunk.desc.batch, m->trunk.desc.width);
}

/* ---- operations ---------------------------------------------------------------------------------------------- */

/* Returns what the last layer gives. */
static vka_tensor add_forward(model *m, vka_nn_sequence *s, bool trains) {
    patches_add(&m->patches, s);
    vka_tensor last = trunk_add_layers(&m->trunk, s, trains);
    trunk_add_head(&m->trunk, s, trunk_first(&m->trunk, last), rows(m, m->normed), logits_of(m));
    return last;
}

/* The gradient of logits takes their place. Of the last layer's results only the first tokens have one: the others stay
 * 0. */
static void add_backward(model *m, vka_nn_sequence *s, vka_tensor last) {
    const vka_tensor d_h = trunk_gradient(&m->trunk);
    vka_tensor d_last = d_h;
    d_last.buffer = m->d_last;
    ADD(s, CROSS_ENTROPY,
        (vka_cross_entropy_desc){
            .logits = logits_of(m), .targets = targets_of(m), .lse = lse_of(m), .total = single(m->loss)});
    ADD(s, CROSS_ENTROPY_BACKWARD,
        (vka_cross_entropy_backward_desc){.logits = logits_of(m),
                                          .targets = targets_of(m),
                                          .lse = lse_of(m),
                                          .d_total = single(m->one),
                                          .d_logits = logits_of(m)});
    trunk_add_head_backward(&m->trunk, s, trunk_first(&m->trunk, last), rows(m, m->normed), logits_of(m),
                            rows(m, m->d_normed), trunk_first(&m->trunk, d_last));
    trunk_add_layers_backward(&m->trunk, s, d_last);
    patches_add_backward(&m->patches, s);
}

/* ---- the model ----------------------------------------------------------------------------------------------- */

static void create_buffers(model *m, vka_device *device) {
    const uint64_t batch = m->trunk.desc.batch, row = sizeof(float) * m->trunk.desc.width;
    const float one = 1;
    m->targets = create_buffer(device, batch * sizeof(int32_t), VKA_MEMORY_UPLOAD);
    m->loss = create_buffer(device, sizeof(float), VKA_MEMORY_READBACK);
    m->logits = create_buffer(device, batch * m->trunk.desc.classes * sizeof(float), VKA_MEMORY_READBACK);
    m->lse = create_buffer(device, batch * sizeof(float), VKA_MEMORY_DEVICE);
    m->normed = create_buffer(device, batch * row, VKA_MEMORY_DEVICE);
    m->d_normed = create_buffer(device, batch * row, VKA_MEMORY_DEVICE);
    m->d_last = create_buffer(device, batch * MODEL_TOKENS * row, VKA_MEMORY_DEVICE);
    m->one = create_buffer(device, sizeof(float), VKA_MEMORY_UPLOAD);
    check(vka_buffer_write(m->one, 0, &one, sizeof one));
}

void model_create(model *m, vka_device *device, const trunk_desc *desc, uint64_t seed) {
    trunk_desc d = *desc;
    d.context = MODEL_TOKENS;
    d.classes = DIGIT_CLASSES;
    *m = (model){0};
    patches_add_parameters(&m->parameters, &d, PATCH_PIXELS);
    trunk_add_parameters(&m->parameters, &d);
    parameters_create(&m->parameters, device, seed);
    trunk_create(&m->trunk, device, &m->parameters, &d);
    patches_create(&m->patches, &m->trunk, PATCH_PIXELS);
    create_buffers(m, device);
}

void model_build(model *m, const optimizer *o) {
    const vka_nn_sequence_desc desc = {.log = {.fn = log_line}};
    check(vka_nn_sequence_create(m->trunk.device, &desc, &m->step));
    add_backward(m, m->step, add_forward(m, m->step, true));
    optimizer_add(o, m->step, &m->parameters);
    check(vka_nn_sequence_create(m->trunk.device, &desc, &m->evaluation));
    add_forward(m, m->evaluation, false);
}

void model_destroy(model *m) {
    vka_buffer **const buffers[] = {&m->targets,  &m->loss,   &m->logits, &m->normed,
                                    &m->d_normed, &m->d_last, &m->lse,    &m->one};
    vka_nn_sequence_destroy(&m->step);
    vka_nn_sequence_destroy(&m->evaluation);
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        vka_buffer_destroy(buffers[i]);
    }
    patches_destroy(&m->patches);
    trunk_destroy(&m->trunk);
    parameters_destroy(&m->parameters);
}

void model_set_picture(model *m, uint32_t at, const float pixels[DIGIT_PIXELS], int32_t label) {
    digits_cut(pixels, patches_at(&m->patches, at));
    ((int32_t *)vka_buffer_map(m->targets))[at] = label;
}
