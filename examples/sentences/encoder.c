/* A sentence encoder on a device: Universal Sentence Encoder Lite (Cer 2018).
 * SPDX-License-Identifier: MIT
 *
 *   x = 2 table[id] + sinusoids of the position
 *   each layer:  y = residual(x) + attention(norm(x));  x = y + linear2(relu(linear1(norm(y))))
 *   embedding = h / |h|,  h = tanh(hidden(mean of x over the sentence))
 *
 * Sentences lie one behind the other, without padding, so linear layers and norms see rows of tokens; attention takes
 * the offsets at which sentences begin. The mean is attention, too: of one query for each sentence, where all scores
 * are 0. And x / |x| is an RMS norm whose weights are 1 / sqrt(width).
 */
#include "encoder_parts.h"

#include <vkattn/embedding.h>
#include <vkattn/positions.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ------------------------------------------------------------------------------------------------------ */

void encoder_keep(encoder *e, vka_status status) {
    if (e->status == VKA_OK) {
        e->status = status;
    }
}

/* Of rank 1, columns alone, or 2. */
static vka_tensor create_with(encoder *e, vka_dtype dtype, uint32_t rank, uint32_t rows, uint32_t columns,
                              vka_memory memory, const void *values) {
    vka_buffer_desc desc = {.size = (uint64_t)rows * columns * vka_dtype_size(dtype), .memory = memory};
    vka_buffer **buffer = &e->buffers[e->buffer_count];
    if (e->buffer_count == MAX_BUFFERS) {
        encoder_keep(e, VKA_OUT_OF_MEMORY);
    }
    if (e->status == VKA_OK) {
        encoder_keep(e, vka_buffer_create(e->device, &desc, buffer));
    }
    if (e->status != VKA_OK) {
        return (vka_tensor){0};
    }
    e->buffer_count++;
    if (values) {
        encoder_keep(e, vka_buffer_write(*buffer, 0, values, desc.size));
    }
    return rank == 1 ? vka_tensor_1d(*buffer, dtype, columns) : vka_tensor_2d(*buffer, dtype, rows, columns);
}

vka_tensor encoder_new(encoder *e, uint32_t rows, uint32_t columns) {
    return create_with(e, VKA_F32, 2, rows, columns, VKA_MEMORY_DEVICE, NULL);
}

/* What the host writes before each run. */
static vka_tensor create_input(encoder *e, uint32_t count) {
    return create_with(e, VKA_I32, 1, 1, count, VKA_MEMORY_UPLOAD, NULL);
}

static vka_tensor upload(encoder *e, const vka_safetensor *t) {
    uint32_t rows = t->rank == 2 ? (uint32_t)t->shape[0] : 1;
    return create_with(e, VKA_F32, t->rank, rows, (uint32_t)t->shape[t->rank - 1], VKA_MEMORY_DEVICE, t->data);
}

static vka_nn_linear upload_linear(encoder *e, const parameters *p) {
    return (vka_nn_linear){.weight = upload(e, p->weight), .bias = upload(e, p->bias)};
}

static vka_nn_norm upload_norm(encoder *e, const parameters *p) {
    vka_nn_norm n = {.kind = VKA_NN_NORM_LAYER, .weight = upload(e, p->weight), .bias = upload(e, p->bias)};
    n.epsilon = 1e-6f;
    return n;
}

static vka_tensor upload_positions(encoder *e, uint32_t channels) {
    float *values = malloc((size_t)e->longest * channels * sizeof *values);
    vka_tensor t = {0};
    if (values == NULL) {
        encoder_keep(e, VKA_OUT_OF_MEMORY);
        return t;
    }
    vka_sinusoidal_positions(0, e->longest, channels, VKA_SINUSOID_HALVES, 0, values);
    t = create_with(e, VKA_F32, 2, e->longest, channels, VKA_MEMORY_DEVICE, values);
    free(values);
    return t;
}

/* All the same; or the numbers from 0 on, of integers. */
static vka_tensor upload_series(encoder *e, vka_dtype dtype, uint32_t count, float value) {
    float *values = malloc(count * sizeof *values);
    vka_tensor t = {0};
    if (values == NULL) {
        encoder_keep(e, VKA_OUT_OF_MEMORY);
        return t;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (dtype == VKA_I32) {
            memcpy(&values[i], &(int32_t){(int32_t)i}, sizeof *values);
        } else {
            values[i] = value;
        }
    }
    t = create_with(e, dtype, 1, 1, count, VKA_MEMORY_DEVICE, values);
    free(values);
    return t;
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

void encoder_add(encoder *e, vka_operation operation, const void *desc, size_t size) {
    if (e->status == VKA_OK) {
        encoder_keep(e, vka_nn_operation(e->sequence, operation, desc, size));
    }
}

static void add_linear(encoder *e, vka_tensor x, const vka_nn_linear *l, vka_tensor residual, vka_activation activation,
                       vka_tensor out) {
    vka_linear_desc desc = {.x = x, .weight = l->weight, .bias = l->bias, .residual = residual, .out = out};
    desc.activation = activation;
    encoder_add(e, VKA_OPERATION_LINEAR, &desc, sizeof desc);
}

static void add_norm(encoder *e, const vka_nn_norm *norm, vka_tensor x, vka_tensor out) {
    if (e->status == VKA_OK) {
        encoder_keep(e, vka_nn_normalise(e->sequence, norm, &x, &out));
    }
}

static vka_tensor add_embedding(encoder *e, const weights *w) {
    vka_tensor places = encoder_new(e, e->capacity.tokens, w->channels),
               x = encoder_new(e, e->capacity.tokens, w->channels);
    vka_embedding_desc place = {.table = upload_positions(e, w->channels), .ids = e->positions, .out = places};
    encoder_add(e, VKA_OPERATION_EMBEDDING, &place, sizeof place);
    vka_embedding_desc token = {.table = upload(e, w->embedding), .ids = e->ids, .out = x, .position = places};
    token.scale = 2;
    encoder_add(e, VKA_OPERATION_EMBEDDING, &token, sizeof token);
    return x;
}

vka_tensor encoder_heads(const vka_tensor *t, uint32_t first, uint32_t heads, uint32_t dim) {
    vka_tensor h = *t;
    uint32_t columns = t->shape[1];
    h.rank = 4;
    h.offset += first * sizeof(float);
    h.shape[0] = 1, h.shape[1] = heads, h.shape[2] = t->shape[0], h.shape[3] = dim;
    h.stride[0] = (uint64_t)columns * t->shape[0], h.stride[1] = dim, h.stride[2] = columns, h.stride[3] = 1;
    return h;
}

/* What a sentence's tokens see is the sentence. */
static vka_attention_desc add_attention(encoder *e, const layer_weights *l, uint32_t layer, vka_tensor qkv,
                                        vka_tensor out) {
    uint32_t h = e->heads, d = l->dim, n = e->longest, sentences = e->capacity.sentences;
    vka_attention_desc desc = {
        .q = encoder_heads(&qkv, 0, h, d),
        .k = encoder_heads(&qkv, h * d, h, d),
        .v = encoder_heads(&qkv, 2 * h * d, h, d),
        .out = encoder_heads(&out, 0, h, d),
        .q_offsets.tensor = e->offsets,
        .kv_offsets.tensor = e->offsets,
        .sequences = sentences,
        .max_q_len = n,
        .max_kv_len = n,
    };
    if (e->capacity.attention || e->capacity.gradients) {
        vka_tensor lse = encoder_new(e, h, e->capacity.tokens);
        desc.lse = vka_tensor_3d(lse.buffer, VKA_F32, 1, h, e->capacity.tokens);
    }
    if (e->capacity.attention) {
        vka_tensor all = encoder_new(e, sentences * h * n, n);
        desc.scores = vka_tensor_4d(all.buffer, VKA_F32, sentences, h, n, n);
        desc.score_stage = VKA_SCORES_PROBABILITIES;
        e->probabilities[layer] = desc.scores;
    }
    encoder_add(e, VKA_OPERATION_ATTENTION, &desc, sizeof desc);
    return desc;
}

/* What a backward pass reads is not written twice: out is another tensor than y then. */
static vka_tensor add_layer(encoder *e, const weights *w, uint32_t index, vka_tensor x) {
    const layer_weights *l = &w->layer[index];
    const vka_tensor none = {0};
    uint32_t tokens = e->capacity.tokens, columns = e->heads * l->dim;
    vka_tensor h = encoder_new(e, tokens, l->inputs), a = encoder_new(e, tokens, columns), around = x;
    vka_tensor y = encoder_new(e, tokens, e->width), n = encoder_new(e, tokens, e->width);
    layer_parts *p = &e->parts[index];
    *p = (layer_parts){.x = x, .h = h, .y = y, .qkv = encoder_new(e, tokens, 3 * columns)};
    p->norm1 = upload_norm(e, &l->norm1), p->norm2 = upload_norm(e, &l->norm2);
    p->in = upload_linear(e, &l->in_proj), p->out = upload_linear(e, &l->out_proj);

    add_norm(e, &p->norm1, x, h);
    add_linear(e, h, &p->in, none, VKA_ACTIVATION_NONE, p->qkv);
    p->attention = add_attention(e, l, index, p->qkv, a);
    if (l->residual.weight) { /* where the width changes */
        p->residual = upload_linear(e, &l->residual);
        add_linear(e, x, &p->residual, none, VKA_ACTIVATION_NONE, y);
        around = y;
    }
    add_linear(e, a, &p->out, around, VKA_ACTIVATION_NONE, y);
    add_norm(e, &p->norm2, y, n);
    p->feed_forward = (vka_nn_feed_forward_desc){.x = n,
                                                 .residual = y,
                                                 .out = e->capacity.gradients ? encoder_new(e, tokens, e->width) : y,
                                                 .up = upload_linear(e, &l->linear1),
                                                 .down = upload_linear(e, &l->linear2),
                                                 .activation = VKA_ACTIVATION_RELU};
    p->feed_forward.keep = e->capacity.gradients ? VKA_NN_KEEP_INPUTS : VKA_NN_KEEP_NOTHING;
    if (e->status == VKA_OK) {
        encoder_keep(e, vka_nn_feed_forward(e->sequence, &p->feed_forward));
    }
    return p->feed_forward.out;
}

/* The mean of each sentence: attention whose scores are all 0 gives every key the same weight. */
static void add_mean(encoder *e, vka_tensor x) {
    uint32_t sentences = e->capacity.sentences;
    e->mean = encoder_new(e, sentences, e->width);
    vka_attention_desc desc = {
        .q = vka_tensor_4d(e->zeros.buffer, VKA_F32, 1, 1, sentences, 1),
        .k = vka_tensor_4d(e->zeros.buffer, VKA_F32, 1, 1, e->capacity.tokens, 1),
        .v = encoder_heads(&x, 0, 1, e->width),
        .out = encoder_heads(&e->mean, 0, 1, e->width),
        .q_offsets.tensor = e->rows,
        .kv_offsets.tensor = e->offsets,
        .sequences = sentences,
        .max_q_len = 1,
        .max_kv_len = e->longest,
    };
    encoder_add(e, VKA_OPERATION_ATTENTION, &desc, sizeof desc);
}

static void add_hidden(encoder *e, const weights *w) {
    e->hidden = upload_linear(e, &w->hidden);
    e->bent = encoder_new(e, e->capacity.sentences, w->outputs);
    add_linear(e, e->mean, &e->hidden, (vka_tensor){0}, VKA_ACTIVATION_TANH, e->bent);
    e->unit = (vka_rms_norm_desc){.x = e->bent, .out = e->embeddings, .epsilon = 1e-30f};
    e->unit.weight = upload_series(e, VKA_F32, w->outputs, (float)(1 / sqrt(w->outputs)));
    encoder_add(e, VKA_OPERATION_RMS_NORM, &e->unit, sizeof e->unit);
}

static void build(encoder *e, const weights *w) {
    uint32_t tokens = e->capacity.tokens, sentences = e->capacity.sentences;
    e->ids = create_input(e, tokens);
    e->positions = create_input(e, tokens);
    e->offsets = create_input(e, sentences + 1);
    e->rows = upload_series(e, VKA_I32, sentences + 1, 0);
    e->zeros = upload_series(e, VKA_F32, tokens > sentences ? tokens : sentences, 0);
    e->embeddings = create_with(e, VKA_F32, 2, sentences, w->outputs, VKA_MEMORY_READBACK, NULL);
    vka_tensor x;
    if (e->capacity.gradients) {
        x = e->input = create_with(e, VKA_F32, 2, tokens, w->channels, VKA_MEMORY_UPLOAD, NULL);
    } else {
        x = add_embedding(e, w);
    }
    for (uint32_t i = 0; i < w->layers; i++) {
        x = add_layer(e, w, i, x);
    }
    add_mean(e, x);
    add_hidden(e, w);
    if (e->capacity.gradients) {
        e->toward = create_with(e, VKA_F32, 2, sentences, w->outputs, VKA_MEMORY_UPLOAD, NULL);
        e->d_input = create_with(e, VKA_F32, 2, tokens, w->channels, VKA_MEMORY_READBACK, NULL);
        encoder_add_backward(e);
    }
}

encoder *encoder_create(vka_device *device, const weights *w, const encoder_desc *desc, complaint *why) {
    encoder *e = calloc(1, sizeof *e);
    if (e == NULL) {
        complain(why, "out of memory");
        return NULL;
    }
    e->device = device;
    e->capacity = *desc;
    e->longest = desc->tokens < MAX_TOKENS ? desc->tokens : MAX_TOKENS;
    e->heads = w->heads, e->layers = w->layers, e->channels = w->channels;
    e->width = w->width, e->outputs = w->outputs;
    encoder_keep(e, vka_recorder_create(device, NULL, &e->recorder));
    if (e->status == VKA_OK) {
        encoder_keep(e, vka_nn_sequence_create(device, NULL, &e->sequence));
    }
    build(e, w);
    if (e->status == VKA_OK) {
        encoder_keep(e, vka_recorder_begin(e->recorder));
    }
    if (e->status == VKA_OK) {
        encoder_keep(e, vka_nn_sequence_record(e->recorder, e->sequence));
    }
    if (e->status != VKA_OK) {
        complain(why, "the model can't be recorded: %s", vka_status_string(e->status));
        encoder_destroy(&e);
    }
    return e;
}

void encoder_destroy(encoder **e) {
    if (*e == NULL) {
        return;
    }
    vka_recorder_destroy(&(*e)->recorder);
    vka_nn_sequence_destroy(&(*e)->sequence);
    for (uint32_t i = 0; i < (*e)->buffer_count; i++) {
        vka_buffer_destroy(&(*e)->buffers[i]);
    }
    free(*e);
    *e = NULL;
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

/* Ids behind the last sentence are those of no piece, and sentences behind it are empty. */
static bool write_inputs(encoder *e, const token_batch *b, complaint *why) {
    int32_t *ids = vka_buffer_map(e->ids.buffer), *positions = vka_buffer_map(e->positions.buffer);
    int32_t *offsets = vka_buffer_map(e->offsets.buffer);
    uint32_t tokens = (uint32_t)b->offsets[b->sentences];
    if (b->sentences > e->capacity.sentences || tokens > e->capacity.tokens) {
        return complain(why, "a batch of %u sentences with %u pieces is beyond %u with %u", b->sentences, tokens,
                        e->capacity.sentences, e->capacity.tokens);
    }
    for (uint32_t s = 0; s < b->sentences; s++) {
        for (int32_t i = b->offsets[s]; i < b->offsets[s + 1]; i++) {
            ids[i] = b->ids[i];
            positions[i] = i - b->offsets[s];
        }
    }
    for (uint32_t i = tokens; i < e->capacity.tokens; i++) {
        ids[i] = positions[i] = -1;
    }
    for (uint32_t s = 0; s <= e->capacity.sentences; s++) {
        offsets[s] = b->offsets[s < b->sentences ? s : b->sentences];
    }
    return true;
}

bool encoder_done(vka_status status, complaint *why) {
    return status == VKA_OK || complain(why, "the device failed: %s", vka_status_string(status));
}

bool encoder_run(encoder *e, const token_batch *batch, float *embeddings, complaint *why) {
    uint64_t bytes = (uint64_t)batch->sentences * e->outputs * sizeof(float);
    return write_inputs(e, batch, why) && encoder_done(vka_recorder_submit(e->recorder), why) &&
           encoder_done(vka_recorder_wait(e->recorder, VKA_FOREVER), why) &&
           (bytes == 0 || encoder_done(vka_buffer_read(e->embeddings.buffer, 0, embeddings, bytes), why));
}

bool encoder_attention(encoder *e, uint32_t layer, uint32_t sentence, uint32_t n, float *probabilities,
                       complaint *why) {
    const vka_tensor *t = &e->probabilities[layer];
    if (layer >= e->layers || t->buffer == NULL) {
        return complain(why, "probabilities of layer %u were not kept", layer);
    }
    for (uint32_t row = 0; row < e->heads * n; row++) {
        uint64_t from = ((uint64_t)sentence * e->heads + row / n) * e->longest + row % n;
        if (!encoder_done(vka_buffer_read(t->buffer, from * e->longest * sizeof(float), probabilities + (size_t)row * n,
                                          n * sizeof(float)),
                          why)) {
            return false;
        }
    }
    return true;
}

/* ---- cosines ----------------------------------------------------------------------------------------------------- */

/* Embeddings have a length of 1: their products are cosines. */
bool cosines_of(vka_device *device, const float *embeddings, uint32_t outputs, uint32_t all, uint32_t first,
                uint32_t count, float *cosines, complaint *why) {
    uint64_t row = outputs * sizeof(float), bytes = (uint64_t)count * all * sizeof(float);
    vka_buffer *e = NULL, *c = NULL;
    vka_recorder *recorder = NULL;
    vka_status status = vka_recorder_create(device, NULL, &recorder);
    if (status == VKA_OK) {
        status = vka_buffer_create(device, &(vka_buffer_desc){.size = all * row}, &e);
    }
    if (status == VKA_OK) {
        status = vka_buffer_create(device, &(vka_buffer_desc){.size = bytes, .memory = VKA_MEMORY_READBACK}, &c);
    }
    if (status == VKA_OK && (status = vka_buffer_write(e, 0, embeddings, all * row)) == VKA_OK &&
        (status = vka_recorder_begin(recorder)) == VKA_OK) {
        vka_tensor x = vka_tensor_2d(e, VKA_F32, count, outputs), weight = vka_tensor_2d(e, VKA_F32, all, outputs);
        x.offset = first * row;
        status = vka_linear(recorder,
                            &(vka_linear_desc){.x = x, .weight = weight, .out = vka_tensor_2d(c, VKA_F32, count, all)});
    }
    if (status == VKA_OK && (status = vka_recorder_submit(recorder)) == VKA_OK &&
        (status = vka_recorder_wait(recorder, VKA_FOREVER)) == VKA_OK) {
        status = vka_buffer_read(c, 0, cosines, bytes);
    }
    vka_recorder_destroy(&recorder);
    vka_buffer_destroy(&e);
    vka_buffer_destroy(&c);
    return encoder_done(status, why);
}
