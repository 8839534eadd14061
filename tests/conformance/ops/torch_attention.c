/* PyTorch's scaled_dot_product_attention, with what FlexAttention and Hugging Face's models add to it (softcap, window,
 * sinks), as one vka_attention. Causal: the last query sees the last key. SPDX-License-Identifier: MIT */
#include <vkattn/attention.h>

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
    if (gpu_run(g, vka_attention(g->recorder, &d), r)) {
        gpu_check(g, d.out.buffer, d.out.dtype, want, r);
    }
    gpu_end(g);
}

const operation group_torch_attention[] = {
    {"torch.attention", 0, 4, 1, {"is_causal", "scale", "softcap", "window_left", "window_right"}, run},
    {0},
};
