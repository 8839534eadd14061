/* SPDX-License-Identifier: MIT */
#include "cross.h"

#include "training/operation.h"

#include <math.h>
#include <stdio.h>
#include <vkattn/additive_attention.h>
#include <vkattn/elementwise.h>

/* What a kind projects before it attends. */
static bool has_query(cross_kind kind) {
    return kind != CROSS_LUONG;
}

static bool has_value(cross_kind kind) {
    return kind == CROSS_DOT;
}

uint32_t cross_heads(const cross_desc *d) {
    return d->kind == CROSS_DOT ? d->heads : 1;
}

/* ---- parameters ---------------------------------------------------------------------------------------------- */

typedef struct whole_name {
    char text[64];
} whole_name;

static whole_name name_of(const cross_desc *d, const char *name, const char *end) {
    whole_name n;
    snprintf(n.text, sizeof n.text, "%s%s%s", d->prefix, name, end);
    return n;
}

static vka_tensor value(const cross *c, const char *name) {
    return parameters_value(c->parameters, name_of(&c->desc, name, "").text);
}

static vka_tensor gradient(const cross *c, const char *name) {
    return parameters_gradient(c->parameters, name_of(&c->desc, name, "").text);
}

static void add_linear(parameters *p, const cross_desc *d, const char *name, float deviation, bool has_bias) {
    const uint32_t shape[] = {d->width, d->width};
    parameters_add(p, name_of(d, name, ".weight").text, 2, shape, 0, deviation);
    if (has_bias) {
        parameters_add(p, name_of(d, name, ".bias").text, 1, shape, 0, 0);
    }
}

/* What is projected is as large as before; but scores that nothing divides begin small by small weights. */
void cross_add_parameters(parameters *p, const cross_desc *d) {
    const float usual = 1 / sqrtf((float)d->width);
    if (has_query(d->kind)) {
        add_linear(p, d, "q_proj", usual, true);
    }
    /* Without a bias: it would add the same to all scores, or is the query's. */
    add_linear(p, d, "k_proj", d->kind == CROSS_LUONG ? 1 / (float)d->width : usual, false);
    if (has_value(d->kind)) {
        add_linear(p, d, "v_proj", usual, true);
    }
    if (d->kind == CROSS_ADDITIVE) {
        parameters_add(p, name_of(d, "score", "").text, 2, (uint32_t[]){1, d->width}, 0, usual);
    }
    add_linear(p, d, "out_proj", usual, true);
}

/* ---- tensors ------------------------------------------------------------------------------------------------- */

void cross_create(cross *c, pool *tensors, const parameters *p, const cross_desc *d) {
    const uint32_t rows[] = {d->batch, d->queries, d->width}, memory[] = {d->batch, d->keys, d->width};
    *c = (cross){.desc = *d, .parameters = p};
    vka_tensor *const of_queries[] = {&c->q, &c->merged, &c->d_q, &c->d_merged};
    vka_tensor *const of_keys[] = {&c->k, &c->v, &c->d_k, &c->d_v, &c->d_memory};
    for (size_t i = 0; i < sizeof of_queries / sizeof *of_queries; i++) {
        *of_queries[i] = pool_take(tensors, VKA_MEMORY_DEVICE, VKA_F32, 3, rows);
    }
    for (size_t i = 0; i < sizeof of_keys / sizeof *of_keys; i++) {
        *of_keys[i] = pool_take(tensors, VKA_MEMORY_DEVICE, VKA_F32, 3, memory);
    }
    c->lse = pool_take(tensors, VKA_MEMORY_DEVICE, VKA_F32, 3, (uint32_t[]){d->batch, cross_heads(d), d->queries});
}

/* As many rows as h has, of a tensor with room for more. */
static vka_tensor rows_of(vka_tensor t, vka_tensor h) {
    t.shape[1] = h.shape[1];
    return t;
}

static vka_tensor lse_of(const cross *c, vka_tensor h) {
    vka_tensor t = c->lse;
    t.shape[2] = h.shape[1];
    return t;
}

/* [B, N, E] as [B, heads, N, E / heads]. */
static vka_tensor heads_of(const cross *c, vka_tensor t) {
    const uint32_t heads = cross_heads(&c->desc), n = t.shape[1], width = t.shape[2], dim = width / heads;
    vka_tensor h = vka_tensor_4d(t.buffer, t.dtype, t.shape[0], heads, n, dim);
    const uint64_t strides[] = {(uint64_t)n * width, dim, width, 1};
    for (int i = 0; i < 4; i++) {
        h.stride[i] = strides[i];
    }
    return h;
}

static vka_tensor queries_of(const cross *c, vka_tensor h) {
    return has_query(c->desc.kind) ? rows_of(c->q, h) : h;
}

static vka_tensor values_of(const cross *c, vka_tensor memory) {
    return has_value(c->desc.kind) ? c->v : memory;
}

/* ---- forward ------------------------------------------------------------------------------------------------- */

static void add_projection(const cross *c, vka_nn_sequence *s, vka_tensor x, const char *weight, const char *bias,
                           vka_tensor residual, vka_tensor out) {
    ADD(s, LINEAR,
        (vka_linear_desc){.x = x,
                          .weight = value(c, weight),
                          .bias = bias ? value(c, bias) : (vka_tensor){0},
                          .residual = residual,
                          .out = out});
}

void cross_add_memory(const cross *c, vka_nn_sequence *s, vka_tensor memory) {
    add_projection(c, s, memory, "k_proj.weight", NULL, (vka_tensor){0}, c->k);
    if (has_value(c->desc.kind)) {
        add_projection(c, s, memory, "v_proj.weight", "v_proj.bias", (vka_tensor){0}, c->v);
    }
}

static vka_additive_attention_desc additive_of(const cross *c, vka_tensor h, vka_tensor values, vka_tensor out) {
    return (vka_additive_attention_desc){.q = heads_of(c, queries_of(c, h)),
                                         .k = heads_of(c, c->k),
                                         .v = values,
                                         .score_vector = value(c, "score"),
                                         .out = out,
                                         .lse = lse_of(c, h),
                                         .kv_lengths.tensor = c->desc.lengths};
}

static vka_attention_desc attention_of(const cross *c, vka_tensor h, vka_tensor values, vka_tensor out) {
    return (vka_attention_desc){.q = heads_of(c, queries_of(c, h)),
                                .k = heads_of(c, c->k),
                                .v = values,
                                .out = out,
                                .lse = lse_of(c, h),
                                .scale = c->desc.kind == CROSS_DOT ? 0.0f : 1.0f,
                                .kv_lengths.tensor = c->desc.lengths,
                                .selection = c->desc.hard ? VKA_SELECTION_ARGMAX : VKA_SELECTION_SOFTMAX};
}

static void add_attention(const cross *c, vka_nn_sequence *s, vka_tensor h, vka_tensor values, vka_tensor out) {
    if (c->desc.kind == CROSS_ADDITIVE) {
        const vka_additive_attention_desc additive = additive_of(c, h, values, out);
        ADD(s, ADDITIVE_ATTENTION, additive);
    } else {
        const vka_attention_desc attention = attention_of(c, h, values, out);
        ADD(s, ATTENTION, attention);
    }
}

void cross_add(const cross *c, vka_nn_sequence *s, vka_tensor h, vka_tensor memory, vka_tensor out) {
    const vka_tensor merged = rows_of(c->merged, h);
    if (has_query(c->desc.kind)) {
        add_projection(c, s, h, "q_proj.weight", "q_proj.bias", (vka_tensor){0}, queries_of(c, h));
    }
    add_attention(c, s, h, heads_of(c, values_of(c, memory)), heads_of(c, merged));
    add_projection(c, s, merged, "out_proj.weight", "out_proj.bias", h, out);
}

void cross_add_alignment(const cross *c, vka_nn_sequence *s, vka_tensor h, vka_tensor ones, vka_tensor alignment) {
    add_attention(c, s, h, ones, alignment);
}

/* ---- backward ------------------------------------------------------------------------------------------------ */

/* Of what add_projection made of x; d_x may be absent. */
static void add_projection_backward(const cross *c, vka_nn_sequence *s, vka_tensor x, const char *weight,
                                    const char *bias, vka_tensor d_out, vka_tensor d_x) {
    ADD(s, LINEAR_BACKWARD,
        (vka_linear_backward_desc){.x = x,
                                   .weight = value(c, weight),
                                   .d_out = d_out,
                                   .d_x = d_x,
                                   .d_weight = gradient(c, weight),
                                   .d_bias = bias ? gradient(c, bias) : (vka_tensor){0}});
}

static void add_sum(vka_nn_sequence *s, vka_tensor to, vka_tensor from) {
    ADD(s, COMBINE, (vka_combine_desc){.a = to, .b = from, .out = to, .kind = VKA_COMBINE_ADD});
}

/* From d_merged to the gradients of what it was given. */
static void add_attention_backward(const cross *c, vka_nn_sequence *s, vka_tensor h, vka_tensor memory, vka_tensor d_q,
                                   vka_tensor d_v) {
    const vka_tensor values = heads_of(c, values_of(c, memory)), out = heads_of(c, c->merged);
    if (c->desc.kind == CROSS_ADDITIVE) {
        const vka_additive_attention_desc forward = additive_of(c, h, values, out);
        ADD(s, ADDITIVE_ATTENTION_BACKWARD,
            (vka_additive_attention_backward_desc){.q = forward.q,
                                                   .k = forward.k,
                                                   .v = forward.v,
                                                   .score_vector = forward.score_vector,
                                                   .out = forward.out,
                                                   .lse = forward.lse,
                                                   .kv_lengths = forward.kv_lengths,
                                                   .d_out = heads_of(c, c->d_merged),
                                                   .d_q = heads_of(c, d_q),
                                                   .d_k = heads_of(c, c->d_k),
                                                   .d_v = heads_of(c, d_v),
                                                   .d_score_vector = gradient(c, "score")});
    } else {
        ADD(s, ATTENTION_BACKWARD,
            (vka_attention_backward_desc){.forward = attention_of(c, h, values, out),
                                          .d_out = heads_of(c, c->d_merged),
                                          .d_q = heads_of(c, d_q),
                                          .d_k = heads_of(c, c->d_k),
                                          .d_v = heads_of(c, d_v)});
    }
}

void cross_add_backward(const cross *c, vka_nn_sequence *s, vka_tensor h, vka_tensor memory, vka_tensor d_out,
                        vka_tensor d_h, vka_tensor d_memory, bool add_memory) {
    const cross_kind kind = c->desc.kind;
    const vka_tensor first = add_memory ? c->d_memory : d_memory;
    add_projection_backward(c, s, c->merged, "out_proj.weight", "out_proj.bias", d_out, c->d_merged);
    add_attention_backward(c, s, h, memory, has_query(kind) ? c->d_q : d_h, has_value(kind) ? c->d_v : first);
    if (has_query(kind)) {
        add_projection_backward(c, s, h, "q_proj.weight", "q_proj.bias", c->d_q, d_h);
    }
    if (has_value(kind)) {
        add_projection_backward(c, s, memory, "v_proj.weight", "v_proj.bias", c->d_v, first);
    }
    if (add_memory) {
        add_sum(s, d_memory, first);
    }
    add_projection_backward(c, s, memory, "k_proj.weight", NULL, c->d_k, c->d_memory);
    add_sum(s, d_memory, c->d_memory);
}
