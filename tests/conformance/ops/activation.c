/* Functions of single elements, of ONNX and PyTorch, as one vka_map over all of them; of PyTorch's the gradients, too.
 * SPDX-License-Identifier: MIT */
#include <vkattn/elementwise.h>

#include <string.h>

#include "conformance.h"

static bool choose(const op_case *c, vka_activation *activation, result *r) {
    static const struct {
        const char *op;
        vka_activation activation;
    } of[] = {{"Gelu", VKA_ACTIVATION_GELU},
              {"torch.gelu", VKA_ACTIVATION_GELU},
              {"torch.relu", VKA_ACTIVATION_RELU},
              {"torch.silu", VKA_ACTIVATION_SILU},
              {"torch.tanh", VKA_ACTIVATION_TANH}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        if (strcmp(c->op, of[i].op) == 0) {
            *activation = of[i].activation;
        }
    }
    for (uint32_t i = 0; i < c->attribute_count; i++) {
        const case_attribute *a = &c->attributes[i];
        if (strcmp(a->name, "approximate") != 0 || (a->type == CASE_STRING && strcmp(a->string, "none") == 0)) {
            continue;
        }
        if (a->type != CASE_STRING || strcmp(a->string, "tanh") != 0) {
            return fail(r, "approximate is neither none nor tanh");
        }
        *activation = VKA_ACTIVATION_GELU_TANH;
    }
    return true;
}

static void run_backward(gpu *g, const op_case *c, const vka_map_desc *forward, result *r) {
    const case_tensor *x = &c->inputs[0];
    if (!case_has_shape(case_input_gradient(c, "d_y"), x->rank, x->dims, r) ||
        !case_has_shape(case_output_gradient(c, "d_x"), x->rank, x->dims, r) || !gpu_begin_backward(g, c, r)) {
        return;
    }
    vka_map_backward_desc d = {.x = forward->x,
                               .d_out = gpu_input_gradient(g, c, "d_y"),
                               .d_x = gpu_output_gradient(g, c, "d_x", forward->x.dtype),
                               .activation = forward->activation};
    if (gpu_run(g, vka_map_backward(g->recorder, &d), r)) {
        gpu_check_gradient(g, c, "d_x", &d.d_x, r);
    }
}

static void run(gpu *g, const op_case *c, result *r) {
    const case_tensor *x = &c->inputs[0], *y = &c->outputs[0];
    vka_map_desc d = {0};
    if (!x->type || !y->type) {
        fail(r, "x and y are required");
        return;
    }
    if (!choose(c, &d.activation, r) || !case_is_real(x, r) || !case_is_result(y, r) ||
        !case_has_shape(y, x->rank, x->dims, r)) {
        return;
    }
    gpu_begin(g);
    d.x = gpu_tensor(g, x);
    d.out = gpu_result(g, y, x->type->dtype);
    if (gpu_run(g, vka_map(g->recorder, &d), r) && gpu_check(g, d.out.buffer, d.out.dtype, y, r)) {
        run_backward(g, c, &d, r);
    }
    gpu_end(g);
}

const operation group_activation[] = {
    {"Gelu", 20, 1, 1, {"approximate"}, run}, {"torch.gelu", 0, 1, 1, {"approximate"}, run},
    {"torch.relu", 0, 1, 1, {0}, run},        {"torch.silu", 0, 1, 1, {0}, run},
    {"torch.tanh", 0, 1, 1, {0}, run},        {0},
};
