/* SPDX-License-Identifier: MIT */
#include "ops/softmax/softmax.h"

void vka__softmax_bind_lengths(vka__call *c, uint32_t rows) {
    const vka_tensor *x = vka__call_tensor(c, rows);
    vka__call_bind_letter(c, 'L', x->rank > 1 ? x->shape[0] : 1);
}

vka_status vka__softmax_check(vka__call *c, uint32_t rows, uint32_t lengths) {
    vka_status status = vka__call_check_lengths(c, lengths, vka__call_letter(c, 'L'), vka__call_letter(c, 'C'));
    return status == VKA_OK ? vka__call_check_rows(c, rows, c->view[rows].shape) : status;
}

vka_strides vka__softmax_length_strides(const vka__call *c, uint32_t rows, uint32_t lengths) {
    uint32_t rank = vka__call_tensor(c, rows)->rank, step = (uint32_t)c->view[lengths].stride[3];
    return (vka_strides){.b = rank == 4 ? step : 0, .h = rank == 3 ? step : 0, .n = rank == 2 ? step : 0};
}
