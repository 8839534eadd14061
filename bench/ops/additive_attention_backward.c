/* Gradients of additive attention, of any out and lse, as those of attention. d_q is compared; d_k, d_v and
 * d_score_vector lie in BENCH_BIAS, and are not, as their rows are others. SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

#include <math.h>

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    switch (slot) {
    case BENCH_TARGETS:
        return vka_tensor_3d(NULL, VKA_F32, c->batch, c->heads, c->q_len);
    case BENCH_BIAS: /* with room for the vectors' behind those of keys and values */
        return vka_tensor_4d(NULL, c->dtype, c->batch, c->kv_heads, c->kv_len + c->heads, c->head_dim + c->value_dim);
    case BENCH_X:
    case BENCH_RESIDUAL:
        return bench_additive_tensor(c, BENCH_OUT);
    default:
        return bench_additive_tensor(c, slot == BENCH_OUT ? BENCH_Q : slot);
    }
}

static vka_additive_attention_backward_desc describe(const bench_problem *p) {
    const bench_tensor *t = p->tensors;
    const bench_case *c = p->c;
    uint64_t keys = (uint64_t)c->batch * c->kv_heads * c->kv_len;
    return (vka_additive_attention_backward_desc){
        .q = t[BENCH_Q].view,
        .k = t[BENCH_K].view,
        .v = t[BENCH_V].view,
        .score_vector = t[BENCH_SCORE_VECTOR].view,
        .out = t[BENCH_X].view,
        .lse = t[BENCH_TARGETS].view,
        .d_out = t[BENCH_RESIDUAL].view,
        .d_q = t[BENCH_OUT].view,
        .d_k = bench_part(p, BENCH_BIAS, 0, bench_additive_tensor(c, BENCH_K)),
        .d_v = bench_part(p, BENCH_BIAS, keys * c->head_dim, bench_additive_tensor(c, BENCH_V)),
        .d_score_vector = bench_part(p, BENCH_BIAS, keys * ((uint64_t)c->head_dim + c->value_dim),
                                     bench_additive_tensor(c, BENCH_SCORE_VECTOR)),
        .causal = c->causal,
        .path = bench_additive_path(c),
    };
}

/* A log-sum-exp is about that of scores with a standard deviation of 1. */
static bench_bounds bounds(const bench_case *c, bench_slot slot) {
    float keys = logf((float)c->kv_len);
    return slot == BENCH_TARGETS ? (bench_bounds){keys, keys + 1} : bench_additive_bounds(c, slot);
}

/* Of a channel forward's four, the slope of tanh, its product with the score's gradient, and three sums; of a value
 * d_out . v and d_v. */
static bench_cost cost(const bench_case *c) {
    bench_cost f = bench_additive_cost(c);
    double bytes = 2 * f.bytes + 4.0 * c->batch * c->heads * c->q_len;
    return (bench_cost){.flops = (double)c->batch * c->heads * f.pairs * (12.0 * c->head_dim + 4.0 * c->value_dim),
                        .bytes = bytes,
                        .footprint = bytes,
                        .pairs = f.pairs};
}

static bench_effort effort(const bench_case *c) {
    return (bench_effort){.ns = c->kv_len * (70.0 * c->head_dim + 3.0 * c->value_dim + 100), .scratch = c->head_dim};
}

/* What a row of queries and its gradients are. */
typedef struct query {
    const float *q, *d_out, *vector;
    float lse;
    double delta;
    float naive_delta;
} query;

static void add_key(const bench_case *c, const query *x, const float *k, const float *v, bench_row *out) {
    double *slope = out->ref_scratch, score = 0;
    float *naive_slope = out->naive_scratch, naive_score = 0;
    for (uint32_t e = 0; e < c->head_dim; e++) {
        double t = tanh((double)x->q[e] + (double)k[e]), w = (double)x->vector[e];
        float naive = tanhf(x->q[e] + k[e]);
        score += w * t;
        naive_score += x->vector[e] * naive;
        slope[e] = w * (1 - t * t);
        naive_slope[e] = x->vector[e] * (1 - naive * naive);
    }
    double d_score = exp(score - (double)x->lse) * (bench_dot(x->d_out, v, c->value_dim) - x->delta);
    float naive = expf(naive_score - x->lse) * (bench_naive_dot(x->d_out, v, c->value_dim) - x->naive_delta);
    for (uint32_t e = 0; e < c->head_dim; e++) {
        out->ref[0][e] += d_score * slope[e];
        out->naive[0][e] += naive * naive_slope[e];
    }
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    uint32_t h = (uint32_t)(row / c->q_len % c->heads), b = (uint32_t)(row / c->q_len / c->heads);
    size_t kv = ((size_t)b * c->kv_heads + h / (c->heads / c->kv_heads)) * c->kv_len;
    const float *o = p->tensors[BENCH_X].host + row * c->value_dim;
    query x = {.q = p->tensors[BENCH_Q].host + row * c->head_dim,
               .d_out = p->tensors[BENCH_RESIDUAL].host + row * c->value_dim,
               .vector = p->tensors[BENCH_SCORE_VECTOR].host + (size_t)h * c->head_dim,
               .lse = p->tensors[BENCH_TARGETS].host[row]};
    x.delta = bench_dot(o, x.d_out, c->value_dim);
    x.naive_delta = bench_naive_dot(o, x.d_out, c->value_dim);
    for (uint32_t e = 0; e < c->head_dim; e++) {
        out->ref[0][e] = 0;
        out->naive[0][e] = 0;
    }
    for (uint32_t j = 0, seen = bench_additive_seen(c, (uint32_t)(row % c->q_len)); j < seen; j++) {
        add_key(c, &x, p->tensors[BENCH_K].host + (kv + j) * c->head_dim,
                p->tensors[BENCH_V].host + (kv + j) * c->value_dim, out);
    }
    for (uint32_t e = 0; e < c->head_dim; e++) {
        out->naive[0][e] = ref_round(c->dtype, out->naive[0][e]);
    }
}

BENCH_OPERATION(additive_attention_backward, .shape = BENCH_SHAPE_ATTENTION, .title = "gradient of additive attention",
                .word = "additive backward ", .group = "Additive attention",
                .paths = BENCH_BIT(BENCH_PATH_ROW) | BENCH_BIT(BENCH_PATH_TILE), .check = bench_additive_check,
                .label = bench_additive_label, .cost = cost, .memory_bound = bench_never_memory_bound, .tensor = tensor,
                .bounds = bounds, .effort = effort,
                .slots = BENCH_BIT(BENCH_Q) | BENCH_BIT(BENCH_K) | BENCH_BIT(BENCH_V) | BENCH_BIT(BENCH_SCORE_VECTOR) |
                         BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_RESIDUAL) | BENCH_BIT(BENCH_TARGETS) |
                         BENCH_BIT(BENCH_BIAS) | BENCH_BIT(BENCH_OUT),
                .reference = reference);
