/* PyTorch's cross_entropy with a class for each row, as one vka_cross_entropy; the mean of all, and its
 * gradient.
 * SPDX-License-Identifier: MIT */
#include <vkattn/loss.h>

#include "conformance.h"

static void run_backward(gpu *g, const op_case *c, const vka_cross_entropy_desc *forward, result *r) {
    const case_tensor *logits = &c->inputs[0];
    if (!case_has_shape(case_input_gradient(c, "d_y"), 0, logits->dims, r) ||
        !case_has_shape(case_output_gradient(c, "d_logits"), logits->rank, logits->dims, r) ||
        !gpu_begin_backward(g, c, r)) {
        return;
    }
    vka_cross_entropy_backward_desc d = {
        .logits = forward->logits,
        .targets = forward->targets,
        .d_total = gpu_input_gradient(g, c, "d_y"),
        .d_logits = gpu_output_gradient(g, c, "d_logits", forward->logits.dtype),
        .label_smoothing = forward->label_smoothing,
        .ignore_index = forward->ignore_index,
        .has_ignore_index = true,
    };
    if (gpu_run(g, vka_cross_entropy_backward(g->recorder, &d), r)) {
        gpu_check_gradient(g, c, "d_logits", &d.d_logits, r);
    }
}

static void run(gpu *g, const op_case *c, result *r) {
    const case_tensor *logits = &c->inputs[0], *targets = &c->inputs[1], *want = c->outputs;
    vka_cross_entropy_desc d = {.has_ignore_index = true};
    int64_t ignored;
    if (!case_is_real(logits, r) || !case_is_result(want, r) || !case_get_int(c, "ignore_index", -100, &ignored, r) ||
        !case_get_float(c, "label_smoothing", 0, &d.label_smoothing, r) ||
        !case_has_shape(targets, logits->rank - 1, logits->dims, r) || !case_has_shape(want, 0, logits->dims, r)) {
        return;
    }
    d.ignore_index = (int32_t)ignored;
    gpu_begin(g);
    d.logits = gpu_tensor(g, logits);
    d.targets = gpu_tensor(g, targets);
    d.total = gpu_result(g, want, VKA_F32);
    if (gpu_run(g, vka_cross_entropy(g->recorder, &d), r) && gpu_check(g, d.total.buffer, VKA_F32, want, r)) {
        run_backward(g, c, &d, r);
    }
    gpu_end(g);
}

const operation group_cross_entropy[] = {
    {"torch.cross_entropy", 0, 2, 1, {"ignore_index", "label_smoothing"}, run},
    {0},
};
