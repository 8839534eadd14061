/* PyTorch's linear as one vka_linear.
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
    if (gpu_run(g, vka_linear(g->recorder, &d), r)) {
        gpu_check(g, d.out.buffer, d.out.dtype, c->outputs, r);
    }
    gpu_end(g);
}

const operation group_torch_linear[] = {
    {"torch.linear", 0, 3, 1, {0}, run},
    {0},
};
