/* ONNX CausalConvWithState and LinearAttention, opset 27 (onnx/defs/nn/defs.cc): as one vka_causal_conv, whose tensors
 * are [batch, channels, time] there, and as one vka_linear_attention, whose heads are merged there.
 * SPDX-License-Identifier: MIT */
#include <vkattn/conv.h>
#include <vkattn/linear_attention.h>

#include <string.h>

#include "conformance.h"

/* The attribute's value, or what is given for its absence. */
static const char *string_of(const op_case *c, const char *name, const char *absent) {
    for (uint32_t i = 0; i < c->attribute_count; i++) {
        if (!strcmp(c->attributes[i].name, name) && c->attributes[i].type == CASE_STRING) {
            return c->attributes[i].string;
        }
    }
    return absent;
}

static bool are_real(const op_case *c, uint32_t inputs, uint32_t outputs, result *r) {
    for (uint32_t i = 0; i < inputs; i++) {
        if (!case_is_real(&c->inputs[i], r)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < outputs; i++) {
        if (!case_is_result(&c->outputs[i], r)) {
            return false;
        }
    }
    return true;
}

/* ---- convolution ------------------------------------------------------------------------------------------------- */

static vka_tensor time_first(vka_tensor t) {
    return t.dtype ? vka_tensor_transpose(t, 1, 2) : t;
}

static bool read_activation(const op_case *c, vka_activation *activation, result *r) {
    const char *name = string_of(c, "activation", "none");
    bool is_silu = !strcmp(name, "silu") || !strcmp(name, "swish");
    *activation = is_silu ? VKA_ACTIVATION_SILU : VKA_ACTIVATION_NONE;
    return is_silu || !strcmp(name, "none") || skip(r, "activation %s", name);
}

static bool describe_conv(gpu *g, const op_case *c, vka_causal_conv_desc *d, result *r) {
    enum { INPUT, WEIGHT, BIAS, PAST, INPUTS };
    const case_tensor *in = c->inputs, *out = c->outputs;
    if (!are_real(c, INPUTS, 2, r) || !read_activation(c, &d->activation, r)) {
        return false;
    }
    if (!in[INPUT].type || !in[WEIGHT].type || !out[0].type || in[INPUT].rank != 3 || in[WEIGHT].rank != 3) {
        return fail(r, "input, weight and output are required, of three dimensions each");
    }
    const uint32_t *x = in[INPUT].dims, *w = in[WEIGHT].dims, taps = w[2];
    if (!case_has_shape(&in[WEIGHT], 3, (uint32_t[]){x[1], 1, taps}, r) || !case_has_shape(&out[0], 3, x, r) ||
        !case_has_shape(&out[1], 3, (uint32_t[]){x[0], x[1], taps - 1}, r)) {
        return false;
    }
    d->x = time_first(gpu_tensor(g, &in[INPUT]));
    d->weight = gpu_tensor(g, &in[WEIGHT]);
    d->weight = vka_tensor_2d(d->weight.buffer, d->weight.dtype, x[1], taps);
    d->bias = gpu_tensor(g, &in[BIAS]);
    d->out = time_first(gpu_result(g, &out[0], in[INPUT].type->dtype));
    if (taps > 1) { /* otherwise states have no elements */
        d->state_in = time_first(gpu_tensor(g, &in[PAST]));
        d->state_out = out[1].type ? time_first(gpu_result(g, &out[1], in[INPUT].type->dtype)) : (vka_tensor){0};
    }
    return true;
}

static void run_conv(gpu *g, const op_case *c, result *r) {
    vka_causal_conv_desc d = {0};
    gpu_begin(g);
    if (describe_conv(g, c, &d, r) && gpu_run(g, vka_causal_conv(g->recorder, &d), r)) {
        bool ok = gpu_check(g, d.out.buffer, d.out.dtype, &c->outputs[0], r);
        (void)(ok && gpu_check(g, d.state_out.buffer, d.state_out.dtype, &c->outputs[1], r));
    }
    gpu_end(g);
}

/* ---- linear attention -------------------------------------------------------------------------------------------- */

enum { QUERY, KEY, VALUE, PAST, DECAY, BETA, LINEAR_INPUTS };

static vka_tensor split_heads(vka_tensor t, uint32_t heads) {
    return vka_tensor_transpose(vka_tensor_4d(t.buffer, t.dtype, t.shape[0], t.shape[1], heads, t.shape[2] / heads), 1,
                                2);
}

static bool read_rule(const op_case *c, vka_linear_attention_rule *rule, result *r) {
    static const char *const names[] = {"", "linear", "gated", "delta", "gated_delta"};
    const char *name = string_of(c, "update_rule", "gated_delta");
    for (int i = VKA_LINEAR_ATTENTION_LINEAR; i <= VKA_LINEAR_ATTENTION_GATED_DELTA; i++) {
        if (!strcmp(name, names[i])) {
            *rule = (vka_linear_attention_rule)i;
            return true;
        }
    }
    return skip(r, "update_rule %s", name);
}

static bool check_linear(const op_case *c, int64_t q_heads, int64_t heads, result *r) {
    const case_tensor *in = c->inputs;
    if (!in[QUERY].type || !in[KEY].type || !in[VALUE].type || !c->outputs[0].type) {
        return fail(r, "query, key, value and output are required");
    }
    for (int i = 0; i < LINEAR_INPUTS; i++) {
        if (in[i].type && i != PAST && in[i].rank != 3) {
            return fail(r, "%s has %u dimensions, not 3", in[i].name, in[i].rank);
        }
    }
    const uint32_t *q = in[QUERY].dims, *k = in[KEY].dims, *v = in[VALUE].dims;
    if (q_heads < 1 || heads < 1 || q[2] % q_heads || k[2] % heads || v[2] % heads || q[2] / q_heads != k[2] / heads) {
        return fail(r, "%lld and %lld heads don't go with the shapes", (long long)q_heads, (long long)heads);
    }
    if (in[DECAY].type && in[DECAY].dims[2] % heads) {
        return fail(r, "a decay of %u numbers for %lld heads", in[DECAY].dims[2], (long long)heads);
    }
    uint32_t h = (uint32_t)heads, value_dim = v[2] / h, out[] = {q[0], q[1], (uint32_t)q_heads * value_dim};
    uint32_t state[] = {q[0], h, k[2] / h, value_dim};
    return case_has_shape(&in[PAST], 4, state, r) && case_has_shape(&c->outputs[0], 3, out, r) &&
           case_has_shape(&c->outputs[1], 4, state, r);
}

static bool describe_linear(gpu *g, const op_case *c, vka_linear_attention_desc *d, result *r) {
    const case_tensor *in = c->inputs, *out = c->outputs;
    int64_t q_heads, heads;
    if (!are_real(c, LINEAR_INPUTS, 2, r) || !read_rule(c, &d->rule, r) ||
        !case_get_int(c, "q_num_heads", 0, &q_heads, r) || !case_get_int(c, "kv_num_heads", 0, &heads, r) ||
        !case_get_float(c, "scale", 0, &d->scale, r) || !check_linear(c, q_heads, heads, r)) {
        return false;
    }
    uint32_t h = (uint32_t)heads;
    d->q = split_heads(gpu_tensor(g, &in[QUERY]), (uint32_t)q_heads);
    d->k = split_heads(gpu_tensor(g, &in[KEY]), h);
    d->v = split_heads(gpu_tensor(g, &in[VALUE]), h);
    d->out = split_heads(gpu_result(g, &out[0], in[QUERY].type->dtype), (uint32_t)q_heads);
    if (in[DECAY].type) {
        d->decay = split_heads(gpu_tensor(g, &in[DECAY]), h);
    }
    if (in[BETA].type) { /* of all heads, or of each */
        d->beta = vka_tensor_transpose(gpu_tensor(g, &in[BETA]), 1, 2);
    }
    d->state_in = gpu_floats(g, &in[PAST]);
    d->state_out = out[1].type ? gpu_result(g, &out[1], VKA_F32) : (vka_tensor){0};
    return true;
}

static void run_linear(gpu *g, const op_case *c, result *r) {
    vka_linear_attention_desc d = {0};
    gpu_begin(g);
    if (describe_linear(g, c, &d, r) && gpu_run(g, vka_linear_attention(g->recorder, &d), r)) {
        bool ok = gpu_check(g, d.out.buffer, d.out.dtype, &c->outputs[0], r);
        (void)(ok && gpu_check(g, d.state_out.buffer, VKA_F32, &c->outputs[1], r));
    }
    gpu_end(g);
}

const operation group_recurrent[] = {
    {"CausalConvWithState", 27, 4, 2, {"activation"}, run_conv},
    {"LinearAttention", 27, 6, 2, {"update_rule", "q_num_heads", "kv_num_heads", "scale", "chunk_size"}, run_linear},
    {0},
};
