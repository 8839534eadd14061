/* A step of a model of GPT-2 small's shape (Radford 2019: 12 layers, 768 channels, 12 heads, 50,257 tokens), with
 * random weights: the id of one token in, that of the next one out. Everything that changes from token to token lies on
 * the device, so that the step is recorded once, and the host only submits it. SPDX-License-Identifier: MIT */
#include "layers.h"

#include <vkattn/embedding.h>
#include <vkattn/sampling.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 12, WIDTH = 768, HEADS = 12, DIM = WIDTH / HEADS, INNER = 3072, VOCABULARY = 50257, CONTEXT = 1024 };
enum { WARM_UP = 2, USUAL_TOKENS = 64, MOST_TOKENS = 1000 };

typedef struct model {
    layers_memory memory;
    vka_nn_sequence *sequence;
    vka_recorder *recorder;
    vka_dtype weights, values; /* values: of activations and caches */
    vka_tensor id, length, new_length, x, logits;
    vka_tensor tokens, positions; /* tables */
} model;

static void add_operation(model *m, vka_operation operation, const void *desc, size_t size) {
    if (m->memory.status == VKA_OK) {
        m->memory.status = vka_nn_operation(m->sequence, operation, desc, size);
    }
}

/* [1] as [1, 1] */
static vka_tensor of_batch(vka_tensor list) {
    list.rank = 2;
    list.shape[1] = 1;
    return list;
}

static void add_embedding(model *m) {
    layers_memory *memory = &m->memory;
    vka_tensor position = LAYERS_TENSOR(memory, m->values, 0, 0, 1, 1, WIDTH);
    const vka_embedding_desc at = {.table = m->positions, .ids = of_batch(m->length), .out = position};
    const vka_embedding_desc what = {.table = m->tokens, .ids = of_batch(m->id), .out = m->x, .position = position};
    add_operation(m, VKA_OPERATION_EMBEDDING, &at, sizeof at);
    add_operation(m, VKA_OPERATION_EMBEDDING, &what, sizeof what);
}

static void add_layer(model *m) {
    layers_memory *memory = &m->memory;
    vka_nn_layer_desc desc = {
        .x = m->x,
        .out = m->x,
        .norm_first = true,
        .norm_self = bench_layers_norm(memory, WIDTH),
        .norm_feed_forward = bench_layers_norm(memory, WIDTH),
        .self = {.heads = HEADS,
                 .qkv = bench_layers_linear(memory, m->weights, m->values, 3 * WIDTH, WIDTH),
                 .projection = bench_layers_linear(memory, m->weights, m->values, WIDTH, WIDTH),
                 .k_cache = LAYERS_TENSOR(memory, m->values, 0, 0, 1, HEADS, CONTEXT, DIM),
                 .v_cache = LAYERS_TENSOR(memory, m->values, 0, 0, 1, HEADS, CONTEXT, DIM),
                 .lengths = m->length,
                 .new_lengths = m->new_length,
                 .attention.causal = true},
        .feed_forward = {.up = bench_layers_linear(memory, m->weights, m->values, INNER, WIDTH),
                         .down = bench_layers_linear(memory, m->weights, m->values, WIDTH, INNER),
                         .activation = VKA_ACTIVATION_GELU_TANH},
    };
    if (memory->status == VKA_OK) {
        memory->status = vka_nn_layer(m->sequence, &desc);
    }
}

static void add_head(model *m) {
    layers_memory *memory = &m->memory;
    vka_nn_norm norm = bench_layers_norm(memory, WIDTH);
    const vka_linear_desc logits = {.x = m->x, .weight = m->tokens, .out = m->logits};
    vka_tensor rows = m->logits;
    rows.rank = 2;
    rows.shape[0] = 1;
    rows.shape[1] = VOCABULARY;
    const vka_sample_desc sample = {.logits = rows,
                                    .ids = m->id,
                                    .lengths.tensor = m->length,
                                    .temperature = 0.8f,
                                    .top_k = 40,
                                    .top_p = 0.95f,
                                    .seed = 1};
    if (memory->status == VKA_OK) {
        memory->status = vka_nn_normalise(m->sequence, &norm, &m->x, &m->x);
    }
    add_operation(m, VKA_OPERATION_LINEAR, &logits, sizeof logits);
    add_operation(m, VKA_OPERATION_SAMPLE, &sample, sizeof sample);
}

static vka_status build(model *m) {
    layers_memory *memory = &m->memory;
    vka_status status = vka_nn_sequence_create(memory->device, NULL, &m->sequence);
    if (status != VKA_OK) {
        return status;
    }
    m->id = LAYERS_TENSOR(memory, VKA_I32, 0, 0, 1);
    m->length = LAYERS_TENSOR(memory, VKA_I32, 0, 0, 1);
    m->new_length = LAYERS_TENSOR(memory, VKA_I32, 0, 0, 1);
    m->x = LAYERS_TENSOR(memory, m->values, 0, 0, 1, 1, WIDTH);
    m->logits = LAYERS_TENSOR(memory, m->values, 0, 0, 1, 1, VOCABULARY);
    m->tokens = LAYERS_TENSOR(memory, m->weights, 0, 0.05f, VOCABULARY, WIDTH);
    m->positions = LAYERS_TENSOR(memory, m->values, 0, 0.05f, CONTEXT, WIDTH);
    add_embedding(m);
    for (int i = 0; i < LAYERS; i++) {
        add_layer(m);
    }
    add_head(m);
    return memory->status;
}

/* What each token reads: all weights, and of the table of tokens all for the logits; positions are one row. */
static uint64_t bytes_read(vka_dtype weights) {
    const uint64_t layer = (uint64_t)WIDTH * (4 * WIDTH + 2 * INNER);
    const uint64_t count = LAYERS * layer + (uint64_t)VOCABULARY * WIDTH;
    return count / vka_dtype_block(weights) * vka_dtype_size(weights);
}

static vka_status record(model *m) {
    vka_recorder_desc desc = {.max_dispatches = 1024};
    vka_status status = vka_recorder_create(m->memory.device, &desc, &m->recorder);
    if (status == VKA_OK) {
        status = vka_recorder_begin(m->recorder);
    }
    if (status == VKA_OK) {
        status = vka_nn_sequence_record(m->recorder, m->sequence);
    }
    return status == VKA_OK ? vka_copy(m->recorder, m->length.buffer, 0, m->new_length.buffer, 0, sizeof(int32_t))
                            : status;
}

static vka_status step(const model *m) {
    vka_status status = vka_recorder_submit(m->recorder);
    return status == VKA_OK ? vka_recorder_wait(m->recorder, VKA_FOREVER) : status;
}

/* The first steps, in which software drivers compile, are not measured. */
static vka_status generate(const model *m, uint32_t tokens, bench_model_cost *cost) {
    vka_status status = VKA_OK;
    for (int i = 0; i < WARM_UP && status == VKA_OK; i++) {
        status = step(m);
    }
    double start = bench_now_ms();
    while (status == VKA_OK && cost->tokens < tokens && !bench_stopped()) {
        status = step(m);
        cost->tokens++;
    }
    cost->ms = (bench_now_ms() - start) / cost->tokens;
    return status;
}

/* Each token was counted, and is one. */
static vka_status check(const model *m, const bench_model_cost *cost) {
    int32_t id = -1, length = -1;
    vka_status status = vka_buffer_read(m->id.buffer, 0, &id, sizeof id);
    if (status == VKA_OK) {
        status = vka_buffer_read(m->length.buffer, 0, &length, sizeof length);
    }
    bool right = id >= 0 && id < VOCABULARY && length == (int32_t)(WARM_UP + cost->tokens);
    return status == VKA_OK && !right ? VKA_DRIVER_ERROR : status;
}

void bench_layers_model(bench_device *d, const bench_options *o, vka_dtype weights, double gbps,
                        bench_model_cost *cost) {
    uint32_t tokens = !o->tokens ? USUAL_TOKENS : o->tokens < MOST_TOKENS ? o->tokens : MOST_TOKENS;
    model *m = calloc(1, sizeof *m);
    vka_status status = VKA_OUT_OF_MEMORY;
    bench_device_clear_error(d);
    cost->weight_bytes = bytes_read(weights);
    cost->floor_ms = (double)cost->weight_bytes / gbps * 1e-6;
    if (m) {
        *m = (model){.memory = {.device = bench_device_vka(d), .rng = ref_rng_seed(o->seed)},
                     .weights = weights,
                     .values = bench_device_caps(d)->f16_storage ? VKA_F16 : VKA_F32};
        status = build(m);
        if (status == VKA_OK) {
            status = record(m);
        }
        if (status == VKA_OK) {
            status = generate(m, tokens, cost);
        }
        if (status == VKA_OK) {
            status = check(m, cost);
        }
        vka_recorder_destroy(&m->recorder);
        vka_nn_sequence_destroy(&m->sequence);
        bench_layers_free(&m->memory);
        free(m);
    }
    cost->state = bench_device_state(d, status, cost->reason, sizeof cost->reason);
}
