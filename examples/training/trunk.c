/* SPDX-License-Identifier: MIT */
#include "trunk.h"

#include "common/program.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* ---- parameters ---------------------------------------------------------------------------------------------- */

trunk_text trunk_name(const trunk_desc *d, const char *what) {
    trunk_text n;
    if (snprintf(n.text, sizeof n.text, "%s%s", d->prefix ? d->prefix : "", what) >= (int)sizeof n.text) {
        fail("%s%s: the name is too long", d->prefix, what);
    }
    return n;
}

static trunk_text prefix_of(const trunk_desc *d, uint32_t layer) {
    char text[24];
    snprintf(text, sizeof text, "layers.%" PRIu32 ".", layer);
    return trunk_name(d, text);
}

vka_tensor trunk_value(const trunk *t, const char *what) {
    return parameters_value(t->parameters, trunk_name(&t->desc, what).text);
}

vka_tensor trunk_value_gradient(const trunk *t, const char *what) {
    return parameters_gradient(t->parameters, trunk_name(&t->desc, what).text);
}

void trunk_add_parameter(parameters *p, const char *of, const char *name, uint32_t n0, uint32_t n1, float mean,
                         float deviation) {
    char whole[64];
    if (snprintf(whole, sizeof whole, "%s%s", of, name) >= (int)sizeof whole) {
        fail("%s%s: the name is too long", of, name);
    }
    parameters_add(p, whole, n1 ? 2 : 1, (uint32_t[]){n0, n1}, mean, deviation);
}

float trunk_deviation(const trunk_desc *d) {
    return 0.02f * sqrtf(768.0f / (float)d->width);
}

/* What is added to the residuals is less than other weights, for there are many. */
static void add_layer(parameters *p, const trunk_desc *d, const char *of) {
    const uint32_t width = d->width, inner = 4 * width;
    const float deviation = trunk_deviation(d), residual = deviation / sqrtf(2.0f * (float)d->layers);
    trunk_add_parameter(p, of, "norm1.weight", width, 0, 1, 0);
    trunk_add_parameter(p, of, "norm1.bias", width, 0, 0, 0);
    trunk_add_parameter(p, of, "self_attn.in_proj_weight", 3 * width, width, 0, deviation);
    trunk_add_parameter(p, of, "self_attn.in_proj_bias", 3 * width, 0, 0, 0);
    trunk_add_parameter(p, of, "self_attn.out_proj.weight", width, width, 0, residual);
    trunk_add_parameter(p, of, "self_attn.out_proj.bias", width, 0, 0, 0);
    trunk_add_parameter(p, of, "norm2.weight", width, 0, 1, 0);
    trunk_add_parameter(p, of, "norm2.bias", width, 0, 0, 0);
    trunk_add_parameter(p, of, "linear1.weight", inner, width, 0, deviation);
    trunk_add_parameter(p, of, "linear1.bias", inner, 0, 0, 0);
    trunk_add_parameter(p, of, "linear2.weight", width, inner, 0, residual);
    trunk_add_parameter(p, of, "linear2.bias", width, 0, 0, 0);
}

void trunk_add_parameters(parameters *p, const trunk_desc *d) {
    if (!d->batch || !d->context || !d->layers || d->layers > TRUNK_MAX_LAYERS || !d->heads || !d->width ||
        d->width > TRUNK_MAX_WIDTH || d->width % d->heads) {
        fail("a model needs 1 .. %d layers, tokens, and a width up to %d that is a multiple of its heads",
             TRUNK_MAX_LAYERS, TRUNK_MAX_WIDTH);
    }
    for (uint32_t i = 0; i < d->layers; i++) {
        add_layer(p, d, prefix_of(d, i).text);
    }
    if (d->classes) {
        const char *of = d->prefix ? d->prefix : "";
        trunk_add_parameter(p, of, "norm.weight", d->width, 0, 1, 0);
        trunk_add_parameter(p, of, "norm.bias", d->width, 0, 0, 0);
        trunk_add_parameter(p, of, "head.weight", d->classes, d->width, 0, trunk_deviation(d));
    }
}

/* ---- buffers ------------------------------------------------------------------------------------------------- */

void trunk_create(trunk *t, vka_device *device, parameters *p, const trunk_desc *desc) {
    const uint64_t bytes = sizeof(float) * desc->batch * desc->context * (uint64_t)desc->width;
    *t = (trunk){.desc = *desc, .device = device, .parameters = p};
    for (uint32_t i = 0; i <= desc->layers; i++) {
        t->activations[i] = create_buffer(device, bytes, VKA_MEMORY_DEVICE);
    }
    t->gradient = create_buffer(device, bytes, VKA_MEMORY_DEVICE);
}

void trunk_destroy(trunk *t) {
    for (uint32_t i = 0; i <= t->desc.layers; i++) {
        vka_buffer_destroy(&t->activations[i]);
    }
    for (uint32_t i = 0; i < t->desc.layers; i++) {
        vka_buffer_destroy(&t->kept[i]);
    }
    vka_buffer_destroy(&t->gradient);
}

static vka_tensor vectors(const trunk *t, vka_buffer *buffer) {
    return vka_tensor_3d(buffer, VKA_F32, t->desc.batch, t->desc.context, t->desc.width);
}

vka_tensor trunk_input(const trunk *t) {
    return vectors(t, t->activations[0]);
}

vka_tensor trunk_gradient(const trunk *t) {
    return vectors(t, t->gradient);
}

vka_tensor trunk_first(const trunk *t, vka_tensor vectors) {
    vka_tensor first = vka_tensor_2d(vectors.buffer, VKA_F32, t->desc.batch, t->desc.width);
    first.offset = vectors.offset;
    first.stride[0] = (uint64_t)t->desc.context * t->desc.width;
    first.stride[1] = 1;
    return first;
}

/* ---- layers -------------------------------------------------------------------------------------------------- */

vka_nn_layer_desc trunk_layer(const trunk *t, vka_nn_sequence *s, uint32_t layer, vka_tensor x, vka_tensor out) {
    vka_nn_layer_desc d = {.x = x,
                           .out = out,
                           .norm_first = !t->desc.norm_last,
                           .norm_self.kind = VKA_NN_NORM_LAYER,
                           .norm_feed_forward.kind = VKA_NN_NORM_LAYER,
                           .self = {.heads = t->desc.heads, .attention.causal = t->desc.causal},
                           .feed_forward.activation = t->desc.norm_last ? VKA_ACTIVATION_RELU : VKA_ACTIVATION_GELU};
    d.self.attention.kv_lengths.tensor = t->desc.lengths;
    check(vka_nn_layer_find(s, VKA_NN_NAMES_TORCH, prefix_of(&t->desc, layer).text, parameters_find_value,
                            t->parameters, &d));
    return d;
}

vka_tensor trunk_add_layers(trunk *t, vka_nn_sequence *s, bool trains) {
    for (uint32_t i = 0; i < t->desc.layers; i++) {
        vka_tensor x = vectors(t, t->activations[trains ? i : 0]), out = vectors(t, t->activations[trains ? i + 1 : 0]);
        vka_nn_layer_desc d = trunk_layer(t, s, i, x, out);
        if (trains) {
            uint64_t bytes;
            d.keep = VKA_NN_KEEP_RESULTS;
            check(vka_nn_layer_kept_bytes(s, &d, &bytes));
            check(vka_buffer_create(t->device, &(vka_buffer_desc){.size = bytes}, &t->kept[i]));
            d.kept.buffer = t->kept[i];
            t->layers[i] = d;
        }
        check(vka_nn_layer(s, &d));
    }
    return vectors(t, t->activations[trains ? t->desc.layers : 0]);
}

/* One tensor has the gradients of all layers' inputs one after the other. */
void trunk_add_layers_backward(const trunk *t, vka_nn_sequence *s, vka_tensor d_out) {
    for (uint32_t i = t->desc.layers; i-- > 0; d_out = trunk_gradient(t)) {
        vka_nn_layer_backward_desc d = {.forward = t->layers[i], .gradients = {.out = d_out, .x = trunk_gradient(t)}};
        check(vka_nn_layer_backward_find(s, VKA_NN_NAMES_TORCH, prefix_of(&t->desc, i).text, parameters_find_gradient,
                                         t->parameters, &d));
        check(vka_nn_layer_backward(s, &d));
    }
}

/* ---- head ---------------------------------------------------------------------------------------------------- */

static vka_nn_norm last_norm(const trunk *t) {
    return (vka_nn_norm){
        .kind = VKA_NN_NORM_LAYER, .weight = trunk_value(t, "norm.weight"), .bias = trunk_value(t, "norm.bias")};
}

void trunk_add_head(const trunk *t, vka_nn_sequence *s, vka_tensor x, vka_tensor normed, vka_tensor logits) {
    const vka_nn_norm norm = last_norm(t);
    const vka_linear_desc linear = {.x = normed, .weight = trunk_value(t, "head.weight"), .out = logits};
    check(vka_nn_normalise(s, &norm, &x, &normed));
    check(vka_nn_operation(s, VKA_OPERATION_LINEAR, &linear, sizeof linear));
}

void trunk_add_head_backward(const trunk *t, vka_nn_sequence *s, vka_tensor x, vka_tensor normed, vka_tensor d_logits,
                             vka_tensor d_normed, vka_tensor d_x) {
    const vka_linear_backward_desc linear = {.x = normed,
                                             .weight = trunk_value(t, "head.weight"),
                                             .d_out = d_logits,
                                             .d_x = d_normed,
                                             .d_weight = trunk_value_gradient(t, "head.weight")};
    const vka_nn_normalise_backward_desc norm = {
        .norm = last_norm(t),
        .gradient = {.weight = trunk_value_gradient(t, "norm.weight"), .bias = trunk_value_gradient(t, "norm.bias")},
        .x = x,
        .d_out = d_normed,
        .d_x = d_x};
    check(vka_nn_operation(s, VKA_OPERATION_LINEAR_BACKWARD, &linear, sizeof linear));
    check(vka_nn_normalise_backward(s, &norm));
}
