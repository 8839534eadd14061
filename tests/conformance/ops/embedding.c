/* PyTorch's embedding as one vka_embedding, and the table's gradient. SPDX-License-Identifier: MIT */
#include <vkattn/embedding.h>

#include "conformance.h"

static void run_backward(gpu *g, const op_case *c, const vka_embedding_desc *forward, result *r) {
    const case_tensor *weight = &c->inputs[1], *y = c->outputs;
    if (!case_has_shape(case_input_gradient(c, "d_y"), y->rank, y->dims, r) ||
        !case_has_shape(case_output_gradient(c, "d_weight"), 2, weight->dims, r) || !gpu_begin_backward(g, c, r)) {
        return;
    }
    vka_embedding_backward_desc d = {.ids = forward->ids,
                                     .d_out = gpu_input_gradient(g, c, "d_y"),
                                     .d_table = gpu_output_gradient(g, c, "d_weight", forward->table.dtype)};
    if (gpu_run(g, vka_embedding_backward(g->recorder, &d), r)) {
        gpu_check_gradient(g, c, "d_weight", &d.d_table, r);
    }
}

static void run(gpu *g, const op_case *c, result *r) {
    const case_tensor *ids = &c->inputs[0], *weight = &c->inputs[1], *y = &c->outputs[0];
    if (!ids->type || ids->type->dtype != VKA_I32 || !weight->type || weight->rank != 2 || !y->type ||
        ids->rank >= VKA_MAX_RANK) {
        fail(r, "ids of i32, a weight of rank 2 and y are required");
        return;
    }
    uint32_t shape[VKA_MAX_RANK];
    for (uint32_t i = 0; i < ids->rank; i++) {
        shape[i] = ids->dims[i];
    }
    shape[ids->rank] = weight->dims[1];
    if (!case_is_real(weight, r) || !case_is_result(y, r) || !case_has_shape(y, ids->rank + 1, shape, r)) {
        return;
    }
    gpu_begin(g);
    vka_embedding_desc d = {
        .table = gpu_tensor(g, weight), .ids = gpu_tensor(g, ids), .out = gpu_result(g, y, weight->type->dtype)};
    if (gpu_run(g, vka_embedding(g->recorder, &d), r) && gpu_check(g, d.out.buffer, d.out.dtype, y, r)) {
        run_backward(g, c, &d, r);
    }
    gpu_end(g);
}

const operation group_embedding[] = {
    {"torch.embedding", 0, 2, 1, {0}, run},
    {0},
};
