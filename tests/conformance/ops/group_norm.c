/* ONNX GroupNormalization, opset 21 on, and PyTorch's group_norm, as one vka_group_norm over [N, C, positions].
 * SPDX-License-Identifier: MIT */
#include <vkattn/norm.h>

#include "conformance.h"

static bool read(const op_case *c, vka_group_norm_desc *d, result *r) {
    const case_tensor *x = &c->inputs[0];
    bool torch = case_has_attribute(c, "groups");
    int64_t groups, stash;
    for (uint32_t i = 0; i < 3; i++) {
        if (!case_is_real(&c->inputs[i], r)) {
            return false;
        }
    }
    if (!case_get_int(c, torch ? "groups" : "num_groups", 0, &groups, r) ||
        !case_get_float(c, torch ? "eps" : "epsilon", 1e-5f, &d->epsilon, r) ||
        !case_get_int(c, "stash_type", 1, &stash, r) || !case_is_result(c->outputs, r)) {
        return false;
    }
    if (!x->type || x->rank < 2 || groups < 1 || groups > UINT32_MAX) {
        return fail(r, "x needs two dimensions or more, and groups");
    }
    d->groups = (uint32_t)groups;
    return (stash == 1 || skip(r, "statistics of type %lld, ours are f32", (long long)stash)) &&
           case_has_shape(&c->inputs[1], 1, &x->dims[1], r) && case_has_shape(&c->inputs[2], 1, &x->dims[1], r) &&
           case_has_shape(c->outputs, x->rank, x->dims, r);
}

/* Of PyTorch's. */
static void run_backward(gpu *g, const op_case *c, const vka_group_norm_desc *forward, result *r) {
    const case_tensor *x = &c->inputs[0];
    if (!case_has_shape(case_input_gradient(c, "d_y"), x->rank, x->dims, r) ||
        !case_has_shape(case_output_gradient(c, "d_x"), x->rank, x->dims, r) ||
        !case_has_shape(case_output_gradient(c, "d_weight"), 1, &x->dims[1], r) ||
        !case_has_shape(case_output_gradient(c, "d_bias"), 1, &x->dims[1], r) || !gpu_begin_backward(g, c, r)) {
        return;
    }
    vka_tensor d_y = forward->x, d_x = forward->x;
    d_y.buffer = gpu_input_gradient(g, c, "d_y").buffer;
    d_x.buffer = gpu_output_gradient(g, c, "d_x", d_x.dtype).buffer;
    vka_group_norm_backward_desc d = {.x = forward->x,
                                      .d_out = d_y,
                                      .weight = forward->weight,
                                      .d_x = d_x,
                                      .d_weight = gpu_output_gradient(g, c, "d_weight", d_x.dtype),
                                      .d_bias = gpu_output_gradient(g, c, "d_bias", d_x.dtype),
                                      .epsilon = forward->epsilon,
                                      .groups = forward->groups};
    (void)(gpu_run(g, vka_group_norm_backward(g->recorder, &d), r) && gpu_check_gradient(g, c, "d_x", &d.d_x, r) &&
           gpu_check_gradient(g, c, "d_weight", &d.d_weight, r) && gpu_check_gradient(g, c, "d_bias", &d.d_bias, r));
}

static void run(gpu *g, const op_case *c, result *r) {
    const case_tensor *x = &c->inputs[0], *want = c->outputs;
    vka_group_norm_desc d = {0};
    if (!read(c, &d, r)) {
        return;
    }
    size_t positions = 1, size = x->count * x->type->size;
    for (uint32_t i = 2; i < x->rank; i++) {
        positions *= x->dims[i];
    }
    gpu_begin(g);
    d.x = vka_tensor_3d(gpu_input(g, x->data, size), x->type->dtype, x->dims[0], x->dims[1], (uint32_t)positions);
    d.out = vka_tensor_3d(gpu_output(g, size), x->type->dtype, x->dims[0], x->dims[1], (uint32_t)positions);
    d.weight = gpu_tensor(g, &c->inputs[1]);
    d.bias = gpu_tensor(g, &c->inputs[2]);
    if (gpu_run(g, vka_group_norm(g->recorder, &d), r) && gpu_check(g, d.out.buffer, d.out.dtype, want, r)) {
        run_backward(g, c, &d, r);
    }
    gpu_end(g);
}

const operation group_group_norm[] = {
    {"GroupNormalization", 21, 3, 1, {"num_groups", "epsilon", "stash_type"}, run},
    {"torch.group_norm", 0, 3, 1, {"groups", "eps"}, run},
    {0},
};
