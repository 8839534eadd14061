/* GELU, of which there is the most to compute.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

static vka_map_desc describe(const bench_problem *p) {
    return (vka_map_desc){
        .x = p->tensors[BENCH_X].view, .out = p->tensors[BENCH_OUT].view, .activation = VKA_ACTIVATION_GELU};
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const float *x = p->tensors[BENCH_X].host + row * p->c->cols;
    for (uint32_t i = 0; i < p->c->cols; i++) {
        out->ref[0][i] = ref_activation(VKA_ACTIVATION_GELU, (double)x[i]);
        out->naive[0][i] = ref_round(p->c->dtype, ref_naive_activation(VKA_ACTIVATION_GELU, x[i]));
    }
}

BENCH_OPERATION(map, BENCH_ELEMENTS, .title = "GELU", .word = "gelu ",
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_OUT), .reference = reference);
