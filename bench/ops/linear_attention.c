/* Linear attention by the gated delta rule, with a decay and a beta for each head and token: a prompt, without states.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

#include <math.h>

static vka_linear_attention_desc describe(const bench_problem *p) {
    return (vka_linear_attention_desc){
        .rule = VKA_LINEAR_ATTENTION_GATED_DELTA,
        .q = p->tensors[BENCH_Q].view,
        .k = p->tensors[BENCH_K].view,
        .v = p->tensors[BENCH_V].view,
        .decay = p->tensors[BENCH_DECAY].view,
        .beta = p->tensors[BENCH_BETA].view,
        .out = p->tensors[BENCH_OUT].view,
        .path = p->c->path == BENCH_PATH_RECURRENT ? VKA_LINEAR_ATTENTION_PATH_RECURRENT
                : p->c->path == BENCH_PATH_CHUNKED ? VKA_LINEAR_ATTENTION_PATH_CHUNKED
                                                   : VKA_LINEAR_ATTENTION_PATH_AUTO,
    };
}

const char *bench_recurrence_check(const bench_case *c) {
    if (c->causal || bench_case_windowed(c) || c->kv_len != c->q_len) {
        return "linear attention is causal as it is, and has as many keys as queries, and no window";
    }
    return c->heads % c->kv_heads ? "--heads must be a multiple of --kv-heads" : NULL;
}

void bench_recurrence_label(const bench_case *c, bool brief, bench_line *line) {
    if (!brief || c->batch > 1) {
        bench_put(line, " B%u", c->batch);
    }
    bench_put(line, c->kv_heads == c->heads ? " H%u" : " H%u/%u", c->heads, c->kv_heads);
    bench_put(line, c->value_dim == c->head_dim ? " N%u D%u" : " N%u D%u/%u", c->q_len, c->head_dim, c->value_dim);
}

vka_tensor bench_recurrence_tensor(const bench_case *c, bench_slot slot) {
    switch (slot) {
    case BENCH_Q:
        return vka_tensor_4d(NULL, c->dtype, c->batch, c->heads, c->q_len, c->head_dim);
    case BENCH_K:
        return vka_tensor_4d(NULL, c->dtype, c->batch, c->kv_heads, c->q_len, c->head_dim);
    case BENCH_V:
        return vka_tensor_4d(NULL, c->dtype, c->batch, c->kv_heads, c->q_len, c->value_dim);
    case BENCH_DECAY:
        return vka_tensor_4d(NULL, c->dtype, c->batch, c->kv_heads, c->q_len, 1);
    case BENCH_BETA:
        return vka_tensor_3d(NULL, c->dtype, c->batch, c->kv_heads, c->q_len);
    default:
        return vka_tensor_4d(NULL, c->dtype, c->batch, c->heads, c->q_len, c->value_dim);
    }
}

/* Keys of length 1, about; a memory of some twenty tokens. */
bench_bounds bench_recurrence_bounds(const bench_case *c, bench_slot slot) {
    float k = sqrtf(3 / (float)c->head_dim);
    switch (slot) {
    case BENCH_K:
        return (bench_bounds){-k, k};
    case BENCH_DECAY:
        return (bench_bounds){-0.1f, 0};
    case BENCH_BETA:
        return (bench_bounds){0, 1};
    default:
        return (bench_bounds){-2, 2};
    }
}

/* Decaying, reading by the key, writing; and reading by each query. */
bench_cost bench_recurrence_cost(const bench_case *c) {
    double state = (double)c->head_dim * c->value_dim, size = vka_dtype_size(c->dtype),
           tokens = (double)c->batch * c->q_len;
    double bytes =
        tokens * size * (((double)c->heads + c->kv_heads) * ((double)c->head_dim + c->value_dim) + 2.0 * c->kv_heads);
    return (bench_cost){
        .flops = tokens * state * (5.0 * c->kv_heads + 2.0 * c->heads), .bytes = bytes, .footprint = bytes};
}

bench_effort bench_recurrence_effort(const bench_case *c) {
    double state = (double)c->head_dim * c->value_dim;
    return (bench_effort){.ns = 5 * state * c->q_len, .scratch = (size_t)state};
}

void bench_recurrence_run(const bench_problem *p, uint64_t q_head, uint32_t token, bench_row *row, double *out,
                          float *naive) {
    const bench_case *c = p->c;
    uint64_t head = q_head / c->heads * c->kv_heads + q_head % c->heads / (c->heads / c->kv_heads);
    ref_linear_attention a = {
        .rule = VKA_LINEAR_ATTENTION_GATED_DELTA,
        .tokens = c->q_len,
        .key_dim = c->head_dim,
        .value_dim = c->value_dim,
        .queries = 1,
        .q = p->tensors[BENCH_Q].host + q_head * c->q_len * c->head_dim,
        .k = p->tensors[BENCH_K].host + head * c->q_len * c->head_dim,
        .v = p->tensors[BENCH_V].host + head * c->q_len * c->value_dim,
        .decay = p->tensors[BENCH_DECAY].host + head * c->q_len,
        .beta = p->tensors[BENCH_BETA].host + head * c->q_len,
        .scale = 1 / sqrt(c->head_dim),
    };
    for (size_t i = 0; i < (size_t)c->head_dim * c->value_dim; i++) {
        row->ref_scratch[i] = 0;
        row->naive_scratch[i] = 0;
    }
    for (uint32_t t = 0; t <= token; t++) {
        ref_linear_attention_step(&a, t, row->ref_scratch, t == token ? out : NULL);
        ref_linear_attention_naive_step(&a, c->dtype, t, row->naive_scratch, t == token ? naive : NULL);
    }
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    bench_recurrence_run(p, row / p->c->q_len, (uint32_t)(row % p->c->q_len), out, out->ref[0], out->naive[0]);
}

BENCH_OPERATION(linear_attention, .shape = BENCH_SHAPE_ATTENTION, .title = "linear attention", .word = "linear ",
                .group = "Linear attention", .paths = BENCH_BIT(BENCH_PATH_RECURRENT) | BENCH_BIT(BENCH_PATH_CHUNKED),
                .check = bench_recurrence_check, .label = bench_recurrence_label, .cost = bench_recurrence_cost,
                .memory_bound = bench_never_memory_bound, .tensor = bench_recurrence_tensor,
                .bounds = bench_recurrence_bounds, .effort = bench_recurrence_effort,
                .slots = BENCH_BIT(BENCH_Q) | BENCH_BIT(BENCH_K) | BENCH_BIT(BENCH_V) | BENCH_BIT(BENCH_DECAY) |
                         BENCH_BIT(BENCH_BETA) | BENCH_BIT(BENCH_OUT),
                .reference = reference);
