/* Gradients of attention, of any out and lse, which need not be those of the same q, k and v: what is computed of them
 * is as well defined. d_q is compared; d_k and d_v lie in BENCH_WEIGHT and BENCH_BIAS, and are not, as their rows are
 * others. SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

#include <math.h>

/* Two products of a pair forward, five backward: q . k, d_out . v, and one for each gradient. Every tensor of forward
 * is read and its gradient read or written. */
static bench_cost cost(const bench_case *c) {
    bench_cost f = bench_attention_cost(c);
    double d = c->head_dim, dv = c->value_dim, lse = 4.0 * c->batch * c->heads * c->q_len;
    return (bench_cost){.flops = f.flops / (d + dv) * (3 * d + 2 * dv),
                        .bytes = 2 * f.bytes + lse,
                        .footprint = 2 * f.footprint + lse,
                        .pairs = f.pairs};
}

/* ---- tensors and calls ------------------------------------------------------------------------------------------- */

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    if (slot == BENCH_TARGETS) {
        return vka_tensor_3d(NULL, VKA_F32, c->batch, c->heads, c->q_len);
    }
    static const bench_slot like[BENCH_SLOTS] = {
        [BENCH_Q] = BENCH_Q,   [BENCH_K] = BENCH_K,          [BENCH_V] = BENCH_V,      [BENCH_X] = BENCH_OUT,
        [BENCH_OUT] = BENCH_Q, [BENCH_RESIDUAL] = BENCH_OUT, [BENCH_WEIGHT] = BENCH_K, [BENCH_BIAS] = BENCH_V};
    return bench_attention_tensor(c, like[slot]);
}

/* A log-sum-exp is about that of scores whose variance is 2 (head dimensions of 64), so weights are what they usually
 * are. */
static bench_bounds bounds(const bench_case *c, bench_slot slot) {
    float keys = logf((float)c->kv_len);
    return slot == BENCH_TARGETS ? (bench_bounds){keys, keys + 2} : (bench_bounds){-2, 2};
}

static vka_attention_backward_desc describe(const bench_problem *p) {
    const bench_tensor *t = p->tensors;
    vka_attention_backward_desc desc = {
        .d_out = t[BENCH_RESIDUAL].view,
        .d_q = t[BENCH_OUT].view,
        .d_k = t[BENCH_WEIGHT].view,
        .d_v = t[BENCH_BIAS].view,
        .path = p->c->path == BENCH_PATH_ROW       ? VKA_ATTENTION_BACKWARD_PATH_ROW
                : p->c->path == BENCH_PATH_TILE    ? VKA_ATTENTION_BACKWARD_PATH_TILE
                : p->c->path == BENCH_PATH_COOPMAT ? VKA_ATTENTION_BACKWARD_PATH_COOPMAT
                : p->c->path == BENCH_PATH_DOT     ? VKA_ATTENTION_BACKWARD_PATH_DOT
                                                   : VKA_ATTENTION_BACKWARD_PATH_AUTO,
        .forward = bench_attention_desc(p),
    };
    desc.forward.out = t[BENCH_X].view;
    desc.forward.lse = t[BENCH_TARGETS].view;
    desc.forward.path = VKA_ATTENTION_PATH_AUTO;
    return desc;
}

/* ---- the reference ----------------------------------------------------------------------------------------------- */

static bench_effort effort(const bench_case *c) {
    double visible = bench_attention_cost(c).pairs / c->q_len;
    return (bench_effort){.ns = visible * (4.0 * (2.0 * c->head_dim + c->value_dim) + 100)};
}

double bench_dot(const float *a, const float *b, uint32_t n) {
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

float bench_naive_dot(const float *a, const float *b, uint32_t n) {
    float sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    uint32_t d = c->head_dim, dv = c->value_dim, i = (uint32_t)(row % c->q_len);
    uint32_t h = (uint32_t)(row / c->q_len % c->heads), b = (uint32_t)(row / c->q_len / c->heads);
    size_t kv = (size_t)b * c->kv_heads + h / (c->heads / c->kv_heads);
    const float *q = p->tensors[BENCH_Q].host + row * d, *k = p->tensors[BENCH_K].host + kv * c->kv_len * d;
    const float *v = p->tensors[BENCH_V].host + kv * c->kv_len * dv, *o = p->tensors[BENCH_X].host + row * dv;
    const float *d_out = p->tensors[BENCH_RESIDUAL].host + row * dv, lse = p->tensors[BENCH_TARGETS].host[row];
    double scale = 1 / sqrt((double)d), delta = bench_dot(o, d_out, dv);
    float naive_scale = (float)scale, naive_delta = bench_naive_dot(o, d_out, dv);
    int64_t lo, hi;
    bench_attention_visible(c, (int64_t)i + c->kv_len - c->q_len, &lo, &hi);
    for (uint32_t n = 0; n < d; n++) {
        out->ref[0][n] = 0;
        out->naive[0][n] = 0;
    }
    for (int64_t j = lo; j <= hi; j++) {
        const float *key = k + j * d, *value = v + j * dv;
        double product =
            exp(bench_dot(q, key, d) * scale - (double)lse) * (bench_dot(d_out, value, dv) - delta) * scale;
        float weight = expf(bench_naive_dot(q, key, d) * naive_scale - lse);
        float naive = weight * (bench_naive_dot(d_out, value, dv) - naive_delta) * naive_scale;
        for (uint32_t n = 0; n < d; n++) {
            out->ref[0][n] += product * (double)key[n];
            out->naive[0][n] += naive * key[n];
        }
    }
    for (uint32_t n = 0; n < d; n++) {
        out->naive[0][n] = ref_round(c->dtype, out->naive[0][n]);
    }
}

BENCH_OPERATION(attention_backward, .title = "gradient of attention", .word = "attention backward ",
                .group = "Gradients of attention", .shape = BENCH_SHAPE_ATTENTION,
                .paths = BENCH_BIT(BENCH_PATH_ROW) | BENCH_BIT(BENCH_PATH_TILE) | BENCH_BIT(BENCH_PATH_COOPMAT) |
                         BENCH_BIT(BENCH_PATH_DOT),
                .slots = BENCH_BIT(BENCH_Q) | BENCH_BIT(BENCH_K) | BENCH_BIT(BENCH_V) | BENCH_BIT(BENCH_X) |
                         BENCH_BIT(BENCH_RESIDUAL) | BENCH_BIT(BENCH_TARGETS) | BENCH_BIT(BENCH_WEIGHT) |
                         BENCH_BIT(BENCH_BIAS) | BENCH_BIT(BENCH_OUT),
                .check = bench_attention_check, .label = bench_attention_label, .cost = cost,
                .memory_bound = bench_attention_memory_bound, .tensor = tensor, .bounds = bounds, .effort = effort,
                .reference = reference);
