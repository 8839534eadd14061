/* PyTorch's scaled_dot_product_attention, with what FlexAttention and Hugging Face's models add to it (softcap, window,
 * sinks), as one vka_attention, and its gradients. Causal: the last query sees the last key.
 * SPDX-License-Identifier: MIT */
#include <vkattn/attention.h>

#include <stdio.h>
#include <string.h>

#include "conformance.h"

/* Inputs have names: which there are differs from case to case. */
static const char *const known_inputs[] = {"q", "k", "v", "bias", "mask", "sinks"};

static bool check_inputs(const op_case *c, result *r) {
    for (uint32_t i = 0; i < CASE_MAX_COUNT; i++) {
        bool known = !c->inputs[i].type;
        for (uint32_t n = 0; n < sizeof known_inputs / sizeof *known_inputs; n++) {
            known = known || strcmp(c->inputs[i].name, known_inputs[n]) == 0;
        }
        if (!known) {
            return skip(r, "input %s", c->inputs[i].name);
        }
        if (strcmp(c->inputs[i].name, "mask") != 0 && !case_is_real(&c->inputs[i], r)) {
            return false;
        }
    }
    return true;
}

static bool check_shapes(const op_case *c, result *r) {
    const case_tensor *q = case_input(c, "q"), *k = case_input(c, "k"), *v = case_input(c, "v"), *y = &c->outputs[0];
    if (q->rank != 4 || k->rank != 4 || v->rank != 4 || !y->type) {
        return fail(r, "q, k, v and y are required, the inputs with four dimensions");
    }
    uint32_t out[] = {q->dims[0], q->dims[1], q->dims[2], v->dims[3]};
    return case_has_shape(y, 4, out, r) && case_is_result(y, r);
}

static bool read_numbers(const op_case *c, vka_attention_desc *d, result *r) {
    int64_t causal, left, right;
    if (!case_get_float(c, "scale", 0, &d->scale, r) || !case_get_float(c, "softcap", 0, &d->softcap, r) ||
        !case_get_int(c, "is_causal", 0, &causal, r) || !case_get_int(c, "window_left", VKA_UNBOUNDED, &left, r) ||
        !case_get_int(c, "window_right", VKA_UNBOUNDED, &right, r)) {
        return false;
    }
    d->causal = causal != 0;
    d->window = (vka_window){.enabled = case_has_attribute(c, "window_left") || case_has_attribute(c, "window_right"),
                             .left = (int32_t)left,
                             .right = (int32_t)right};
    return true;
}

/* Of the shape that their tensors have; "bias" is a mask. */
static bool check_gradients(const op_case *c, result *r) {
    const case_tensor *y = &c->outputs[0];
    bool ok = case_has_shape(case_input_gradient(c, "d_y"), y->rank, y->dims, r);
    for (uint32_t n = 0; n < sizeof known_inputs / sizeof *known_inputs && ok; n++) {
        char name[16];
        snprintf(name, sizeof name, "d_%s", known_inputs[n]);
        const case_tensor *t = case_input(c, known_inputs[n]);
        ok = case_has_shape(case_output_gradient(c, name), t->rank, t->dims, r);
    }
    return ok;
}

static void run_backward(gpu *g, const op_case *c, const vka_attention_desc *forward, result *r) {
    vka_attention_backward_desc b = {.forward = *forward,
                                     .d_out = gpu_input_gradient(g, c, "d_y"),
                                     .d_q = gpu_output_gradient(g, c, "d_q", forward->q.dtype),
                                     .d_k = gpu_output_gradient(g, c, "d_k", forward->k.dtype),
                                     .d_v = gpu_output_gradient(g, c, "d_v", forward->v.dtype),
                                     .d_mask = gpu_output_gradient(g, c, "d_bias", forward->mask.dtype),
                                     .d_sinks = gpu_output_gradient(g, c, "d_sinks", VKA_F32)};
    /* A sink's gradient is a sum of nothing but deltas, which are as exact as the output's type. */
    if (b.d_sinks.buffer) {
        b.forward.out = gpu_result(g, &c->outputs[0], VKA_F32);
        vka_status status = vka_attention(g->recorder, &b.forward);
        g->status = g->status == VKA_OK ? status : g->status;
    }
    if (gpu_run(g, vka_attention_backward(g->recorder, &b), r) && gpu_check_gradient(g, c, "d_q", &b.d_q, r) &&
        gpu_check_gradient(g, c, "d_k", &b.d_k, r) && gpu_check_gradient(g, c, "d_v", &b.d_v, r) &&
        gpu_check_gradient(g, c, "d_bias", &b.d_mask, r)) {
        gpu_check_gradient(g, c, "d_sinks", &b.d_sinks, r);
    }
}

static void run(gpu *g, const op_case *c, result *r) {
    const case_tensor *q = case_input(c, "q"), *bias = case_input(c, "bias"), *want = c->outputs;
    vka_attention_desc d = {0};
    if (!check_inputs(c, r) || !check_shapes(c, r) || !read_numbers(c, &d, r)) {
        return;
    }
    gpu_begin(g);
    d.q = gpu_tensor(g, q);
    d.k = gpu_tensor(g, case_input(c, "k"));
    d.v = gpu_tensor(g, case_input(c, "v"));
    d.mask = gpu_tensor(g, bias->type ? bias : case_input(c, "mask"));
    d.sinks = gpu_floats(g, case_input(c, "sinks"));
    d.out = gpu_result(g, want, q->type->dtype);
    uint32_t rows = want->dims[0] * want->dims[1] * want->dims[2];
    d.lse = vka_tensor_3d(gpu_output(g, rows * sizeof(float)), VKA_F32, want->dims[0], want->dims[1], want->dims[2]);
    if (gpu_run(g, vka_attention(g->recorder, &d), r) && gpu_check(g, d.out.buffer, d.out.dtype, want, r) &&
        check_gradients(c, r) && gpu_begin_backward(g, c, r)) {
        run_backward(g, c, &d, r);
    }
    gpu_end(g);
}

const operation group_torch_attention[] = {
    {"torch.attention", 0, 4, 1, {"is_causal", "scale", "softcap", "window_left", "window_right"}, run},
    {0},
};
