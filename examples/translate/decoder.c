/* SPDX-License-Identifier: MIT */
#include "decoder.h"

#include "training/operation.h"
#include "training/trunk.h"

#include <math.h>
#include <stdio.h>
#include <vkattn/elementwise.h>

/* ---- parameters ---------------------------------------------------------------------------------------------- */

typedef struct prefix {
    char text[32];
} prefix;

static prefix prefix_of(uint32_t layer, const char *part) {
    prefix p;
    snprintf(p.text, sizeof p.text, "decoder.layers.%u.%s", (unsigned)layer % DECODER_MAX_LAYERS, part);
    return p;
}

static cross_desc cross_desc_of(const decoder_desc *d, uint32_t layer) {
    cross_desc c = {.kind = d->attention,
                    .heads = d->heads,
                    .width = d->width,
                    .batch = d->batch,
                    .queries = d->queries,
                    .keys = d->keys,
                    .lengths = d->lengths,
                    .hard = d->hard};
    snprintf(c.prefix, sizeof c.prefix, "%s", prefix_of(layer, "cross.").text);
    return c;
}

static void add_layer(parameters *p, const decoder_desc *d, uint32_t layer) {
    const uint32_t width = d->width, inner = 4 * width;
    const float deviation = 1 / sqrtf((float)width);
    const prefix whole = prefix_of(layer, "");
    const char *of = whole.text;
    trunk_add_parameter(p, of, "self_attn.in_proj_weight", 3 * width, width, 0, deviation);
    trunk_add_parameter(p, of, "self_attn.in_proj_bias", 3 * width, 0, 0, 0);
    trunk_add_parameter(p, of, "self_attn.out_proj.weight", width, width, 0, deviation);
    trunk_add_parameter(p, of, "self_attn.out_proj.bias", width, 0, 0, 0);
    trunk_add_parameter(p, of, "linear1.weight", inner, width, 0, deviation);
    trunk_add_parameter(p, of, "linear1.bias", inner, 0, 0, 0);
    trunk_add_parameter(p, of, "linear2.weight", width, inner, 0, deviation / 2);
    trunk_add_parameter(p, of, "linear2.bias", width, 0, 0, 0);
    for (int i = 1; i <= 3; i++) {
        char name[2][16];
        snprintf(name[0], sizeof name[0], "norm%d.weight", i);
        snprintf(name[1], sizeof name[1], "norm%d.bias", i);
        trunk_add_parameter(p, of, name[0], width, 0, 1, 0);
        trunk_add_parameter(p, of, name[1], width, 0, 0, 0);
    }
    const cross_desc c = cross_desc_of(d, layer);
    cross_add_parameters(p, &c);
}

void decoder_add_parameters(parameters *p, const decoder_desc *d) {
    if (d->layers > DECODER_MAX_LAYERS) {
        fail("a decoder has at most %d layers", DECODER_MAX_LAYERS);
    }
    for (uint32_t i = 0; i < d->layers; i++) {
        add_layer(p, d, i);
    }
}

/* A parameter of a layer, or its gradient. */
static vka_tensor named(const decoder *d, const decoder_layer *l, const char *name, bool gradient) {
    char whole[64];
    snprintf(whole, sizeof whole, "%s%s", l->prefix, name);
    return gradient ? parameters_gradient(d->parameters, whole) : parameters_value(d->parameters, whole);
}

static vka_nn_linear linear_of(const decoder *d, const decoder_layer *l, const char *weight, const char *bias,
                               bool gradient) {
    return (vka_nn_linear){named(d, l, weight, gradient), named(d, l, bias, gradient)};
}

static vka_nn_norm norm_of(const decoder *d, const decoder_layer *l, int which, bool gradient) {
    static const char *const names[][2] = {
        {"norm1.weight", "norm1.bias"}, {"norm2.weight", "norm2.bias"}, {"norm3.weight", "norm3.bias"}};
    return (vka_nn_norm){.kind = VKA_NN_NORM_LAYER,
                         .weight = named(d, l, names[which - 1][0], gradient),
                         .bias = named(d, l, names[which - 1][1], gradient)};
}

/* ---- tensors ------------------------------------------------------------------------------------------------- */

static vka_tensor take(decoder *d) {
    return pool_take(d->tensors, VKA_MEMORY_DEVICE, VKA_F32, 3,
                     (uint32_t[]){d->desc.batch, d->desc.queries, d->desc.width});
}

static vka_tensor take_cache(decoder *d) {
    const decoder_desc *desc = &d->desc;
    return pool_take(d->tensors, VKA_MEMORY_DEVICE, VKA_F32, 4,
                     (uint32_t[]){desc->batch, desc->heads, desc->queries, desc->width / desc->heads});
}

static void create_layer(decoder *d, uint32_t layer) {
    decoder_layer *l = &d->layers[layer];
    vka_tensor *const tensors[] = {&l->self_sum, &l->self_out, &l->cross_sum, &l->cross_out, &l->feed_sum, &l->out};
    const cross_desc c = cross_desc_of(&d->desc, layer);
    snprintf(l->prefix, sizeof l->prefix, "%s", prefix_of(layer, "").text);
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        *tensors[i] = take(d);
    }
    l->k_cache = take_cache(d);
    l->v_cache = take_cache(d);
    cross_create(&l->cross, d->tensors, d->parameters, &c);
}

void decoder_create(decoder *d, pool *tensors, const parameters *p, const decoder_desc *desc) {
    *d = (decoder){.desc = *desc, .tensors = tensors, .parameters = p};
    d->input = take(d);
    d->gradient = take(d);
    d->d_part = take(d);
    for (uint32_t i = 0; i < desc->layers; i++) {
        create_layer(d, i);
    }
}

/* A tensor of [batch, queries, width], of which there are fewer rows. */
static vka_tensor first_rows(vka_tensor t, uint32_t rows) {
    t.shape[1] = rows;
    return t;
}

/* ---- forward ------------------------------------------------------------------------------------------------- */

/* Weights of parts, or their gradients. */
static vka_nn_attention_desc self_of(const decoder *d, const decoder_layer *l, bool gradient) {
    return (vka_nn_attention_desc){
        .heads = d->desc.heads,
        .qkv = linear_of(d, l, "self_attn.in_proj_weight", "self_attn.in_proj_bias", gradient),
        .projection = linear_of(d, l, "self_attn.out_proj.weight", "self_attn.out_proj.bias", gradient),
        .attention.causal = true};
}

static vka_nn_feed_forward_desc feed_forward_of(const decoder *d, const decoder_layer *l, bool gradient) {
    return (vka_nn_feed_forward_desc){.up = linear_of(d, l, "linear1.weight", "linear1.bias", gradient),
                                      .down = linear_of(d, l, "linear2.weight", "linear2.bias", gradient),
                                      .activation = VKA_ACTIVATION_RELU};
}

/* Memory for what a part keeps, of a size that is known by now. */
static vka_workspace keep(decoder *d, uint64_t bytes) {
    const uint32_t words = (uint32_t)((bytes + 3) / 4);
    return (vka_workspace){.buffer = pool_take(d->tensors, VKA_MEMORY_DEVICE, VKA_I32, 1, &words).buffer};
}

static void add_self(decoder *d, vka_nn_sequence *s, decoder_layer *l, vka_tensor x, const decoder_pass *pass) {
    vka_nn_attention_desc a = self_of(d, l, false);
    a.x = a.residual = x;
    a.out = first_rows(l->self_sum, x.shape[1]);
    if (pass->lengths.dtype) {
        a.k_cache = l->k_cache;
        a.v_cache = l->v_cache;
        a.lengths = pass->lengths;
        a.new_lengths = pass->new_lengths;
    }
    if (pass->trains) {
        uint64_t bytes;
        a.keep = VKA_NN_KEEP_RESULTS;
        check(vka_nn_attention_kept_bytes(s, &a, &bytes));
        a.kept = keep(d, bytes);
        l->self = a;
    }
    check(vka_nn_attention(s, &a));
}

static void add_feed_forward(decoder *d, vka_nn_sequence *s, decoder_layer *l, vka_tensor x, const decoder_pass *pass) {
    vka_nn_feed_forward_desc f = feed_forward_of(d, l, false);
    f.x = f.residual = x;
    f.out = first_rows(l->feed_sum, x.shape[1]);
    if (pass->trains) {
        uint64_t bytes;
        f.keep = VKA_NN_KEEP_RESULTS;
        check(vka_nn_feed_forward_kept_bytes(s, &f, &bytes));
        f.kept = keep(d, bytes);
        l->feed_forward = f;
    }
    check(vka_nn_feed_forward(s, &f));
}

static void add_norm(const decoder *d, vka_nn_sequence *s, const decoder_layer *l, int which, vka_tensor x,
                     vka_tensor out) {
    const vka_nn_norm norm = norm_of(d, l, which, false);
    check(vka_nn_normalise(s, &norm, &x, &out));
}

/* Returns what the layer gives. */
static vka_tensor add_layer_pass(decoder *d, vka_nn_sequence *s, uint32_t layer, vka_tensor x, vka_tensor memory,
                                 const decoder_pass *pass) {
    decoder_layer *l = &d->layers[layer];
    const uint32_t rows = x.shape[1];
    const vka_tensor self_out = first_rows(l->self_out, rows), cross_sum = first_rows(l->cross_sum, rows);
    const vka_tensor cross_out = first_rows(l->cross_out, rows), out = first_rows(l->out, rows);
    add_self(d, s, l, x, pass);
    add_norm(d, s, l, 1, first_rows(l->self_sum, rows), self_out);
    cross_add(&l->cross, s, self_out, memory, cross_sum);
    if (pass->alignment.dtype) {
        vka_tensor alignment = pass->alignment;
        alignment.offset += layer * pass->alignment_bytes;
        cross_add_alignment(&l->cross, s, self_out, pass->ones, alignment);
    }
    add_norm(d, s, l, 2, cross_sum, cross_out);
    add_feed_forward(d, s, l, cross_out, pass);
    add_norm(d, s, l, 3, first_rows(l->feed_sum, rows), out);
    return out;
}

void decoder_add_memory(const decoder *d, vka_nn_sequence *s, vka_tensor memory) {
    for (uint32_t i = 0; i < d->desc.layers; i++) {
        cross_add_memory(&d->layers[i].cross, s, memory);
    }
}

vka_tensor decoder_add(decoder *d, vka_nn_sequence *s, uint32_t rows, vka_tensor memory, const decoder_pass *pass) {
    vka_tensor x = first_rows(d->input, rows);
    for (uint32_t i = 0; i < d->desc.layers; i++) {
        x = add_layer_pass(d, s, i, x, memory, pass);
    }
    return x;
}

/* ---- backward ------------------------------------------------------------------------------------------------ */

static void add_norm_backward(const decoder *d, vka_nn_sequence *s, const decoder_layer *l, int which, vka_tensor x) {
    const vka_nn_normalise_backward_desc b = {.norm = norm_of(d, l, which, false),
                                              .gradient = norm_of(d, l, which, true),
                                              .x = x,
                                              .d_out = d->gradient,
                                              .d_x = d->gradient};
    check(vka_nn_normalise_backward(s, &b));
}

/* What came through a part joins what came around it. */
static void add_part(const decoder *d, vka_nn_sequence *s) {
    ADD(s, COMBINE, (vka_combine_desc){.a = d->gradient, .b = d->d_part, .out = d->gradient, .kind = VKA_COMBINE_ADD});
}

static void add_self_backward(const decoder *d, vka_nn_sequence *s, const decoder_layer *l) {
    vka_nn_attention_backward_desc b = {.forward = l->self, .gradients = self_of(d, l, true)};
    b.gradients.out = d->gradient;
    b.gradients.x = d->d_part;
    check(vka_nn_attention_backward(s, &b));
    add_part(d, s);
}

static void add_feed_forward_backward(const decoder *d, vka_nn_sequence *s, const decoder_layer *l) {
    vka_nn_feed_forward_backward_desc b = {.forward = l->feed_forward, .gradients = feed_forward_of(d, l, true)};
    b.gradients.out = d->gradient;
    b.gradients.x = d->d_part;
    check(vka_nn_feed_forward_backward(s, &b));
    add_part(d, s);
}

void decoder_add_backward(const decoder *d, vka_nn_sequence *s, vka_tensor memory, vka_tensor d_memory) {
    for (uint32_t i = d->desc.layers; i-- > 0;) {
        const decoder_layer *l = &d->layers[i];
        add_norm_backward(d, s, l, 3, l->feed_sum);
        add_feed_forward_backward(d, s, l);
        add_norm_backward(d, s, l, 2, l->cross_sum);
        cross_add_backward(&l->cross, s, l->self_out, memory, d->gradient, d->d_part, d_memory, i + 1 < d->desc.layers);
        add_part(d, s);
        add_norm_backward(d, s, l, 1, l->self_sum);
        add_self_backward(d, s, l);
    }
}
