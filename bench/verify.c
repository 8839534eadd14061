/* Is it right? Outputs against the float64 reference, by the accuracy rule of reference.h.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include "reference.h"

#include <math.h>
#include <stdlib.h>

/* The reference takes about this long for all rows that are compared, so that large cases end some day. */
#define BUDGET_NS  0.6e9
#define LEAST_ROWS 16

/* ---- every element: was it written? ------------------------------------------------------------------------------ */

/* All inputs are finite and small, so every output is finite; what was poisoned and not written is not. */
static bool all_finite(const void *storage, vka_dtype dtype, size_t count) {
    const uint16_t *half = storage;
    const uint32_t *single = storage;
    uint16_t exponent = dtype == VKA_F16 ? 0x7c00 : 0x7f80;
    for (size_t i = 0; i < count; i++) {
        bool finite = dtype == VKA_F32 ? (single[i] & 0x7f800000) != 0x7f800000 : (half[i] & exponent) != exponent;
        if (!finite) {
            return false;
        }
    }
    return true;
}

/* ---- which rows ----------------------------------------------------------------------------------------------------
 */

static uint64_t rows_to_check(uint64_t rows, double ns_per_row) {
    double affordable = BUDGET_NS / ns_per_row;
    uint64_t n = affordable < LEAST_ROWS ? LEAST_ROWS : affordable > 1e15 ? rows : (uint64_t)affordable;
    return n < rows ? n : rows;
}

/* Row number `at` of `n` compared ones: all in order, or the first, the last, and random ones. */
static uint64_t pick_row(ref_rng *rng, uint64_t at, uint64_t n, uint64_t rows) {
    if (n == rows) {
        return at;
    }
    return at == 0 ? 0 : at == 1 ? rows - 1 : ref_rng_u64(rng) % rows;
}

/* ---- attention
 * ------------------------------------------------------------------------------------------------------- */

typedef struct scratch {
    double *ref, *ref_scores;
    float *out, *naive, *naive_scores;
} scratch;

static bool scratch_create(scratch *s, size_t width, size_t scores) {
    *s = (scratch){
        .ref = malloc(2 * width * sizeof(double)),
        .ref_scores = malloc(scores * sizeof(double)),
        .out = malloc(2 * width * sizeof(float)),
        .naive = malloc(2 * width * sizeof(float)),
        .naive_scores = malloc(scores * sizeof(float)),
    };
    return s->ref && s->ref_scores && s->out && s->naive && s->naive_scores;
}

static void scratch_destroy(scratch *s) {
    free(s->ref);
    free(s->ref_scores);
    free(s->out);
    free(s->naive);
    free(s->naive_scores);
}

static void add_row(ref_error *e, const void *storage, vka_dtype dtype, uint64_t row, size_t width, scratch *s,
                    size_t offset) {
    const char *bytes = storage;
    ref_load(dtype, s->out, bytes + row * width * vka_dtype_size(dtype), width);
    for (size_t i = 0; i < width; i++) {
        ref_error_add(e, (double)s->out[i], (double)s->naive[offset + i], s->ref[offset + i]);
    }
}

static void check_attention(const bench_problem *p, const void *out, uint64_t seed, scratch *s, bench_check *check,
                            ref_error *e) {
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
        .scale = 1 / sqrt((double)c->head_dim),
        .causal = c->causal,
        .diagonal = (int64_t)c->kv_len - c->q_len,
        .window = bench_case_windowed(c),
        .left = c->window_left,
        .right = c->window_right,
        .q_type = c->dtype,
        .k_type = c->dtype,
        .v_type = c->dtype,
        .out_type = c->dtype,
    };
    double visible = bench_case_cost(c).pairs / c->q_len;
    double ns = visible * (3.0 * (c->head_dim + c->value_dim) + 100) + 20.0 * c->kv_len;
    ref_rng rng = ref_rng_seed(seed);
    check->rows = (uint64_t)c->batch * c->heads * c->q_len;
    check->rows_checked = rows_to_check(check->rows, ns);
    for (uint64_t at = 0; at < check->rows_checked; at++) {
        uint64_t row = pick_row(&rng, at, check->rows_checked, check->rows);
        uint32_t i = (uint32_t)(row % c->q_len), h = (uint32_t)(row / c->q_len % c->heads);
        uint32_t b = (uint32_t)(row / c->q_len / c->heads);
        ref_softmax softmax;
        ref_attention_row(&a, b, h, i, s->ref, &softmax, s->ref_scores);
        ref_attention_naive_row(&a, b, h, i, s->naive, &softmax, s->naive_scores);
        add_row(e, out, c->dtype, row, c->value_dim, s, 0);
    }
}

/* ---- layer norm
 * --------------------------------------------------------------------------------------------------------- */

/* `sum` is NULL without a residual; e_sum then stays empty. */
static void check_layer_norm(const bench_problem *p, const void *out, const void *sum, uint64_t seed, scratch *s,
                             bench_check *check, ref_error *e, ref_error *e_sum) {
    const bench_case *c = p->c;
    ref_layer_norm n = {
        .rows = c->rows,
        .cols = c->cols,
        .x = p->tensors[BENCH_X].host,
        .weight = p->tensors[BENCH_WEIGHT].host,
        .bias = p->tensors[BENCH_BIAS].host,
        .residual = p->tensors[BENCH_RESIDUAL].host,
        .round_sum = sum != NULL,
        .epsilon = 1e-5,
    };
    ref_rng rng = ref_rng_seed(seed);
    size_t cols = c->cols;
    check->rows = c->rows;
    check->rows_checked = rows_to_check(check->rows, 60.0 * c->cols);
    for (uint64_t at = 0; at < check->rows_checked; at++) {
        uint32_t row = (uint32_t)pick_row(&rng, at, check->rows_checked, check->rows);
        double mean, inv_std;
        float naive_mean, naive_inv_std;
        ref_layer_norm_row(&n, c->dtype, row, s->ref, sum ? s->ref + cols : NULL, &mean, &inv_std);
        ref_layer_norm_naive_row(&n, c->dtype, row, s->naive, sum ? s->naive + cols : NULL, &naive_mean,
                                 &naive_inv_std);
        add_row(e, out, c->dtype, row, cols, s, 0);
        if (sum) {
            add_row(e_sum, sum, c->dtype, row, cols, s, cols);
        }
    }
}

/* ---- verdict
 * -------------------------------------------------------------------------------------------------------------- */

/* "" if the outputs pass. */
static const char *judge(const bench_problem *p, void *const *outputs, uint64_t seed, scratch *s, bench_check *check) {
    const bench_case *c = p->c;
    ref_error e = {0}, e_sum = {0};
    for (bench_slot slot = BENCH_OUT; slot < BENCH_SLOTS; slot++) {
        size_t count = p->tensors[slot].count;
        if (count && !outputs[slot - BENCH_OUT]) {
            return "an output can't be read";
        }
        if (count && !all_finite(outputs[slot - BENCH_OUT], c->dtype, count)) {
            return "an output element is NaN or infinite, or was never written";
        }
    }
    if (c->op == BENCH_ATTENTION) {
        check_attention(p, outputs[0], seed, s, check, &e);
    } else {
        check_layer_norm(p, outputs[0], outputs[BENCH_SUM - BENCH_OUT], seed, s, check, &e, &e_sum);
    }
    check->max_error = fmax(e.out, e_sum.out);
    check->naive_error = fmax(e.naive, e_sum.naive);
    return ref_error_ok(&e) && ref_error_ok(&e_sum) ? "" : "the accuracy rule is broken";
}

bench_check bench_verify(const bench_problem *p, void *const outputs[BENCH_SLOTS - BENCH_OUT], uint64_t seed) {
    const bench_case *c = p->c;
    bool attention = c->op == BENCH_ATTENTION;
    bench_check check = {.max_error = NAN, .naive_error = NAN};
    scratch s;
    if (scratch_create(&s, attention ? c->value_dim : c->cols, attention ? c->kv_len : 1)) {
        check.why = judge(p, outputs, seed, &s, &check);
    } else {
        check.why = "out of host memory";
    }
    scratch_destroy(&s);
    check.ok = check.why[0] == '\0';
    return check;
}
