/* ONNX Softmax and LogSoftmax, opset 13 on, and PyTorch's, as one vka_softmax with the axis turned to the end; of
 * PyTorch's the gradient, too.
 * SPDX-License-Identifier: MIT */
#include <vkattn/softmax.h>

#include "conformance.h"

static void run(gpu *g, const op_case *c, result *r, bool log) {
    const case_tensor *x = &c->inputs[0], *want = c->outputs;
    int64_t axis;
    if (!case_is_real(x, r) || !case_is_result(want, r) || !case_get_int(c, "axis", -1, &axis, r) ||
        !case_has_shape(want, x->rank, x->dims, r)) {
        return;
    }
    if (axis < -(int64_t)x->rank || axis >= (int64_t)x->rank) {
        fail(r, "axis %lld of rank %u", (long long)axis, x->rank);
        return;
    }
    uint32_t turned = (uint32_t)(axis < 0 ? axis + x->rank : axis), last = x->rank - 1;
    gpu_begin(g);
    vka_softmax_desc d = {.x = vka_tensor_transpose(gpu_tensor(g, x), turned, last),
                          .out = vka_tensor_transpose(gpu_result(g, want, x->type->dtype), turned, last),
                          .log = log};
    if (gpu_run(g, vka_softmax(g->recorder, &d), r) && gpu_check(g, d.out.buffer, d.out.dtype, want, r) &&
        case_has_shape(case_input_gradient(c, "d_y"), x->rank, x->dims, r) &&
        case_has_shape(case_output_gradient(c, "d_x"), x->rank, x->dims, r) && gpu_begin_backward(g, c, r)) {
        vka_tensor d_x = gpu_output_gradient(g, c, "d_x", x->type->dtype);
        vka_softmax_backward_desc b = {.out = d.out,
                                       .d_out = vka_tensor_transpose(gpu_input_gradient(g, c, "d_y"), turned, last),
                                       .d_x = vka_tensor_transpose(d_x, turned, last),
                                       .log = log};
        if (gpu_run(g, vka_softmax_backward(g->recorder, &b), r)) {
            gpu_check_gradient(g, c, "d_x", &b.d_x, r);
        }
    }
    gpu_end(g);
}

static void run_softmax(gpu *g, const op_case *c, result *r) {
    run(g, c, r, false);
}

static void run_log_softmax(gpu *g, const op_case *c, result *r) {
    run(g, c, r, true);
}

const operation group_softmax[] = {
    {"Softmax", 13, 1, 1, {"axis"}, run_softmax},
    {"LogSoftmax", 13, 1, 1, {"axis"}, run_log_softmax},
    {"torch.softmax", 0, 1, 1, {"axis"}, run_softmax},
    {"torch.log_softmax", 0, 1, 1, {"axis"}, run_log_softmax},
    {0},
};
