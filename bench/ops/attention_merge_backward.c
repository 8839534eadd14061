/* The gradients of one part of a merge of two attentions, of `rows` queries with `cols` channels.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include <vkattn/merge.h>

#include "reference.h"

/* Slots that other operations gave their names. */
#define A_LSE BENCH_WEIGHT
#define B_LSE BENCH_BIAS
#define D_OUT BENCH_Q
#define D_LSE BENCH_K

static vka_attention_merge_backward_desc describe(const bench_problem *p) {
    const bench_tensor *t = p->tensors;
    return (vka_attention_merge_backward_desc){.a = t[BENCH_X].view,
                                               .b = t[BENCH_RESIDUAL].view,
                                               .a_lse = t[A_LSE].view,
                                               .b_lse = t[B_LSE].view,
                                               .d_out = t[D_OUT].view,
                                               .d_lse = t[D_LSE].view,
                                               .d_a = t[BENCH_OUT].view,
                                               .d_a_lse = t[BENCH_SUM].view};
}

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    bool vector = slot == BENCH_X || slot == BENCH_RESIDUAL || slot == D_OUT || slot == BENCH_OUT;
    return vector ? vka_tensor_4d(NULL, c->dtype, 1, 1, c->rows, c->cols) : vka_tensor_3d(NULL, VKA_F32, 1, 1, c->rows);
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    const bench_tensor *t = p->tensors;
    size_t first = (size_t)row * c->cols;
    ref_merge m = {.cols = c->cols,
                   .a = t[BENCH_X].host + first,
                   .b = t[BENCH_RESIDUAL].host + first,
                   .a_lse = t[A_LSE].host[row],
                   .b_lse = t[B_LSE].host[row]};
    const float *d_out = t[D_OUT].host + first, d_lse = t[D_LSE].host[row];
    ref_merge_backward_row(&m, d_out, (double)d_lse, out->ref[0], out->ref[1]);
    ref_merge_naive_backward_row(&m, c->dtype, d_out, d_lse, out->naive[0], out->naive[1]);
}

BENCH_OPERATION(attention_merge_backward, .shape = BENCH_SHAPE_ROWS, .label = bench_rows_label,
                .effort = bench_rows_effort, .title = "gradient of a merge", .word = "merge backward ",
                .group = "Merges", .tensor = tensor,
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_RESIDUAL) | BENCH_BIT(A_LSE) | BENCH_BIT(B_LSE) |
                         BENCH_BIT(D_OUT) | BENCH_BIT(D_LSE) | BENCH_BIT(BENCH_OUT) | BENCH_BIT(BENCH_SUM),
                .reference = reference);
