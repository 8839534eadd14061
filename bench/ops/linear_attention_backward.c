/* Gradients of linear attention by the gated delta rule, as it is measured. d_q is compared; the others lie in BENCH_X,
 * and are not, as their rows are others.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

#include <math.h>

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    switch (slot) {
    case BENCH_X: /* of k, v, decays and betas */
        return vka_tensor_4d(NULL, c->dtype, c->batch, c->kv_heads, c->q_len, c->head_dim + c->value_dim + 2);
    case BENCH_RESIDUAL:
        return bench_recurrence_tensor(c, BENCH_OUT);
    default:
        return bench_recurrence_tensor(c, slot == BENCH_OUT ? BENCH_Q : slot);
    }
}

static vka_linear_attention_backward_desc describe(const bench_problem *p) {
    const bench_tensor *t = p->tensors;
    const bench_case *c = p->c;
    uint64_t tokens = (uint64_t)c->batch * c->kv_heads * c->q_len, dims = (uint64_t)c->head_dim + c->value_dim;
    return (vka_linear_attention_backward_desc){
        .rule = VKA_LINEAR_ATTENTION_GATED_DELTA,
        .q = t[BENCH_Q].view,
        .k = t[BENCH_K].view,
        .v = t[BENCH_V].view,
        .decay = t[BENCH_DECAY].view,
        .beta = t[BENCH_BETA].view,
        .d_out = t[BENCH_RESIDUAL].view,
        .d_q = t[BENCH_OUT].view,
        .d_k = bench_part(p, BENCH_X, 0, bench_recurrence_tensor(c, BENCH_K)),
        .d_v = bench_part(p, BENCH_X, tokens * c->head_dim, bench_recurrence_tensor(c, BENCH_V)),
        .d_decay = bench_part(p, BENCH_X, tokens * dims, bench_recurrence_tensor(c, BENCH_DECAY)),
        .d_beta = bench_part(p, BENCH_X, tokens * (dims + 1), bench_recurrence_tensor(c, BENCH_BETA)),
    };
}

/* Of an element of the state and a token: forward's decay, read and write; d_q, and what each query adds to the state's
 * gradient; d_u by it and by what was read, d_k by two products, the decay's gradient and its factor. */
static bench_cost cost(const bench_case *c) {
    bench_cost f = bench_recurrence_cost(c);
    double elements = (double)c->batch * c->q_len * c->head_dim * c->value_dim;
    return (bench_cost){
        .flops = elements * (16.0 * c->kv_heads + 4.0 * c->heads), .bytes = 2 * f.bytes, .footprint = 2 * f.footprint};
}

/* d_q of a token is what its gradient reads from the state. */
static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    const float *d_out = p->tensors[BENCH_RESIDUAL].host + row * c->value_dim;
    double scale = 1 / sqrt(c->head_dim);
    bench_recurrence_run(p, row / c->q_len, (uint32_t)(row % c->q_len), out, NULL, NULL);
    for (uint32_t d = 0; d < c->head_dim; d++) {
        double sum = 0;
        float naive = 0;
        for (uint32_t e = 0; e < c->value_dim; e++) {
            size_t at = (size_t)d * c->value_dim + e;
            sum += (double)d_out[e] * out->ref_scratch[at];
            naive += d_out[e] * out->naive_scratch[at];
        }
        out->ref[0][d] = scale * sum;
        out->naive[0][d] = ref_round(c->dtype, (float)scale * naive);
    }
}

BENCH_OPERATION(linear_attention_backward, .shape = BENCH_SHAPE_ATTENTION, .title = "gradient of linear attention",
                .word = "recurrence backward ", .group = "Linear attention", .check = bench_recurrence_check,
                .label = bench_recurrence_label, .cost = cost, .memory_bound = bench_never_memory_bound,
                .tensor = tensor, .bounds = bench_recurrence_bounds, .effort = bench_recurrence_effort,
                .slots = BENCH_BIT(BENCH_Q) | BENCH_BIT(BENCH_K) | BENCH_BIT(BENCH_V) | BENCH_BIT(BENCH_DECAY) |
                         BENCH_BIT(BENCH_BETA) | BENCH_BIT(BENCH_RESIDUAL) | BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_OUT),
                .reference = reference);
