/* SwiGLU.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

static vka_glu_desc describe(const bench_problem *p) {
    return (vka_glu_desc){.gate = p->tensors[BENCH_X].view,
                          .up = p->tensors[BENCH_RESIDUAL].view,
                          .out = p->tensors[BENCH_OUT].view,
                          .activation = VKA_ACTIVATION_SILU};
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const float *gate = p->tensors[BENCH_X].host + row * p->c->cols,
                *up = p->tensors[BENCH_RESIDUAL].host + row * p->c->cols;
    for (uint32_t i = 0; i < p->c->cols; i++) {
        out->ref[0][i] = ref_swish((double)gate[i], 1) * (double)up[i];
        out->naive[0][i] = ref_round(p->c->dtype, ref_naive_activation(VKA_ACTIVATION_SILU, gate[i]) * up[i]);
    }
}

BENCH_OPERATION(glu, BENCH_ELEMENTS, .title = "SwiGLU", .word = "swiglu ",
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_RESIDUAL) | BENCH_BIT(BENCH_OUT), .reference = reference);
