/* Gated linear units: ONNX SwiGLU, PyTorch's torch.swiglu and torch.geglu (which has the exact GELU), as one vka_glu;
 * of PyTorch's the gradients, too.
 * SPDX-License-Identifier: MIT */
#include <vkattn/elementwise.h>

#include <string.h>

#include "conformance.h"

static void run_backward(gpu *g, const op_case *c, const vka_glu_desc *forward, result *r) {
    const case_tensor *gate = &c->inputs[0];
    if (!case_has_shape(case_input_gradient(c, "d_y"), gate->rank, gate->dims, r) ||
        !case_has_shape(case_output_gradient(c, "d_gate"), gate->rank, gate->dims, r) ||
        !case_has_shape(case_output_gradient(c, "d_up"), gate->rank, gate->dims, r) || !gpu_begin_backward(g, c, r)) {
        return;
    }
    vka_glu_backward_desc d = {.gate = forward->gate,
                               .up = forward->up,
                               .d_out = gpu_input_gradient(g, c, "d_y"),
                               .d_gate = gpu_output_gradient(g, c, "d_gate", forward->gate.dtype),
                               .d_up = gpu_output_gradient(g, c, "d_up", forward->up.dtype),
                               .activation = forward->activation,
                               .alpha = forward->alpha};
    if (gpu_run(g, vka_glu_backward(g->recorder, &d), r) && gpu_check_gradient(g, c, "d_gate", &d.d_gate, r)) {
        gpu_check_gradient(g, c, "d_up", &d.d_up, r);
    }
}

static void run(gpu *g, const op_case *c, result *r) {
    const case_tensor *gate = &c->inputs[0], *up = &c->inputs[1], *y = &c->outputs[0];
    vka_glu_desc d = {.activation = strcmp(c->op, "torch.geglu") == 0 ? VKA_ACTIVATION_GELU : VKA_ACTIVATION_SILU};
    if (!gate->type || !up->type || !y->type) {
        fail(r, "gate, up and y are required");
        return;
    }
    if (!case_is_real(gate, r) || !case_is_real(up, r) || !case_is_result(y, r) ||
        !case_has_shape(up, gate->rank, gate->dims, r) || !case_has_shape(y, gate->rank, gate->dims, r) ||
        !case_get_float(c, "alpha", 1, &d.alpha, r)) {
        return;
    }
    if (d.alpha == 0) {
        skip(r, "alpha is 0, which stands for 1 here");
        return;
    }
    gpu_begin(g);
    d.gate = gpu_tensor(g, gate);
    d.up = gpu_tensor(g, up);
    d.out = gpu_result(g, y, gate->type->dtype);
    if (gpu_run(g, vka_glu(g->recorder, &d), r) && gpu_check(g, d.out.buffer, d.out.dtype, y, r)) {
        run_backward(g, c, &d, r);
    }
    gpu_end(g);
}

const operation group_glu[] = {
    {"SwiGLU", 28, 2, 1, {"alpha"}, run},
    {"torch.swiglu", 0, 2, 1, {0}, run},
    {"torch.geglu", 0, 2, 1, {0}, run},
    {0},
};
