/* PyTorch's linear as one vka_linear, and its gradients.
 * SPDX-License-Identifier: MIT */
#include <vkattn/linear.h>

#include "conformance.h"

enum { IN_X, IN_WEIGHT, IN_BIAS };

static bool check(const op_case *c, result *r) {
    const case_tensor *x = &c->inputs[IN_X], *weight = &c->inputs[IN_WEIGHT], *want = c->outputs;
    if (x->rank < 1 || weight->rank != 2 || !want->type) {
        return fail(r, "x, weight and y are required");
    }
    uint32_t out[CASE_MAX_RANK];
    for (uint32_t i = 0; i < x->rank; i++) {
        out[i] = i + 1 < x->rank ? x->dims[i] : weight->dims[0];
    }
    return case_is_real(x, r) && case_is_real(weight, r) && case_is_real(&c->inputs[IN_BIAS], r) &&
           case_is_result(want, r) && case_has_shape(want, x->rank, out, r);
}

static void run_backward(gpu *g, const op_case *c, const vka_linear_desc *forward, result *r) {
    const case_tensor *x = &c->inputs[IN_X], *weight = &c->inputs[IN_WEIGHT], *y = c->outputs;
    if (!case_has_shape(case_input_gradient(c, "d_y"), y->rank, y->dims, r) ||
        !case_has_shape(case_output_gradient(c, "d_x"), x->rank, x->dims, r) ||
        !case_has_shape(case_output_gradient(c, "d_weight"), 2, weight->dims, r) ||
        !case_has_shape(case_output_gradient(c, "d_bias"), 1, weight->dims, r) || !gpu_begin_backward(g, c, r)) {
        return;
    }
    vka_linear_backward_desc d = {.x = forward->x,
                                  .weight = forward->weight,
                                  .d_out = gpu_input_gradient(g, c, "d_y"),
                                  .d_x = gpu_output_gradient(g, c, "d_x", forward->x.dtype),
                                  .d_weight = gpu_output_gradient(g, c, "d_weight", forward->weight.dtype),
                                  .d_bias = gpu_output_gradient(g, c, "d_bias", forward->bias.dtype)};
    if (gpu_run(g, vka_linear_backward(g->recorder, &d), r) && gpu_check_gradient(g, c, "d_x", &d.d_x, r) &&
        gpu_check_gradient(g, c, "d_weight", &d.d_weight, r)) {
        gpu_check_gradient(g, c, "d_bias", &d.d_bias, r);
    }
}

static void run(gpu *g, const op_case *c, result *r) {
    if (!check(c, r)) {
        return;
    }
    gpu_begin(g);
    const vka_linear_desc d = {
        .x = gpu_tensor(g, &c->inputs[IN_X]),
        .weight = gpu_tensor(g, &c->inputs[IN_WEIGHT]),
        .bias = gpu_tensor(g, &c->inputs[IN_BIAS]),
        .out = gpu_result(g, c->outputs, c->inputs[IN_X].type->dtype),
    };
    if (gpu_run(g, vka_linear(g->recorder, &d), r) && gpu_check(g, d.out.buffer, d.out.dtype, c->outputs, r)) {
        run_backward(g, c, &d, r);
    }
    gpu_end(g);
}

const operation group_torch_linear[] = {
    {"torch.linear", 0, 3, 1, {0}, run},
    {0},
};
