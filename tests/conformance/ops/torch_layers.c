/* PyTorch's MultiheadAttention, TransformerEncoderLayer and TransformerDecoderLayer, as layers of vkattn_nn.
 * SPDX-License-Identifier: MIT */
#include <vkattn/nn.h>

#include <string.h>

#include "conformance.h"

typedef struct found {
    gpu *g;
    const op_case *c;
} found;

static bool find(void *user, const char *name, vka_tensor *t) {
    const found *f = user;
    const case_tensor *input = case_input(f->c, name);
    *t = gpu_tensor(f->g, input);
    return input->type != NULL;
}

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

/* Records what `add` adds to a sequence, and compares the output. */
static void run_sequence(gpu *g, const op_case *c, result *r, const vka_tensor *out,
                         vka_status (*add)(vka_nn_sequence *s, const void *desc), const void *desc,
                         vka_nn_sequence *s) {
    vka_status status = add(s, desc);
    if (status == VKA_OK) {
        status = vka_nn_sequence_record(g->recorder, s);
    }
    if (gpu_run(g, status, r)) {
        gpu_check(g, out->buffer, out->dtype, &c->outputs[0], r);
    }
}

/* ---- MultiheadAttention ------------------------------------------------------------------------------------------ */

static vka_status add_attention(vka_nn_sequence *s, const void *desc) {
    return vka_nn_attention(s, desc);
}

static vka_nn_linear linear_of(gpu *g, const op_case *c, const char *weight, const char *bias) {
    return (vka_nn_linear){gpu_tensor(g, case_input(c, weight)), gpu_tensor(g, case_input(c, bias))};
}

static void run_attention(gpu *g, const op_case *c, result *r) {
    vka_nn_attention_desc d = {0};
    vka_nn_sequence *s;
    int64_t heads, causal;
    if (!case_get_int(c, "heads", 0, &heads, r) || !case_get_int(c, "is_causal", 0, &causal, r)) {
        return;
    }
    gpu_begin(g);
    d.x = gpu_tensor(g, case_input(c, "x"));
    d.heads = (uint32_t)heads;
    d.qkv = linear_of(g, c, "in_proj_weight", "in_proj_bias");
    d.projection = linear_of(g, c, "out_proj.weight", "out_proj.bias");
    d.attention.causal = causal != 0;
    d.out = gpu_result(g, &c->outputs[0], d.x.dtype);
    if (vka_nn_sequence_create(g->device, NULL, &s) == VKA_OK) {
        run_sequence(g, c, r, &d.out, add_attention, &d, s);
        vka_nn_sequence_destroy(&s);
    }
    gpu_end(g);
}

/* ---- layers ------------------------------------------------------------------------------------------------------ */

static vka_status add_layer(vka_nn_sequence *s, const void *desc) {
    return vka_nn_layer(s, desc);
}

static void run_layer(gpu *g, const op_case *c, result *r) {
    const case_tensor *x = case_input(c, case_input(c, "src")->type ? "src" : "tgt");
    vka_nn_layer_desc d = {0};
    vka_nn_sequence *s;
    int64_t heads, causal, norm_first;
    float epsilon;
    if (!case_get_int(c, "heads", 0, &heads, r) || !case_get_int(c, "is_causal", 0, &causal, r) ||
        !case_get_int(c, "norm_first", 0, &norm_first, r) || !case_get_float(c, "eps", 1e-5f, &epsilon, r) ||
        !read_activation(c, &d.feed_forward.activation, r)) {
        return;
    }
    gpu_begin(g);
    d.x = gpu_tensor(g, x);
    d.memory = gpu_tensor(g, case_input(c, "memory"));
    d.self.heads = d.cross.heads = (uint32_t)heads;
    d.self.attention.causal = causal != 0;
    d.norm_first = norm_first != 0;
    d.norm_self = (vka_nn_norm){.kind = VKA_NN_NORM_LAYER, .epsilon = epsilon};
    d.norm_cross = d.norm_feed_forward = d.norm_self;
    d.out = gpu_result(g, &c->outputs[0], d.x.dtype);
    if (vka_nn_sequence_create(g->device, NULL, &s) == VKA_OK) {
        if (vka_nn_layer_find(s, VKA_NN_NAMES_TORCH, "", find, &(found){g, c}, &d) == VKA_OK) {
            run_sequence(g, c, r, &d.out, add_layer, &d, s);
        } else {
            fail(r, "%s", vka_last_error());
        }
        vka_nn_sequence_destroy(&s);
    }
    gpu_end(g);
}

const operation group_torch_layers[] = {
    {"torch.MultiheadAttention", 0, 8, 1, {"heads", "is_causal"}, run_attention},
    {"torch.TransformerEncoderLayer", 0, 16, 1, {"heads", "norm_first", "activation", "eps"}, run_layer},
    {"torch.TransformerDecoderLayer", 0, 24, 1, {"heads", "norm_first", "activation", "eps", "is_causal"}, run_layer},
    {0},
};
