/* PyTorch's MultiheadAttention, TransformerEncoderLayer and TransformerDecoderLayer, as layers of vkattn_nn, and their
 * gradients. Inputs are found by PyTorch's names.
 * SPDX-License-Identifier: MIT */
#include <vkattn/nn.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance.h"
#include "reference.h"

/* A case that runs: which inputs were used, and the tensors of gradients by their index in the case. */
typedef struct layers {
    gpu *g;
    const op_case *c;
    bool used[CASE_MAX_COUNT];
    vka_tensor gradients[CASE_MAX_COUNT];
} layers;

static vka_tensor input(layers *l, const char *name) {
    const case_tensor *t = case_input(l->c, name);
    if (t->type) {
        l->used[t->index] = true;
    }
    return gpu_tensor(l->g, t);
}

static vka_nn_linear linear(layers *l, const char *weight, const char *bias) {
    vka_tensor w = input(l, weight);
    return (vka_nn_linear){w, input(l, bias)};
}

static bool find_input(void *user, const char *name, vka_tensor *t) {
    *t = input(user, name);
    return t->dtype != VKA_DTYPE_INVALID;
}

/* The gradient of an input, in the input's type. */
static vka_tensor gradient(layers *l, const char *name) {
    char of[CASE_MAX_NAME + 2];
    snprintf(of, sizeof of, "d_%s", name);
    const case_tensor *want = case_output_gradient(l->c, of), *t = case_input(l->c, name);
    if (!want->type || !t->type) {
        return (vka_tensor){0};
    }
    l->gradients[want->index] = gpu_output_gradient(l->g, l->c, of, t->type->dtype);
    return l->gradients[want->index];
}

static vka_nn_linear linear_gradient(layers *l, const char *weight, const char *bias) {
    vka_tensor w = gradient(l, weight);
    return (vka_nn_linear){w, gradient(l, bias)};
}

static bool find_gradient(void *user, const char *name, vka_tensor *t) {
    *t = gradient(user, name);
    return t->dtype != VKA_DTYPE_INVALID;
}

/* An input that nobody asked for would be overlooked. */
static bool check_used(const layers *l, result *r) {
    for (uint32_t i = 0; i < CASE_MAX_COUNT; i++) {
        if (l->c->inputs[i].type && !l->used[i]) {
            return skip(r, "input %s", l->c->inputs[i].name);
        }
    }
    return true;
}

/* Inputs that are floats, and gradients of the shape that their inputs have. */
static bool check_case(const op_case *c, result *r) {
    const case_tensor *y = &c->outputs[0];
    bool ok = y->type || fail(r, "y is required");
    ok = ok && case_is_result(y, r) && case_has_shape(case_input_gradient(c, "d_y"), y->rank, y->dims, r);
    for (uint32_t i = 0; i < CASE_MAX_COUNT && ok; i++) {
        const case_tensor *d = &c->output_gradients[i], *x = &c->inputs[i];
        const case_tensor *of = d->type ? case_input(c, d->name + 2) : d;
        ok = (strstr(x->name, "mask") || case_is_real(x, r)) && case_has_shape(d, of->rank, of->dims, r);
    }
    return ok;
}

/* ---- masks ------------------------------------------------------------------------------------------------------- */

typedef struct mask_shape {
    uint32_t batch, heads, queries, keys;
} mask_shape;

/* PyTorch's layers: true is hidden; numbers are added. */
static float mask_value(const case_tensor *t, size_t index) {
    float value;
    if (strcmp(t->type->name, "bool") == 0) {
        return ((const uint8_t *)t->data)[index] ? -INFINITY : 0;
    }
    ref_load(t->type->dtype, &value, (const char *)t->data + index * t->type->size, 1);
    return value;
}

/* Adds a mask of queries and keys, [N, M] or [B H, N, M], or one of keys, [B, M]. */
static bool add_mask(float *sum, const mask_shape *n, const case_tensor *t, bool padding, result *r) {
    uint32_t shape[] = {n->batch * n->heads, n->queries, n->keys}, of_keys[] = {n->batch, n->keys};
    if (!t->type) {
        return true;
    }
    if (strcmp(t->type->name, "bool") != 0 && !case_is_real(t, r)) {
        return false;
    }
    bool each = !padding && t->rank == 3;
    if (!case_has_shape(t, each ? 3 : 2, padding ? of_keys : each ? shape : shape + 1, r)) {
        return false;
    }
    for (size_t head = 0; head < shape[0]; head++) {
        for (size_t i = 0; i < n->queries; i++) {
            for (size_t j = 0; j < n->keys; j++) {
                size_t row = padding ? head / n->heads : (each ? head * n->queries : 0) + i;
                sum[(head * n->queries + i) * n->keys + j] += mask_value(t, row * n->keys + j);
            }
        }
    }
    return true;
}

/* Both masks of an attention as one that is added to scores; absent if there are none. */
static bool make_mask(layers *l, const mask_shape *n, const char *mask, const char *padding, vka_tensor *made,
                      result *r) {
    const case_tensor *a = case_input(l->c, mask), *b = case_input(l->c, padding);
    if (!a->type && !b->type) {
        return true;
    }
    l->used[a->index] = l->used[a->index] || a->type;
    l->used[b->index] = l->used[b->index] || b->type;
    size_t count = (size_t)n->batch * n->heads * n->queries * n->keys;
    float *sum = calloc(count + 1, sizeof *sum);
    bool ok = sum ? add_mask(sum, n, a, false, r) && add_mask(sum, n, b, true, r) : fail(r, "no memory for a mask");
    if (ok) {
        vka_buffer *buffer = gpu_input(l->g, sum, count * sizeof *sum);
        *made = vka_tensor_4d(buffer, VKA_F32, n->batch, n->heads, n->queries, n->keys);
    }
    free(sum);
    return ok;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* What is particular to attention and to layers: `desc` is theirs. */
typedef struct kind {
    vka_status (*forward)(vka_nn_sequence *s, const void *desc);
    vka_status (*backward)(vka_nn_sequence *s, const void *desc);
    vka_status (*kept_bytes)(vka_nn_sequence *s, const void *desc, uint64_t *bytes);
} kind;

static vka_status run_sequence(layers *l, vka_nn_sequence *s, vka_status status) {
    return status == VKA_OK ? vka_nn_sequence_record(l->g->recorder, s) : status;
}

static bool run_forward(layers *l, vka_nn_sequence *s, const kind *k, const void *desc, const vka_tensor *out,
                        result *r) {
    return gpu_run(l->g, run_sequence(l, s, k->forward(s, desc)), r) &&
           gpu_check(l->g, out->buffer, out->dtype, &l->c->outputs[0], r);
}

/* Forward once more, keeping its results, and backward: another sequence. */
static void run_training(layers *l, vka_nn_sequence *s, const kind *k, const void *forward, const void *backward,
                         const vka_tensor *out, result *r) {
    vka_status status = k->forward(s, forward);
    status = run_sequence(l, s, status == VKA_OK ? k->backward(s, backward) : status);
    if (!gpu_run(l->g, status, r) || !gpu_check(l->g, out->buffer, out->dtype, &l->c->outputs[0], r)) {
        return;
    }
    for (uint32_t i = 0; i < CASE_MAX_COUNT && r->verdict == PASSED; i++) {
        if (l->gradients[i].dtype) {
            gpu_check_gradient(l->g, l->c, l->c->output_gradients[i].name, &l->gradients[i], r);
        }
    }
}

/* Room for what a layer keeps. */
static vka_workspace make_kept(layers *l, vka_nn_sequence *s, const kind *k, const void *desc) {
    uint64_t bytes = 0;
    vka_status status = k->kept_bytes(s, desc, &bytes);
    l->g->status = l->g->status == VKA_OK ? status : l->g->status;
    return (vka_workspace){.buffer = gpu_output(l->g, bytes)};
}

/* ---- MultiheadAttention ------------------------------------------------------------------------------------------ */

static vka_status attention_forward(vka_nn_sequence *s, const void *desc) {
    return vka_nn_attention(s, desc);
}

static vka_status attention_backward(vka_nn_sequence *s, const void *desc) {
    return vka_nn_attention_backward(s, desc);
}

static vka_status attention_kept_bytes(vka_nn_sequence *s, const void *desc, uint64_t *bytes) {
    return vka_nn_attention_kept_bytes(s, desc, bytes);
}

static const kind attention_kind = {attention_forward, attention_backward, attention_kept_bytes};

static const char *either(const op_case *c, const char *name, const char *other) {
    return case_input(c, name)->type ? name : other;
}

/* Projections, of inputs or of their gradients. With kdim or vdim weights are apart, biases are not. */
static void fill_projections(layers *l, vka_nn_attention_desc *d, uint32_t width,
                             vka_nn_linear (*of)(layers *, const char *, const char *)) {
    vka_nn_linear *const parts[] = {&d->q, &d->k, &d->v};
    d->projection = of(l, "out_proj.weight", "out_proj.bias");
    vka_nn_linear qkv = of(l, "in_proj_weight", "in_proj_bias");
    if (!case_input(l->c, "q_proj_weight")->type) {
        d->qkv = qkv;
        return;
    }
    d->q = of(l, "q_proj_weight", "");
    d->k = of(l, "k_proj_weight", "");
    d->v = of(l, "v_proj_weight", "");
    for (uint32_t i = 0; i < 3 && qkv.bias.dtype; i++) {
        parts[i]->bias = qkv.bias;
        parts[i]->bias.shape[0] = width;
        parts[i]->bias.offset += (uint64_t)i * width * vka_dtype_size(qkv.bias.dtype);
    }
}

static void fill_inputs(layers *l, vka_nn_attention_desc *d, vka_tensor (*of)(layers *, const char *)) {
    const op_case *c = l->c;
    d->x = of(l, either(c, "x", "query"));
    d->memory = of(l, either(c, "memory", "key"));
    d->values = of(l, "value");
}

static bool fill_attention(layers *l, vka_nn_attention_desc *d, result *r) {
    const op_case *c = l->c;
    const case_tensor *x = case_input(c, either(c, "x", "query"));
    const case_tensor *memory = case_input(c, either(c, "memory", "key"));
    int64_t heads, causal;
    if (!case_get_int(c, "heads", 0, &heads, r) || !case_get_int(c, "is_causal", 0, &causal, r)) {
        return false;
    }
    if (x->rank != 3 || (memory->type && memory->rank != 3)) {
        return fail(r, "inputs have three dimensions");
    }
    fill_inputs(l, d, input);
    d->heads = (uint32_t)heads;
    d->attention.causal = causal != 0;
    fill_projections(l, d, x->dims[2], linear);
    d->out = gpu_result(l->g, &c->outputs[0], d->x.dtype);
    mask_shape n = {x->dims[0], d->heads, x->dims[1], (memory->type ? memory : x)->dims[1]};
    return make_mask(l, &n, "attn_mask", "key_padding_mask", &d->attention.mask, r) && check_used(l, r);
}

static void run_attention_in(layers *l, vka_nn_sequence *s, vka_nn_sequence *training, result *r) {
    vka_nn_attention_desc d = {0};
    if (!fill_attention(l, &d, r) || !run_forward(l, s, &attention_kind, &d, &d.out, r) ||
        !gpu_begin_backward(l->g, l->c, r)) {
        return;
    }
    d.out = gpu_result(l->g, &l->c->outputs[0], d.x.dtype);
    d.keep = VKA_NN_KEEP_RESULTS;
    d.kept = make_kept(l, s, &attention_kind, &d);
    vka_nn_attention_backward_desc b = {.forward = d};
    fill_inputs(l, &b.gradients, gradient);
    fill_projections(l, &b.gradients, d.x.shape[2], linear_gradient);
    b.gradients.out = gpu_input_gradient(l->g, l->c, "d_y");
    run_training(l, training, &attention_kind, &d, &b, &d.out, r);
}

/* ---- layers ------------------------------------------------------------------------------------------------------ */

static vka_status layer_forward(vka_nn_sequence *s, const void *desc) {
    return vka_nn_layer(s, desc);
}

static vka_status layer_backward(vka_nn_sequence *s, const void *desc) {
    return vka_nn_layer_backward(s, desc);
}

static vka_status layer_kept_bytes(vka_nn_sequence *s, const void *desc, uint64_t *bytes) {
    return vka_nn_layer_kept_bytes(s, desc, bytes);
}

static const kind layer_kind = {layer_forward, layer_backward, layer_kept_bytes};

static const char *text_of(const op_case *c, const char *name, const char *absent) {
    for (uint32_t i = 0; i < c->attribute_count; i++) {
        if (strcmp(c->attributes[i].name, name) == 0 && c->attributes[i].type == CASE_STRING) {
            return c->attributes[i].string;
        }
    }
    return absent;
}

static bool read_activation(const op_case *c, vka_activation *activation, result *r) {
    const char *name = text_of(c, "activation", "relu");
    *activation = strcmp(name, "relu") == 0   ? VKA_ACTIVATION_RELU
                  : strcmp(name, "gelu") == 0 ? VKA_ACTIVATION_GELU
                                              : VKA_ACTIVATION_NONE;
    return *activation || skip(r, "activation %s", name);
}

static bool read_numbers(const op_case *c, vka_nn_layer_desc *d, result *r) {
    int64_t heads, causal, norm_first;
    float epsilon;
    if (!case_get_int(c, "heads", 0, &heads, r) || !case_get_int(c, "is_causal", 0, &causal, r) ||
        !case_get_int(c, "norm_first", 0, &norm_first, r) || !case_get_float(c, "eps", 1e-5f, &epsilon, r) ||
        !read_activation(c, &d->feed_forward.activation, r)) {
        return false;
    }
    d->self.heads = d->cross.heads = (uint32_t)heads;
    d->self.attention.causal = causal != 0;
    d->norm_first = norm_first != 0;
    d->norm_self = (vka_nn_norm){.kind = VKA_NN_NORM_LAYER, .epsilon = epsilon};
    d->norm_cross = d->norm_feed_forward = d->norm_self;
    return true;
}

static bool fill_layer(layers *l, vka_nn_sequence *s, vka_nn_layer_desc *d, result *r) {
    const op_case *c = l->c;
    const char *name = either(c, "src", "tgt");
    const case_tensor *x = case_input(c, name), *memory = case_input(c, "memory");
    bool encoder = strcmp(name, "src") == 0;
    if (x->rank != 3 || (memory->type && memory->rank != 3)) {
        return fail(r, "inputs have three dimensions");
    }
    d->x = input(l, name);
    d->memory = input(l, "memory");
    d->out = gpu_result(l->g, &c->outputs[0], d->x.dtype);
    mask_shape n = {x->dims[0], d->self.heads, x->dims[1], x->dims[1]};
    if (!make_mask(l, &n, encoder ? "src_mask" : "tgt_mask", encoder ? "src_key_padding_mask" : "tgt_key_padding_mask",
                   &d->self.attention.mask, r)) {
        return false;
    }
    n.keys = memory->dims[1];
    if (!make_mask(l, &n, "memory_mask", "memory_key_padding_mask", &d->cross.attention.mask, r)) {
        return false;
    }
    return vka_nn_layer_find(s, VKA_NN_NAMES_TORCH, "", find_input, l, d) == VKA_OK ? check_used(l, r)
                                                                                    : fail(r, "%s", vka_last_error());
}

static void run_layer_in(layers *l, vka_nn_sequence *s, vka_nn_sequence *training, result *r) {
    vka_nn_layer_desc d = {0};
    if (!read_numbers(l->c, &d, r) || !fill_layer(l, s, &d, r) || !run_forward(l, s, &layer_kind, &d, &d.out, r) ||
        !gpu_begin_backward(l->g, l->c, r)) {
        return;
    }
    d.out = gpu_result(l->g, &l->c->outputs[0], d.x.dtype);
    d.keep = VKA_NN_KEEP_RESULTS;
    d.kept = make_kept(l, s, &layer_kind, &d);
    vka_nn_layer_backward_desc b = {.forward = d};
    b.gradients.x = gradient(l, either(l->c, "src", "tgt"));
    b.gradients.memory = gradient(l, "memory");
    b.gradients.out = gpu_input_gradient(l->g, l->c, "d_y");
    if (vka_nn_layer_backward_find(s, VKA_NN_NAMES_TORCH, "", find_gradient, l, &b) != VKA_OK) {
        fail(r, "%s", vka_last_error());
        return;
    }
    run_training(l, training, &layer_kind, &d, &b, &d.out, r);
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

static void run(gpu *g, const op_case *c, result *r,
                void (*in)(layers *l, vka_nn_sequence *s, vka_nn_sequence *training, result *r)) {
    vka_nn_sequence *s, *training = NULL;
    layers l = {.g = g, .c = c};
    if (!check_case(c, r)) {
        return;
    }
    gpu_begin(g);
    if (vka_nn_sequence_create(g->device, NULL, &s) == VKA_OK &&
        vka_nn_sequence_create(g->device, NULL, &training) == VKA_OK) {
        in(&l, s, training, r);
    } else {
        fail(r, "%s", vka_last_error());
    }
    vka_nn_sequence_destroy(&training);
    vka_nn_sequence_destroy(&s);
    gpu_end(g);
}

static void run_attention(gpu *g, const op_case *c, result *r) {
    run(g, c, r, run_attention_in);
}

static void run_layer(gpu *g, const op_case *c, result *r) {
    run(g, c, r, run_layer_in);
}

const operation group_torch_layers[] = {
    {"torch.MultiheadAttention", 0, 16, 1, {"heads", "is_causal"}, run_attention},
    {"torch.TransformerEncoderLayer", 0, 20, 1, {"heads", "norm_first", "activation", "eps", "is_causal"}, run_layer},
    {"torch.TransformerDecoderLayer", 0, 28, 1, {"heads", "norm_first", "activation", "eps", "is_causal"}, run_layer},
    {0},
};
