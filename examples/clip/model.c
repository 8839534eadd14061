/* SPDX-License-Identifier: MIT */
#include "model.h"

#include "training/operation.h"

#include <math.h>
#include <string.h>
#include <vkattn/elementwise.h>
#include <vkattn/embedding.h>
#include <vkattn/loss.h>

/* The factor is MOST_FACTOR * sigmoid(a parameter): CLIP's is clipped. */
static const float most_factor = 50, first_factor = -1;

/* Where the numbers of `numbers` lie. */
enum { FACTOR, D_FACTOR, IMAGE_LOSS, TEXT_LOSS, NUMBERS, APART = 256 };

/* ---- tensors ------------------------------------------------------------------------------------------------- */

static vka_tensor number(const model *m, uint32_t which) {
    vka_tensor t = vka_tensor_2d(m->numbers, VKA_F32, 1, 1);
    t.offset = (uint64_t)which * APART;
    return t;
}

static vka_tensor total(const model *m, uint32_t which) {
    vka_tensor t = vka_tensor_1d(m->numbers, VKA_F32, 1);
    t.offset = (uint64_t)which * APART;
    return t;
}

static vka_tensor square(const model *m, vka_buffer *buffer) {
    return vka_tensor_2d(buffer, VKA_F32, m->desc.batch, m->desc.batch);
}

static vka_tensor columns(const model *m, vka_buffer *buffer) {
    return vka_tensor_transpose(square(m, buffer), 0, 1);
}

/* All of a matrix as one row. */
static vka_tensor flat(const model *m, vka_buffer *buffer) {
    return vka_tensor_2d(buffer, VKA_F32, 1, m->desc.batch * m->desc.batch);
}

static vka_tensor ids(const model *m, vka_buffer *buffer) {
    return vka_tensor_1d(buffer, VKA_I32, m->desc.batch);
}

static vka_tensor words_of(const model *m) {
    return vka_tensor_2d(m->words, VKA_I32, m->desc.batch, TEXT_TOKENS);
}

static vka_tensor rows(const tower *t, vka_buffer *buffer, uint32_t columns) {
    return vka_tensor_2d(buffer, VKA_F32, t->trunk.desc.batch, columns);
}

static vka_tensor embeddings(const tower *t, vka_buffer *buffer) {
    return rows(t, buffer, t->trunk.desc.classes);
}

/* ---- towers -------------------------------------------------------------------------------------------------- */

static const vka_nn_norm length = {.kind = VKA_NN_NORM_RMS};

/* Embeddings have a length of the root of their size. Returns what the last layer gives. */
static vka_tensor add_tower(tower *t, vka_nn_sequence *s, bool trains) {
    const vka_tensor last = trunk_add_layers(&t->trunk, s, trains);
    const vka_tensor head = embeddings(t, t->head), out = embeddings(t, t->embedding);
    trunk_add_head(&t->trunk, s, trunk_first(&t->trunk, last), rows(t, t->normed, t->trunk.desc.width), head);
    check(vka_nn_normalise(s, &length, &head, &out));
    return last;
}

/* Of the last layer's results only the first tokens have a gradient: the others stay 0. */
static void add_tower_backward(tower *t, vka_nn_sequence *s, vka_tensor last) {
    vka_tensor d_last = trunk_gradient(&t->trunk);
    d_last.buffer = t->d_last;
    check(vka_nn_normalise_backward(s, &(vka_nn_normalise_backward_desc){.norm = length,
                                                                         .x = embeddings(t, t->head),
                                                                         .d_out = embeddings(t, t->d_embedding),
                                                                         .d_x = embeddings(t, t->d_head)}));
    trunk_add_head_backward(&t->trunk, s, trunk_first(&t->trunk, last), rows(t, t->normed, t->trunk.desc.width),
                            embeddings(t, t->d_head), rows(t, t->d_normed, t->trunk.desc.width),
                            trunk_first(&t->trunk, d_last));
    trunk_add_layers_backward(&t->trunk, s, d_last);
}

static void create_tower(tower *t, model *m, vka_device *device, const trunk_desc *d) {
    const uint64_t row = sizeof(float) * d->batch, width = row * d->width, size = row * d->classes;
    trunk_create(&t->trunk, device, &m->parameters, d);
    t->normed = create_buffer(device, width, VKA_MEMORY_DEVICE);
    t->d_normed = create_buffer(device, width, VKA_MEMORY_DEVICE);
    t->d_last = create_buffer(device, width * d->context, VKA_MEMORY_DEVICE);
    t->head = create_buffer(device, size, VKA_MEMORY_DEVICE);
    t->d_head = create_buffer(device, size, VKA_MEMORY_DEVICE);
    t->d_embedding = create_buffer(device, size, VKA_MEMORY_DEVICE);
    t->embedding = create_buffer(device, size, VKA_MEMORY_READBACK);
}

static void destroy_tower(tower *t) {
    vka_buffer **const buffers[] = {&t->normed, &t->head,        &t->embedding, &t->d_normed,
                                    &t->d_head, &t->d_embedding, &t->d_last};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        vka_buffer_destroy(buffers[i]);
    }
    trunk_destroy(&t->trunk);
}

/* ---- operations ---------------------------------------------------------------------------------------------- */

static void add_words(const model *m, vka_nn_sequence *s) {
    const trunk *t = &m->text.trunk;
    ADD(s, EMBEDDING,
        (vka_embedding_desc){.table = trunk_value(t, "words.weight"),
                             .position = trunk_value(t, "positions.weight"),
                             .ids = words_of(m),
                             .out = trunk_input(t)});
}

static void add_words_backward(const model *m, vka_nn_sequence *s) {
    const trunk *t = &m->text.trunk;
    ADD(s, EMBEDDING_BACKWARD,
        (vka_embedding_backward_desc){.ids = words_of(m),
                                      .d_out = trunk_gradient(t),
                                      .d_table = trunk_value_gradient(t, "words.weight"),
                                      .d_position = trunk_value_gradient(t, "positions.weight")});
}

/* Cosines of all pictures and captions, times the factor. */
static void add_logits(const model *m, vka_nn_sequence *s) {
    ADD(s, LINEAR,
        (vka_linear_desc){.x = embeddings(&m->image, m->image.embedding),
                          .weight = embeddings(&m->text, m->text.embedding),
                          .out = square(m, m->cosines)});
    ADD(s, MAP,
        (vka_map_desc){.x = parameters_value(&m->parameters, "factor"),
                       .out = total(m, FACTOR),
                       .activation = VKA_ACTIVATION_SIGMOID});
    ADD(s, COMBINE,
        (vka_combine_desc){.a = square(m, m->cosines),
                           .b = number(m, FACTOR),
                           .out = square(m, m->logits),
                           .kind = VKA_COMBINE_MUL,
                           .scale = most_factor / (float)m->desc.embedding});
}

/* Both ways: the mean of rows' losses, and that of columns'. */
static void add_loss(const model *m, vka_nn_sequence *s) {
    const vka_tensor half = vka_tensor_1d(m->half, VKA_F32, 1), lse = vka_tensor_1d(m->lse, VKA_F32, m->desc.batch);
    for (int way = 0; way < 2; way++) {
        const vka_tensor logits = way ? columns(m, m->logits) : square(m, m->logits);
        ADD(s, CROSS_ENTROPY,
            (vka_cross_entropy_desc){.logits = logits,
                                     .targets = ids(m, m->targets),
                                     .lse = lse,
                                     .total = total(m, way ? TEXT_LOSS : IMAGE_LOSS)});
        ADD(s, CROSS_ENTROPY_BACKWARD,
            (vka_cross_entropy_backward_desc){.logits = logits,
                                              .targets = ids(m, m->targets),
                                              .lse = lse,
                                              .d_total = half,
                                              .d_logits = way ? columns(m, m->d_columns) : square(m, m->d_logits)});
    }
    ADD(s, COMBINE,
        (vka_combine_desc){.a = square(m, m->d_logits),
                           .b = square(m, m->d_columns),
                           .out = square(m, m->d_logits),
                           .kind = VKA_COMBINE_ADD});
    ADD(s, COMBINE,
        (vka_combine_desc){.a = total(m, IMAGE_LOSS),
                           .b = total(m, TEXT_LOSS),
                           .out = vka_tensor_1d(m->loss, VKA_F32, 1),
                           .kind = VKA_COMBINE_ADD});
}

/* The factor's gradient is the product of all logits' gradients and cosines, which a linear layer sums. */
static void add_logits_backward(const model *m, vka_nn_sequence *s) {
    const float scale = most_factor / (float)m->desc.embedding;
    const vka_tensor factor = parameters_value(&m->parameters, "factor");
    ADD(s, LINEAR,
        (vka_linear_desc){.x = flat(m, m->d_logits), .weight = flat(m, m->cosines), .out = number(m, D_FACTOR)});
    ADD(s, MAP, (vka_map_desc){.x = total(m, D_FACTOR), .out = total(m, D_FACTOR), .scale = scale});
    ADD(s, MAP_BACKWARD,
        (vka_map_backward_desc){.x = factor,
                                .d_out = total(m, D_FACTOR),
                                .d_x = parameters_gradient(&m->parameters, "factor"),
                                .activation = VKA_ACTIVATION_SIGMOID});
    ADD(s, COMBINE,
        (vka_combine_desc){.a = square(m, m->d_logits),
                           .b = number(m, FACTOR),
                           .out = square(m, m->d_logits),
                           .kind = VKA_COMBINE_MUL,
                           .scale = scale});
    ADD(s, LINEAR_BACKWARD,
        (vka_linear_backward_desc){.x = embeddings(&m->image, m->image.embedding),
                                   .weight = embeddings(&m->text, m->text.embedding),
                                   .d_out = square(m, m->d_logits),
                                   .d_x = embeddings(&m->image, m->image.d_embedding),
                                   .d_weight = embeddings(&m->text, m->text.d_embedding)});
}

static void add_step(model *m, vka_nn_sequence *s) {
    patches_add(&m->patches, s);
    add_words(m, s);
    const vka_tensor image = add_tower(&m->image, s, true), text = add_tower(&m->text, s, true);
    add_logits(m, s);
    add_loss(m, s);
    add_logits_backward(m, s);
    add_tower_backward(&m->image, s, image);
    add_tower_backward(&m->text, s, text);
    patches_add_backward(&m->patches, s);
    add_words_backward(m, s);
}

/* ---- the model ----------------------------------------------------------------------------------------------- */

static void create_buffers(model *m, vka_device *device) {
    const uint64_t row = sizeof(float) * m->desc.batch, matrix = row * m->desc.batch;
    const float half = 0.5f;
    vka_buffer **const matrices[] = {&m->cosines, &m->logits, &m->d_logits, &m->d_columns};
    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++) {
        *matrices[i] = create_buffer(device, matrix, VKA_MEMORY_DEVICE);
    }
    m->lse = create_buffer(device, row, VKA_MEMORY_DEVICE);
    m->numbers = create_buffer(device, NUMBERS * APART, VKA_MEMORY_DEVICE);
    m->loss = create_buffer(device, sizeof(float), VKA_MEMORY_READBACK);
    m->half = create_buffer(device, sizeof half, VKA_MEMORY_UPLOAD);
    m->words = create_buffer(device, row * TEXT_TOKENS, VKA_MEMORY_UPLOAD);
    m->targets = create_buffer(device, row, VKA_MEMORY_UPLOAD);
    check(vka_buffer_write(m->half, 0, &half, sizeof half));
    for (uint32_t i = 0; i < m->desc.batch; i++) {
        ((int32_t *)vka_buffer_map(m->targets))[i] = (int32_t)i;
        ((int32_t *)vka_buffer_map(m->words))[(size_t)i * TEXT_TOKENS] = (int32_t)scenes_vocabulary();
    }
}

void model_create(model *m, vka_device *device, const model_desc *desc, uint64_t seed) {
    trunk_desc image = {.layers = desc->image_layers,
                        .heads = desc->heads,
                        .width = desc->width,
                        .context = IMAGE_TOKENS,
                        .batch = desc->batch,
                        .classes = desc->embedding,
                        .prefix = "image."};
    trunk_desc text = image;
    text.layers = desc->text_layers, text.context = TEXT_TOKENS, text.prefix = "text.";
    if (desc->batch > MEANINGS || desc->embedding == 0) {
        fail("a model needs embeddings, and batches of at most %d pictures", MEANINGS);
    }
    *m = (model){.desc = *desc};
    parameters *p = &m->parameters;
    patches_add_parameters(p, &image, SCENE_PATCH_PIXELS);
    trunk_add_parameters(p, &image);
    /* One row more is that of the first token. */
    parameters_add(p, "text.words.weight", 2, (uint32_t[]){scenes_vocabulary() + 1, desc->width}, 0, 0.3f);
    parameters_add(p, "text.positions.weight", 2, (uint32_t[]){TEXT_TOKENS, desc->width}, 0, 0.3f);
    trunk_add_parameters(p, &text);
    parameters_add(p, "factor", 1, (uint32_t[]){1}, first_factor, 0);
    parameters_create(p, device, seed);
    create_tower(&m->image, m, device, &image);
    create_tower(&m->text, m, device, &text);
    patches_create(&m->patches, &m->image.trunk, SCENE_PATCH_PIXELS);
    create_buffers(m, device);
}

void model_build(model *m, const optimizer *o) {
    const vka_nn_sequence_desc desc = {.log = {.fn = log_line}};
    vka_device *device = m->image.trunk.device;
    if (o) {
        check(vka_nn_sequence_create(device, &desc, &m->step));
        add_step(m, m->step);
        optimizer_add(o, m->step, &m->parameters);
    }
    check(vka_nn_sequence_create(device, &desc, &m->evaluation));
    patches_add(&m->patches, m->evaluation);
    add_words(m, m->evaluation);
    add_tower(&m->image, m->evaluation, false);
    add_tower(&m->text, m->evaluation, false);
}

void model_destroy(model *m) {
    vka_buffer **const buffers[] = {&m->words,   &m->loss,   &m->targets,  &m->half,      &m->numbers,
                                    &m->cosines, &m->logits, &m->d_logits, &m->d_columns, &m->lse};
    vka_nn_sequence_destroy(&m->step);
    vka_nn_sequence_destroy(&m->evaluation);
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        vka_buffer_destroy(buffers[i]);
    }
    patches_destroy(&m->patches);
    destroy_tower(&m->image);
    destroy_tower(&m->text);
    parameters_destroy(&m->parameters);
}

void model_set_picture(model *m, uint32_t at, const scene *s) {
    scene_cut(s, patches_at(&m->patches, at));
}

void model_set_caption(model *m, uint32_t at, const caption *c) {
    memcpy((int32_t *)vka_buffer_map(m->words) + (size_t)at * TEXT_TOKENS + 1, c->words, sizeof c->words);
}

double model_factor(const model *m) {
    float value;
    const vka_tensor factor = parameters_value(&m->parameters, "factor");
    check(vka_buffer_read(factor.buffer, factor.offset, &value, sizeof value));
    return (double)most_factor / (1 + exp(-(double)value));
}
