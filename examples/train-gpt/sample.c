/* SPDX-License-Identifier: MIT */
#include "sample.h"

#include "common/program.h"
#include "training/operation.h"

#include <stdlib.h>
#include <string.h>
#include <vkattn/embedding.h>
#include <vkattn/sampling.h>

typedef struct sampler {
    model *m;
    uint32_t count;
    float temperature;
    uint64_t seed;
    vka_buffer *id;                  /* the token to go on from                            */
    vka_buffer *length, *new_length; /* tokens in the caches                               */
    vka_buffer *drawn, *history;     /* how many tokens were drawn, and which              */
    vka_buffer *prompt, *places;     /* tokens that go to empty caches, and their positions */
    vka_buffer *k[TRUNK_MAX_LAYERS], *v[TRUNK_MAX_LAYERS], *x, *logits;
    vka_nn_sequence *draw, *refill;
} sampler;

/* When the caches are full, half of what they had goes there anew, as positions begin at 0. */
static uint32_t refill_tokens(const sampler *s) {
    return s->m->desc.context / 2;
}

static vka_tensor length(vka_buffer *buffer) {
    return vka_tensor_1d(buffer, VKA_I32, 1);
}

static vka_tensor cache(const sampler *s, vka_buffer *buffer) {
    const trunk_desc *d = &s->m->desc;
    return vka_tensor_4d(buffer, VKA_F32, 1, d->heads, d->context, d->width / d->heads);
}

/* So many tokens at so many positions, which are rows of a table like tokens. Returns what the last layer gives. */
static vka_tensor add_tokens(sampler *s, vka_nn_sequence *q, uint32_t tokens, vka_buffer *ids, vka_buffer *positions) {
    model *m = s->m;
    const vka_tensor x = vka_tensor_3d(s->x, VKA_F32, 1, tokens, m->desc.width);
    vka_tensor rows = vka_tensor_2d(positions, VKA_I32, 1, tokens);
    ADD(q, EMBEDDING,
        (vka_embedding_desc){.table = parameters_value(&m->parameters, "positions.weight"), .ids = rows, .out = x});
    vka_tensor sum = x;
    sum.offset = (uint64_t)m->desc.context * m->desc.width * sizeof(float);
    rows.buffer = ids;
    ADD(q, EMBEDDING,
        (vka_embedding_desc){
            .table = parameters_value(&m->parameters, "tokens.weight"), .ids = rows, .position = x, .out = sum});
    for (uint32_t i = 0; i < m->desc.layers; i++) {
        vka_nn_layer_desc d = trunk_layer(&m->trunk, q, i, sum, sum);
        d.self.k_cache = cache(s, s->k[i]);
        d.self.v_cache = cache(s, s->v[i]);
        d.self.lengths = length(s->length);
        d.self.new_lengths = length(s->new_length);
        check(vka_nn_layer(q, &d));
    }
    return sum;
}

static void add_draw(sampler *s) {
    const uint32_t width = s->m->desc.width, classes = s->m->desc.classes;
    vka_tensor x = add_tokens(s, s->draw, 1, s->id, s->length);
    x.rank = 2, x.shape[0] = 1, x.shape[1] = width;
    const vka_tensor logits = vka_tensor_2d(s->logits, VKA_F32, 1, classes);
    trunk_add_head(&s->m->trunk, s->draw, x, x, logits);
    ADD(s->draw, SAMPLE,
        (vka_sample_desc){.logits = logits,
                          .ids = vka_tensor_1d(s->id, VKA_I32, 1),
                          .history = vka_tensor_2d(s->history, VKA_I32, 1, s->count),
                          .lengths.tensor = length(s->drawn),
                          .new_lengths = length(s->drawn),
                          .append = true,
                          .temperature = s->temperature,
                          .seed = s->seed});
}

static void create(sampler *s) {
    const trunk_desc *d = &s->m->desc;
    vka_device *device = s->m->device;
    const uint64_t row = (uint64_t)d->context * d->width * sizeof(float);
    const vka_nn_sequence_desc desc = {.log = {.fn = log_line}};
    vka_buffer **const words[] = {&s->id, &s->length, &s->new_length, &s->drawn};
    for (int i = 0; i < 4; i++) {
        *words[i] = create_buffer(device, sizeof(int32_t), VKA_MEMORY_READBACK);
    }
    s->history = create_buffer(device, s->count * sizeof(int32_t), VKA_MEMORY_READBACK);
    s->prompt = create_buffer(device, d->context * sizeof(int32_t), VKA_MEMORY_UPLOAD);
    s->places = create_buffer(device, d->context * sizeof(int32_t), VKA_MEMORY_UPLOAD);
    for (uint32_t i = 0; i < d->context; i++) {
        ((int32_t *)vka_buffer_map(s->places))[i] = (int32_t)i;
    }
    s->x = create_buffer(device, 2 * row, VKA_MEMORY_DEVICE);
    s->logits = create_buffer(device, d->classes * sizeof(float), VKA_MEMORY_DEVICE);
    for (uint32_t i = 0; i < d->layers; i++) {
        s->k[i] = create_buffer(device, row, VKA_MEMORY_DEVICE);
        s->v[i] = create_buffer(device, row, VKA_MEMORY_DEVICE);
    }
    check(vka_nn_sequence_create(device, &desc, &s->draw));
    check(vka_nn_sequence_create(device, &desc, &s->refill));
    add_draw(s);
    add_tokens(s, s->refill, refill_tokens(s), s->prompt, s->places);
}

static void destroy(sampler *s) {
    vka_buffer **const buffers[] = {&s->id,     &s->length, &s->new_length, &s->drawn, &s->history,
                                    &s->prompt, &s->places, &s->x,          &s->logits};
    vka_nn_sequence_destroy(&s->draw);
    vka_nn_sequence_destroy(&s->refill);
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        vka_buffer_destroy(buffers[i]);
    }
    for (uint32_t i = 0; i < s->m->desc.layers; i++) {
        vka_buffer_destroy(&s->k[i]);
        vka_buffer_destroy(&s->v[i]);
    }
}

static vka_recorder *record(const sampler *s, const vka_nn_sequence *sequence) {
    vka_recorder *recorder;
    check(vka_recorder_create(s->m->device, NULL, &recorder));
    check(vka_recorder_begin(recorder));
    check(vka_nn_sequence_record(recorder, sequence));
    check(vka_copy(recorder, s->length, 0, s->new_length, 0, sizeof(int32_t)));
    return recorder;
}

/* The last tokens before the one that is next. */
static void refill(sampler *s, vka_recorder *recorder, uint32_t drawn) {
    const int32_t *history = vka_buffer_map(s->history);
    uint32_t tokens = refill_tokens(s);
    memcpy(vka_buffer_map(s->prompt), history + drawn - 1 - tokens, tokens * sizeof *history);
    *(int32_t *)vka_buffer_map(s->length) = 0;
    check(vka_recorder_submit(recorder));
    check(vka_recorder_wait(recorder, VKA_FOREVER));
}

void sample(model *m, uint64_t seed, float temperature, int32_t first, uint32_t count, int32_t *tokens) {
    sampler s = {.m = m, .count = count, .temperature = temperature, .seed = seed};
    create(&s);
    vka_recorder *draw = record(&s, s.draw), *fill = record(&s, s.refill);
    uint32_t in_cache = 0;
    *(int32_t *)vka_buffer_map(s.id) = first;
    for (uint32_t i = 0; i < count; i++, in_cache++) {
        if (in_cache == m->desc.context) {
            check(vka_recorder_wait(draw, VKA_FOREVER));
            refill(&s, fill, i);
            in_cache = refill_tokens(&s);
        }
        check(vka_recorder_submit(draw));
    }
    check(vka_recorder_wait(draw, VKA_FOREVER));
    memcpy(tokens, vka_buffer_map(s.history), count * sizeof *tokens);
    vka_recorder_destroy(&draw);
    vka_recorder_destroy(&fill);
    destroy(&s);
}
