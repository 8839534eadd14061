/* The gradient of GELU.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

static vka_map_backward_desc describe(const bench_problem *p) {
    return (vka_map_backward_desc){.x = p->tensors[BENCH_X].view,
                                   .d_out = p->tensors[BENCH_RESIDUAL].view,
                                   .d_x = p->tensors[BENCH_OUT].view,
                                   .activation = VKA_ACTIVATION_GELU};
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    uint32_t cols = p->c->cols;
    const float *x = p->tensors[BENCH_X].host + row * cols, *d = p->tensors[BENCH_RESIDUAL].host + row * cols;
    for (uint32_t i = 0; i < cols; i++) {
        out->ref[0][i] = ref_activation_slope(VKA_ACTIVATION_GELU, (double)x[i]) * (double)d[i];
        out->naive[0][i] = ref_round(p->c->dtype, ref_naive_activation_slope(VKA_ACTIVATION_GELU, x[i]) * d[i]);
    }
}

BENCH_OPERATION(map_backward, BENCH_ELEMENTS, .title = "gradient of GELU", .word = "gelu backward ",
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_RESIDUAL) | BENCH_BIT(BENCH_OUT), .reference = reference);
