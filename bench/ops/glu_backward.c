/* The gradients of SwiGLU: of the gate, and in BENCH_SUM of what it multiplies. The output's is BENCH_WEIGHT.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

static vka_glu_backward_desc describe(const bench_problem *p) {
    return (vka_glu_backward_desc){.gate = p->tensors[BENCH_X].view,
                                   .up = p->tensors[BENCH_RESIDUAL].view,
                                   .d_out = p->tensors[BENCH_WEIGHT].view,
                                   .d_gate = p->tensors[BENCH_OUT].view,
                                   .d_up = p->tensors[BENCH_SUM].view,
                                   .activation = VKA_ACTIVATION_SILU};
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    uint32_t cols = p->c->cols;
    const float *gate = p->tensors[BENCH_X].host + row * cols, *up = p->tensors[BENCH_RESIDUAL].host + row * cols;
    const float *d = p->tensors[BENCH_WEIGHT].host + row * cols;
    for (uint32_t i = 0; i < cols; i++) {
        float slope = ref_naive_activation_slope(VKA_ACTIVATION_SILU, gate[i]);
        out->ref[0][i] = (double)d[i] * (double)up[i] * ref_swish_slope((double)gate[i], 1);
        out->ref[1][i] = (double)d[i] * ref_swish((double)gate[i], 1);
        out->naive[0][i] = ref_round(p->c->dtype, d[i] * up[i] * slope);
        out->naive[1][i] = ref_round(p->c->dtype, d[i] * ref_naive_activation(VKA_ACTIVATION_SILU, gate[i]));
    }
}

BENCH_OPERATION(glu_backward, BENCH_ELEMENTS, .title = "gradients of SwiGLU", .word = "swiglu backward ",
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_RESIDUAL) | BENCH_BIT(BENCH_WEIGHT) |
                         BENCH_BIT(BENCH_OUT) | BENCH_BIT(BENCH_SUM),
                .reference = reference);
