/* ONNX CausalConvWithState, opset 27 (onnx/defs/nn/defs.cc), as one vka_causal_conv: tensors are [batch, channels,
 * time] there. SPDX-License-Identifier: MIT */
#include <vkattn/conv.h>

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

/* ---- convolution ----------------------------------------------------------------------------------------------------
 */

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

const operation group_recurrent[] = {
    {"CausalConvWithState", 27, 4, 2, {"activation"}, run_conv},
    {0},
};
