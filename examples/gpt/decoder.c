/* SPDX-License-Identifier: MIT */
#include "decoder.h"

#include "common/program.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vkattn/embedding.h>
#include <vkattn/sampling.h>

#define ADD(sequence, OP, ...)                                                                                         \
    check(vka_nn_operation(sequence, VKA_OPERATION_##OP, &(__VA_ARGS__), sizeof(__VA_ARGS__)))

/* Tokens that go through the layers together, where they come from and what they see. */
typedef struct pass {
    vka_nn_sequence *sequence;
    vka_recorder *recorder;
    uint32_t tokens;
    vka_buffer *ids, *positions; /* i32 [tokens] each                                                            */
    vka_buffer *rows;            /* i32 [tokens]: of the caches; NULL: the first ones, and each sees those before */
    vka_buffer *lists;           /* with rows: i32 [tokens, context], the rows that each token sees              */
    vka_buffer *visible;         /* with rows: i32 [1]; higher ones can't be seen                                */
    vka_buffer *next;            /* i32 [1], written: the row behind that of the one token; or NULL              */
    vka_buffer *scores;          /* f32 [layers, heads, tokens, tokens], written; or NULL                        */
    vka_buffer *lse;             /* with scores: f32 [heads, tokens], written                                    */
    vka_buffer *scratch;         /* what layers pass on to each other                                            */
} pass;

struct decoder {
    decoder_desc desc;
    vka_device *device;
    uint32_t capacity; /* rows of each cache: those of the longest text and of a tree */
    vka_buffer *k[TRUNK_MAX_LAYERS], *v[TRUNK_MAX_LAYERS];
    vka_buffer *logits;
    vka_buffer *page;   /* i32 [nodes], of zeros: a cache is one page, to which each node's sequence of one is added */
    vka_buffer *iota;   /* i32 [context]: 0, 1, ..                                                      */
    vka_buffer *prompt; /* i32 [context]: tokens that are put into empty caches                         */
    pass fill, step, tree;

    /* Of steps, each i32 [1] but for the tokens that were drawn. */
    vka_buffer *id, *length, *next, *drawn, *history;

    /* Of trees, each i32 [nodes] but for the lists. */
    vka_buffer *ids, *positions, *rows, *lists, *all_rows, *draws, *sampled;
    uint32_t text_length;
    uint32_t *text_rows; /* [context]: the caches' rows of the text */
    bool *is_text;       /* [capacity]                              */
};

static int32_t *map(vka_buffer *buffer) {
    return vka_buffer_map(buffer);
}

static vka_tensor integers(vka_buffer *buffer, uint32_t count) {
    return vka_tensor_1d(buffer, VKA_I32, count);
}

static vka_tensor weight(const decoder *d, const char *name) {
    vka_tensor t;
    if (!d->desc.find(d->desc.user, name, &t)) {
        fail("there is no weight %s", name);
    }
    return t;
}

/* ---- layers -------------------------------------------------------------------------------------------------- */

/* The first `rows` of a cache. */
static vka_tensor cache(const decoder *d, vka_buffer *buffer, uint32_t rows) {
    const uint32_t heads = d->desc.sizes.heads, dim = d->desc.sizes.width / heads;
    return (vka_tensor){.buffer = buffer,
                        .dtype = d->desc.cache,
                        .rank = 4,
                        .shape = {1, heads, rows, dim},
                        .stride = {(uint64_t)heads * d->capacity * dim, (uint64_t)d->capacity * dim, dim, 1}};
}

/* `count` columns of each token, behind `first` others that all tokens have in scratch memory. */
static vka_tensor columns(const decoder *d, const pass *p, uint32_t first, uint32_t count) {
    vka_tensor t = vka_tensor_2d(p->scratch, VKA_F32, p->tokens, count * d->desc.sizes.width);
    t.offset = sizeof(float) * first * (uint64_t)p->tokens * d->desc.sizes.width;
    return t;
}

enum { X = 0, NORMED = 1, QKV = 2, MERGED = 5, INNER = 6, SCRATCH_COLUMNS = 10 };

/* Heads of columns: [1, heads, tokens, dim]. */
static vka_tensor heads(const decoder *d, vka_tensor t, uint32_t part) {
    const uint32_t n = d->desc.sizes.heads, dim = d->desc.sizes.width / n;
    const uint64_t row = t.shape[1];
    return (vka_tensor){.buffer = t.buffer,
                        .offset = t.offset + sizeof(float) * part * d->desc.sizes.width,
                        .dtype = VKA_F32,
                        .rank = 4,
                        .shape = {1, n, t.shape[0], dim},
                        .stride = {t.shape[0] * row, dim, row, 1}};
}

/* Steps and trees come to the same bits whatever tokens are computed beside one. */
static void add_linear(const pass *p, const vka_nn_linear *l, vka_tensor x, vka_activation activation,
                       const vka_tensor *residual, vka_tensor out) {
    vka_linear_desc d = {.x = x, .weight = l->weight, .bias = l->bias, .activation = activation, .out = out};
    if (residual) {
        d.residual = *residual;
    }
    if (p->rows) {
        d.path = VKA_LINEAR_PATH_VECTOR;
        d.determinism = VKA_DETERMINISM_BATCH;
    }
    ADD(p->sequence, LINEAR, d);
}

/* Every node is a sequence of its own, whose one token goes to the row that its length says, in the page of all. */
static void add_append(const decoder *d, const pass *p, uint32_t layer, vka_tensor k, vka_tensor v) {
    vka_cache_append_desc a = {
        .k = k, .v = v, .k_cache = cache(d, d->k[layer], d->capacity), .v_cache = cache(d, d->v[layer], d->capacity)};
    if (p->rows) {
        a.k = vka_tensor_transpose(k, 0, 2), a.v = vka_tensor_transpose(v, 0, 2);
        a.page_table = vka_tensor_2d(d->page, VKA_I32, p->tokens, 1);
        a.lengths.tensor = integers(p->rows, p->tokens);
    }
    if (p->next) {
        a.new_lengths = integers(p->next, 1);
    }
    ADD(p->sequence, CACHE_APPEND, a);
}

static void add_attention(const decoder *d, const pass *p, uint32_t layer, vka_tensor q, vka_tensor out) {
    const uint32_t rows = p->rows ? d->capacity : p->tokens, n = d->desc.sizes.heads;
    vka_attention_desc a = {
        .q = q, .k = cache(d, d->k[layer], rows), .v = cache(d, d->v[layer], rows), .out = out, .causal = !p->rows};
    if (p->rows) {
        a.key_lists = vka_tensor_4d(p->lists, VKA_I32, 1, 1, p->tokens, d->desc.sizes.context);
        a.kv_lengths.tensor = integers(p->visible, 1);
        a.determinism = VKA_DETERMINISM_BATCH;
    }
    if (p->scores) {
        a.lse = vka_tensor_3d(p->lse, VKA_F32, 1, n, p->tokens);
        a.scores = vka_tensor_4d(p->scores, VKA_F32, 1, n, p->tokens, p->tokens);
        a.scores.offset = sizeof(float) * layer * n * (uint64_t)p->tokens * p->tokens;
        a.score_stage = VKA_SCORES_PROBABILITIES;
    }
    ADD(p->sequence, ATTENTION, a);
}

static void add_layer(const decoder *d, const pass *p, uint32_t layer) {
    const vka_tensor x = columns(d, p, X, 1), normed = columns(d, p, NORMED, 1), qkv = columns(d, p, QKV, 3);
    const vka_tensor merged = columns(d, p, MERGED, 1), inner = columns(d, p, INNER, 4);
    char prefix[24];
    vka_nn_layer_desc w = {.norm_first = true,
                           .norm_self.kind = VKA_NN_NORM_LAYER,
                           .norm_feed_forward.kind = VKA_NN_NORM_LAYER,
                           .self.heads = d->desc.sizes.heads};
    snprintf(prefix, sizeof prefix, "layers.%" PRIu32 ".", layer);
    check(vka_nn_layer_find(p->sequence, VKA_NN_NAMES_TORCH, prefix, d->desc.find, d->desc.user, &w));
    check(vka_nn_normalise(p->sequence, &w.norm_self, &x, &normed));
    add_linear(p, &w.self.qkv, normed, VKA_ACTIVATION_NONE, NULL, qkv);
    add_append(d, p, layer, heads(d, qkv, 1), heads(d, qkv, 2));
    add_attention(d, p, layer, heads(d, qkv, 0), heads(d, merged, 0));
    add_linear(p, &w.self.projection, merged, VKA_ACTIVATION_NONE, &x, x);
    check(vka_nn_normalise(p->sequence, &w.norm_feed_forward, &x, &normed));
    add_linear(p, &w.feed_forward.up, normed, VKA_ACTIVATION_GELU, NULL, inner);
    add_linear(p, &w.feed_forward.down, inner, VKA_ACTIVATION_NONE, &x, x);
}

static void add_layers(const decoder *d, const pass *p) {
    const vka_tensor x = columns(d, p, X, 1), positions = columns(d, p, NORMED, 1);
    ADD(p->sequence, EMBEDDING,
        (vka_embedding_desc){
            .table = weight(d, "positions.weight"), .ids = integers(p->positions, p->tokens), .out = positions});
    ADD(p->sequence, EMBEDDING,
        (vka_embedding_desc){
            .table = weight(d, "tokens.weight"), .ids = integers(p->ids, p->tokens), .position = positions, .out = x});
    for (uint32_t i = 0; i < d->desc.sizes.layers; i++) {
        add_layer(d, p, i);
    }
}

static vka_tensor logits_of(const decoder *d, uint32_t first, uint32_t count) {
    vka_tensor t = vka_tensor_2d(d->logits, VKA_F32, count, d->desc.sizes.classes);
    t.offset = sizeof(float) * first * (uint64_t)d->desc.sizes.classes;
    return t;
}

static void add_head(const decoder *d, const pass *p) {
    const vka_tensor x = columns(d, p, X, 1), normed = columns(d, p, NORMED, 1);
    const vka_nn_norm norm = {
        .kind = VKA_NN_NORM_LAYER, .weight = weight(d, "norm.weight"), .bias = weight(d, "norm.bias")};
    check(vka_nn_normalise(p->sequence, &norm, &x, &normed));
    add_linear(p, &(vka_nn_linear){.weight = weight(d, "head.weight")}, normed, VKA_ACTIVATION_NONE, NULL,
               logits_of(d, 0, p->tokens));
}

/* ---- sampling ------------------------------------------------------------------------------------------------ */

static vka_sample_desc sampling(const decoder *d, uint32_t first, uint32_t count) {
    const decoder_desc *s = &d->desc;
    return (vka_sample_desc){.logits = logits_of(d, first, count),
                             .temperature = s->temperature,
                             .top_k = s->top_k,
                             .top_p = s->top_p,
                             .seed = s->seed};
}

static void add_draw(const decoder *d) {
    vka_sample_desc s = sampling(d, 0, 1);
    s.ids = integers(d->id, 1);
    s.history = vka_tensor_2d(d->history, VKA_I32, 1, d->desc.count);
    s.lengths.tensor = s.new_lengths = integers(d->drawn, 1);
    s.append = true;
    ADD(d->step.sequence, SAMPLE, s);
}

/* Random numbers follow from a row's place in its operation, too: where there are any, each node has one of its own. */
static void add_draws(const decoder *d) {
    const uint32_t nodes = d->desc.nodes, each = d->desc.temperature > 0 ? 1 : nodes;
    for (uint32_t i = 0; i < nodes; i += each) {
        vka_sample_desc s = sampling(d, i, each);
        s.ids = integers(d->sampled, each);
        s.lengths.tensor = integers(d->draws, each);
        s.ids.offset = s.lengths.tensor.offset = i * sizeof(int32_t);
        ADD(d->tree.sequence, SAMPLE, s);
    }
}

/* ---- passes -------------------------------------------------------------------------------------------------- */

static void begin_pass(const decoder *d, pass *p) {
    const vka_nn_sequence_desc desc = {.log = {.fn = log_line}};
    check(vka_nn_sequence_create(d->device, &desc, &p->sequence));
    p->scratch = create_buffer(d->device, sizeof(float) * SCRATCH_COLUMNS * p->tokens * (uint64_t)d->desc.sizes.width,
                               VKA_MEMORY_DEVICE);
}

static void end_pass(const decoder *d, pass *p) {
    check(vka_recorder_create(d->device, NULL, &p->recorder));
    check(vka_recorder_begin(p->recorder));
    check(vka_nn_sequence_record(p->recorder, p->sequence));
    if (p->next) {
        check(vka_copy(p->recorder, p->rows, 0, p->next, 0, sizeof(int32_t)));
    }
}

static void destroy_pass(pass *p) {
    vka_recorder_destroy(&p->recorder);
    vka_nn_sequence_destroy(&p->sequence);
    vka_buffer_destroy(&p->scratch);
}

static void run(pass *p) {
    check(vka_recorder_submit(p->recorder));
    check(vka_recorder_wait(p->recorder, VKA_FOREVER));
}

static void build_steps(decoder *d) {
    d->step = (pass){.tokens = 1,
                     .ids = d->id,
                     .positions = d->length,
                     .rows = d->length,
                     .lists = d->iota,
                     .visible = d->next,
                     .next = d->next};
    begin_pass(d, &d->step);
    add_layers(d, &d->step);
    add_head(d, &d->step);
    add_draw(d);
    end_pass(d, &d->step);
}

static void build_trees(decoder *d) {
    d->tree = (pass){.tokens = d->desc.nodes,
                     .ids = d->ids,
                     .positions = d->positions,
                     .rows = d->rows,
                     .lists = d->lists,
                     .visible = d->all_rows};
    begin_pass(d, &d->tree);
    add_layers(d, &d->tree);
    add_head(d, &d->tree);
    add_draws(d);
    end_pass(d, &d->tree);
}

static void build_fill(decoder *d, uint32_t tokens) {
    destroy_pass(&d->fill);
    d->fill = (pass){.tokens = tokens, .ids = d->prompt, .positions = d->iota};
    begin_pass(d, &d->fill);
    add_layers(d, &d->fill);
    end_pass(d, &d->fill);
}

/* ---- the decoder --------------------------------------------------------------------------------------------- */

static void check_desc(const decoder_desc *d) {
    if (d->cache == VKA_Q8_0 && d->sizes.width / d->sizes.heads % vka_dtype_block(d->cache)) {
        fail("caches in q8_0 need heads of a multiple of %" PRIu32 " channels, and not of %" PRIu32,
             vka_dtype_block(d->cache), d->sizes.width / d->sizes.heads);
    }
    if (d->nodes < 1 || d->nodes > DECODER_MAX_NODES) {
        fail("a tree has 1 .. %d tokens", DECODER_MAX_NODES);
    }
}

static vka_buffer *words(const decoder *d, uint64_t count) {
    return create_buffer(d->device, count * sizeof(int32_t), VKA_MEMORY_READBACK);
}

static void create_buffers(decoder *d) {
    const trunk_desc *s = &d->desc.sizes;
    const uint32_t nodes = d->desc.nodes;
    const uint64_t elements = (uint64_t)d->capacity * s->width;
    vka_buffer **const single[] = {&d->id, &d->length, &d->next, &d->drawn, &d->all_rows};
    vka_buffer **const of_nodes[] = {&d->page, &d->ids, &d->positions, &d->rows, &d->draws, &d->sampled};
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) {
        *single[i] = words(d, 1);
    }
    for (size_t i = 0; i < sizeof of_nodes / sizeof *of_nodes; i++) {
        *of_nodes[i] = words(d, nodes);
    }
    d->history = words(d, d->desc.count ? d->desc.count : 1);
    d->lists = words(d, (uint64_t)nodes * s->context);
    d->prompt = words(d, s->context);
    d->iota = words(d, s->context);
    for (uint32_t i = 0; i < s->context; i++) {
        map(d->iota)[i] = (int32_t)i;
    }
    *map(d->all_rows) = (int32_t)d->capacity;
    d->logits = create_buffer(d->device, sizeof(float) * nodes * (uint64_t)s->classes, VKA_MEMORY_DEVICE);
    for (uint32_t i = 0; i < s->layers; i++) {
        uint64_t bytes = elements / vka_dtype_block(d->desc.cache) * vka_dtype_size(d->desc.cache);
        d->k[i] = create_buffer(d->device, bytes, VKA_MEMORY_DEVICE);
        d->v[i] = create_buffer(d->device, bytes, VKA_MEMORY_DEVICE);
    }
}

decoder *decoder_create(vka_device *device, const decoder_desc *desc) {
    check_desc(desc);
    decoder *d = allocate(1, sizeof *d);
    d->desc = *desc;
    d->device = device;
    d->capacity = (desc->sizes.context + desc->nodes + 7) / 8 * 8; /* as pages have */
    d->text_rows = allocate(desc->sizes.context, sizeof *d->text_rows);
    d->is_text = allocate(d->capacity, sizeof *d->is_text);
    create_buffers(d);
    return d;
}

void decoder_destroy(decoder **which) {
    decoder *d = *which;
    vka_buffer **const buffers[] = {&d->logits, &d->page,     &d->iota,    &d->prompt, &d->id,        &d->length,
                                    &d->next,   &d->drawn,    &d->history, &d->ids,    &d->positions, &d->rows,
                                    &d->lists,  &d->all_rows, &d->draws,   &d->sampled};
    destroy_pass(&d->fill);
    destroy_pass(&d->step);
    destroy_pass(&d->tree);
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        vka_buffer_destroy(buffers[i]);
    }
    for (uint32_t i = 0; i < d->desc.sizes.layers; i++) {
        vka_buffer_destroy(&d->k[i]);
        vka_buffer_destroy(&d->v[i]);
    }
    free(d->text_rows);
    free(d->is_text);
    free(d);
    *which = NULL;
}

uint32_t decoder_length(const decoder *d) {
    return d->text_length;
}

static void put(decoder *d, const int32_t *tokens, uint32_t count) {
    memcpy(map(d->prompt), tokens, count * sizeof *tokens);
    if (d->fill.tokens != count || d->fill.scores) {
        build_fill(d, count);
    }
    run(&d->fill);
}

void decoder_fill(decoder *d, const int32_t *tokens, uint32_t count) {
    if (d->step.recorder) {
        check(vka_recorder_wait(d->step.recorder, VKA_FOREVER));
    }
    d->text_length = count - 1;
    if (d->text_length) {
        put(d, tokens, d->text_length);
    }
    memset(d->is_text, 0, d->capacity * sizeof *d->is_text);
    for (uint32_t i = 0; i < d->text_length; i++) {
        d->text_rows[i] = i;
        d->is_text[i] = true;
    }
    *map(d->length) = (int32_t)d->text_length;
    *map(d->id) = tokens[d->text_length];
}

void decoder_step(decoder *d) {
    if (d->step.recorder == NULL) {
        build_steps(d);
    }
    check(vka_recorder_submit(d->step.recorder));
    d->text_rows[d->text_length] = d->text_length;
    d->text_length++;
}

void decoder_read(decoder *d, uint32_t first, uint32_t count, int32_t *tokens) {
    check(vka_recorder_wait(d->step.recorder, VKA_FOREVER));
    memcpy(tokens, map(d->history) + first, count * sizeof *tokens);
}

/* ---- trees --------------------------------------------------------------------------------------------------- */

/* Nodes take rows that are not the text's. Places that a small tree leaves are nodes that see one row and are not
 * looked at: they need rows, too. Lists end as those of steps do, with rows that there are not yet, and not with a
 * negative one: other sums would be rounded otherwise. */
static void place_nodes(decoder *d, const token_tree *tree, uint32_t drawn) {
    const uint32_t context = d->desc.sizes.context;
    for (uint32_t i = 0, row = 0; i < d->desc.nodes; i++, row++) {
        const bool used = i < tree->count;
        const uint32_t depth = used ? tree->depth[i] : 0;
        int32_t *list = map(d->lists) + (size_t)i * context;
        while (d->is_text[row]) {
            row++;
        }
        map(d->rows)[i] = (int32_t)row;
        map(d->ids)[i] = used ? tree->token[i] : -1;
        map(d->positions)[i] = (int32_t)(d->text_length + depth);
        map(d->draws)[i] = (int32_t)(drawn + depth);
        uint32_t end = used ? d->text_length + depth + 1 : 1;
        if (used && i) {
            memcpy(list, map(d->lists) + (size_t)tree->parent[i] * context, (end - 1) * sizeof *list);
        } else {
            for (uint32_t k = 0; k + 1 < end; k++) {
                list[k] = (int32_t)d->text_rows[k];
            }
        }
        list[end - 1] = (int32_t)row;
        for (uint32_t k = end; k < context; k++) {
            list[k] = INT32_MAX;
        }
    }
}

static void keep(decoder *d, uint32_t node) {
    const uint32_t row = (uint32_t)map(d->rows)[node];
    d->text_rows[d->text_length++] = row;
    d->is_text[row] = true;
}

uint32_t token_tree_child(const token_tree *tree, uint32_t node, int32_t token) {
    for (uint32_t i = node + 1; i < tree->count; i++) {
        if (tree->parent[i] == node && tree->token[i] == token) {
            return i;
        }
    }
    return 0;
}

uint32_t decoder_verify(decoder *d, const token_tree *tree, uint32_t drawn, int32_t *tokens) {
    if (d->tree.recorder == NULL) {
        build_trees(d);
    }
    place_nodes(d, tree, drawn);
    run(&d->tree);
    uint32_t count = 0, node = 0;
    do {
        tokens[count] = map(d->sampled)[node];
        keep(d, node);
        node = token_tree_child(tree, node, tokens[count++]);
    } while (node);
    return count;
}

/* ---- looking at it ------------------------------------------------------------------------------------------- */

void decoder_logits(decoder *d, uint32_t nodes, float *logits) {
    if (d->step.recorder) {
        check(vka_recorder_wait(d->step.recorder, VKA_FOREVER));
    }
    check(vka_buffer_read(d->logits, 0, logits, sizeof *logits * nodes * d->desc.sizes.classes));
}

/* The numbers of a row, which is of whole blocks. */
static void read_row(const decoder *d, vka_buffer *buffer, uint64_t row, uint32_t count, float *to) {
    const vka_dtype type = d->desc.cache;
    const uint32_t block = vka_dtype_block(type), size = vka_dtype_size(type), bytes = count / block * size;
    unsigned char *data = allocate(bytes, 1);
    check(vka_buffer_read(buffer, row * bytes, data, bytes));
    for (uint32_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, data + i / block * size, sizeof half);
        vka_f16_to_f32(&half, &to[i], 1);
        if (type == VKA_F32) {
            memcpy(&to[i], data + i * sizeof *to, sizeof *to);
        } else if (type == VKA_Q8_0) {
            to[i] *= (float)(int8_t)data[i / block * size + sizeof half + i % block];
        }
    }
    free(data);
}

void decoder_cached(decoder *d, uint32_t layer, uint32_t position, float *k, float *v) {
    const uint32_t dim = d->desc.sizes.width / d->desc.sizes.heads;
    for (uint32_t h = 0; h < d->desc.sizes.heads; h++) {
        const uint64_t row = (uint64_t)h * d->capacity + d->text_rows[position];
        read_row(d, d->k[layer], row, dim, k + h * dim);
        read_row(d, d->v[layer], row, dim, v + h * dim);
    }
}

void decoder_attention(decoder *d, const int32_t *tokens, uint32_t count, float *probabilities) {
    const trunk_desc *s = &d->desc.sizes;
    const uint64_t bytes = sizeof(float) * s->layers * s->heads * (uint64_t)count * count;
    destroy_pass(&d->fill);
    d->fill = (pass){.tokens = count, .ids = d->prompt, .positions = d->iota};
    d->fill.scores = create_buffer(d->device, bytes, VKA_MEMORY_READBACK);
    d->fill.lse = create_buffer(d->device, sizeof(float) * s->heads * count, VKA_MEMORY_DEVICE);
    begin_pass(d, &d->fill);
    add_layers(d, &d->fill);
    end_pass(d, &d->fill);
    memcpy(map(d->prompt), tokens, count * sizeof *tokens);
    run(&d->fill);
    memcpy(probabilities, vka_buffer_map(d->fill.scores), bytes);
    destroy_pass(&d->fill);
    vka_buffer_destroy(&d->fill.scores);
    vka_buffer_destroy(&d->fill.lse);
    d->fill = (pass){0};
}
