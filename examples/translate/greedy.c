/* SPDX-License-Identifier: MIT */
#include "greedy.h"

#include "training/operation.h"
#include "training/run.h"

#include <vkattn/embedding.h>
#include <vkattn/sampling.h>

/* [batch] as [batch, 1]. */
static vka_tensor column(vka_tensor t) {
    t.rank = 2;
    t.shape[1] = 1;
    return t;
}

/* The number of characters so far is also the next one's position, whose row is what an embedding finds. */
static void add_next(greedy *g) {
    model *m = g->model;
    const vka_tensor memory = trunk_input(&m->encoder); /* where layers that keep nothing leave it */
    ADD(g->next, EMBEDDING, (vka_embedding_desc){.table = m->positions, .ids = column(g->lengths), .out = g->position});
    model_add_input(m, g->next, column(g->ids), g->position);
    const decoder_pass pass = {.lengths = g->lengths, .new_lengths = g->new_lengths};
    vka_tensor out = decoder_add(&m->decoder, g->next, 1, memory, &pass);
    out = vka_tensor_2d(out.buffer, VKA_F32, m->desc.batch, m->desc.width);
    model_add_head(m, g->next, out, g->logits);
    ADD(g->next, SAMPLE,
        (vka_sample_desc){.logits = g->logits,
                          .ids = g->ids,
                          .history = g->history,
                          .lengths.tensor = g->lengths,
                          .new_lengths = g->lengths,
                          .append = true});
}

void greedy_create(greedy *g, model *m) {
    const uint32_t shape[] = {m->desc.batch, DATE_TARGET};
    const vka_nn_sequence_desc desc = {.log = {.fn = log_line}};
    *g = (greedy){.model = m, .tensors.device = m->tensors.device};
    g->ids = pool_take(&g->tensors, VKA_MEMORY_READBACK, VKA_I32, 1, shape);
    g->lengths = pool_take(&g->tensors, VKA_MEMORY_READBACK, VKA_I32, 1, shape);
    g->new_lengths = pool_take(&g->tensors, VKA_MEMORY_DEVICE, VKA_I32, 1, shape);
    g->history = pool_take(&g->tensors, VKA_MEMORY_READBACK, VKA_I32, 2, shape);
    g->position = pool_take(&g->tensors, VKA_MEMORY_DEVICE, VKA_F32, 3, (uint32_t[]){m->desc.batch, 1, m->desc.width});
    g->logits = pool_take(&g->tensors, VKA_MEMORY_DEVICE, VKA_F32, 2, (uint32_t[]){m->desc.batch, DATE_CLASSES});
    check(vka_nn_sequence_create(g->tensors.device, &desc, &g->begin));
    check(vka_nn_sequence_create(g->tensors.device, &desc, &g->next));
    model_add_encoder(m, g->begin, false);
    add_next(g);
    g->begin_recording = training_record(g->tensors.device, g->begin);
    g->next_recording = training_record(g->tensors.device, g->next);
}

void greedy_destroy(greedy *g) {
    vka_recorder_destroy(&g->begin_recording);
    vka_recorder_destroy(&g->next_recording);
    vka_nn_sequence_destroy(&g->begin);
    vka_nn_sequence_destroy(&g->next);
    pool_destroy(&g->tensors);
}

void greedy_run(greedy *g) {
    int32_t *ids = vka_buffer_map(g->ids.buffer), *lengths = vka_buffer_map(g->lengths.buffer);
    for (uint32_t i = 0; i < g->model->desc.batch; i++) {
        ids[i] = DATE_BEGIN;
        lengths[i] = 0;
    }
    check(vka_recorder_submit(g->begin_recording));
    check(vka_recorder_wait(g->begin_recording, VKA_FOREVER));
    for (int i = 0; i < DATE_TARGET; i++) {
        check(vka_recorder_submit(g->next_recording));
    }
    check(vka_recorder_wait(g->next_recording, VKA_FOREVER));
}

void greedy_get(const greedy *g, uint32_t at, char text[DATE_TARGET + 1]) {
    const int32_t *ids = (const int32_t *)vka_buffer_map(g->history.buffer) + (size_t)at * DATE_TARGET;
    for (int i = 0; i < DATE_TARGET; i++) {
        text[i] = date_letter(ids[i]);
    }
    text[DATE_TARGET] = 0;
}
