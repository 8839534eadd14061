/* Additive attention, where --head-dim are the channels of a score.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

#include <math.h>

static const vka_additive_attention_path paths[] = {
    [BENCH_PATH_ROW] = VKA_ADDITIVE_ATTENTION_PATH_ROW,
    [BENCH_PATH_TILE] = VKA_ADDITIVE_ATTENTION_PATH_TILE,
};

static vka_additive_attention_desc describe(const bench_problem *p) {
    return (vka_additive_attention_desc){
        .q = p->tensors[BENCH_Q].view,
        .k = p->tensors[BENCH_K].view,
        .v = p->tensors[BENCH_V].view,
        .score_vector = p->tensors[BENCH_SCORE_VECTOR].view,
        .out = p->tensors[BENCH_OUT].view,
        .causal = p->c->causal,
        .path = bench_additive_path(p->c),
    };
}

vka_additive_attention_path bench_additive_path(const bench_case *c) {
    return paths[c->path];
}

const char *bench_additive_check(const bench_case *c) {
    if (bench_case_windowed(c)) {
        return "additive attention has no window";
    }
    return c->heads % c->kv_heads ? "--heads must be a multiple of --kv-heads" : NULL;
}

void bench_additive_label(const bench_case *c, bool brief, bench_line *line) {
    if (!brief || c->batch > 1) {
        bench_put(line, " B%u", c->batch);
    }
    bench_put(line, c->kv_heads == c->heads ? " H%u" : " H%u/%u", c->heads, c->kv_heads);
    bench_put(line, c->q_len == c->kv_len ? " N%u" : " Nq%u Nk%u", c->q_len, c->kv_len);
    bench_put(line, c->value_dim == c->head_dim ? " D%u" : " D%u/%u", c->head_dim, c->value_dim);
    bench_put(line, "%s", c->causal ? " causal" : "");
}

vka_tensor bench_additive_tensor(const bench_case *c, bench_slot slot) {
    bool of_queries = slot == BENCH_Q || slot == BENCH_OUT, of_values = slot == BENCH_V || slot == BENCH_OUT;
    if (slot == BENCH_SCORE_VECTOR) {
        return vka_tensor_2d(NULL, c->dtype, c->heads, c->head_dim);
    }
    return vka_tensor_4d(NULL, c->dtype, c->batch, of_queries ? c->heads : c->kv_heads,
                         of_queries ? c->q_len : c->kv_len, of_values ? c->value_dim : c->head_dim);
}

/* Scores with a standard deviation of about 1. */
bench_bounds bench_additive_bounds(const bench_case *c, bench_slot slot) {
    float most = slot == BENCH_SCORE_VECTOR ? 2 / sqrtf((float)c->head_dim) : 2;
    return (bench_bounds){-most, most};
}

uint32_t bench_additive_seen(const bench_case *c, uint32_t i) {
    int64_t seen = c->causal ? (int64_t)i + 1 + c->kv_len - c->q_len : c->kv_len;
    return (uint32_t)(seen < 0 ? 0 : seen > c->kv_len ? c->kv_len : seen);
}

static double pairs_of(const bench_case *c) {
    double pairs = 0;
    for (uint32_t i = 0; i < c->q_len; i++) {
        pairs += bench_additive_seen(c, i);
    }
    return pairs;
}

/* Of a channel: a sum, its tanh, a product, another sum. */
bench_cost bench_additive_cost(const bench_case *c) {
    double size = vka_dtype_size(c->dtype), dims = (double)c->head_dim + c->value_dim, pairs = pairs_of(c);
    double bytes = (double)c->batch * size * dims * ((double)c->heads * c->q_len + (double)c->kv_heads * c->kv_len) +
                   size * c->heads * c->head_dim;
    return (bench_cost){.flops = (double)c->batch * c->heads * pairs * (4.0 * c->head_dim + 2.0 * c->value_dim),
                        .bytes = bytes,
                        .footprint = bytes,
                        .pairs = pairs};
}

static bench_effort effort(const bench_case *c) {
    return (bench_effort){.ns = c->kv_len * (60.0 * c->head_dim + 3.0 * c->value_dim + 100), .scratch = c->kv_len};
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    ref_attention a = {
        .batch = c->batch,
        .q_heads = c->heads,
        .kv_heads = c->kv_heads,
        .q_len = c->q_len,
        .kv_len = c->kv_len,
        .head_dim = c->head_dim,
        .value_dim = c->value_dim,
        .q = p->tensors[BENCH_Q].host,
        .k = p->tensors[BENCH_K].host,
        .v = p->tensors[BENCH_V].host,
        .additive = p->tensors[BENCH_SCORE_VECTOR].host,
        .scale = 1,
        .causal = c->causal,
        .diagonal = (int64_t)c->kv_len - c->q_len,
        .q_type = c->dtype,
        .k_type = c->dtype,
        .v_type = c->dtype,
        .out_type = c->dtype,
    };
    uint32_t i = (uint32_t)(row % c->q_len), h = (uint32_t)(row / c->q_len % c->heads);
    uint32_t b = (uint32_t)(row / c->q_len / c->heads);
    ref_softmax softmax;
    ref_attention_row(&a, b, h, i, out->ref[0], &softmax, out->ref_scratch);
    ref_attention_naive_row(&a, b, h, i, out->naive[0], &softmax, out->naive_scratch);
}

BENCH_OPERATION(additive_attention, .shape = BENCH_SHAPE_ATTENTION, .title = "additive attention", .word = "additive ",
                .group = "Additive attention", .paths = BENCH_BIT(BENCH_PATH_ROW) | BENCH_BIT(BENCH_PATH_TILE),
                .check = bench_additive_check, .label = bench_additive_label, .cost = bench_additive_cost,
                .memory_bound = bench_never_memory_bound, .tensor = bench_additive_tensor,
                .bounds = bench_additive_bounds, .effort = effort,
                .slots = BENCH_BIT(BENCH_Q) | BENCH_BIT(BENCH_K) | BENCH_BIT(BENCH_V) | BENCH_BIT(BENCH_SCORE_VECTOR) |
                         BENCH_BIT(BENCH_OUT),
                .reference = reference);
