/* SPDX-License-Identifier: MIT */
#include "ring/reference.h"

#include "common/program.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Everything of all tokens, [heads, tokens, dim]. */
typedef struct whole {
    const problem *p;
    float *inputs[4];
    ref_attention attention;
    double *exact[RESULTS], *naive[RESULTS];
    uint32_t width[RESULTS], heads[RESULTS]; /* of a head */
} whole;

static size_t place(const whole *w, uint32_t head, uint32_t token, uint32_t width) {
    return ((size_t)head * w->p->shards.tokens + token) * width;
}

static void make_inputs(whole *w) {
    const problem *p = w->p;
    for (int i = INPUT_Q; i <= INPUT_D_OUT; i++) {
        const uint32_t width = problem_width(p, (input)i);
        float *row = allocate(width, sizeof *row);
        w->inputs[i] = allocate((size_t)p->shards.tokens * width, sizeof *row);
        for (uint32_t token = 0; token < p->shards.tokens; token++) {
            problem_token(p, (input)i, token, row);
            for (uint32_t head = 0; head < width / p->dim; head++) {
                memcpy(w->inputs[i] + place(w, head, token, p->dim), row + head * p->dim, p->dim * sizeof *row);
            }
        }
        free(row);
    }
}

/* ---- sums ---------------------------------------------------------------------------------------------------- */

static void add(double *sum, bool naive, double by, const float *row, uint32_t dim) {
    for (uint32_t c = 0; c < dim; c++) {
        sum[c] = ref_step(naive, sum[c] + ref_step(naive, by * (double)row[c]));
    }
}

static void backward_row(whole *w, uint32_t h, uint32_t i, bool naive, ref_pairs *pairs) {
    const problem *p = w->p;
    double **to = naive ? w->naive : w->exact;
    const float *d_out = w->inputs[INPUT_D_OUT] + place(w, h, i, p->dim),
                *q = w->inputs[INPUT_Q] + place(w, h, i, p->dim);
    (naive ? ref_attention_naive_backward_row : ref_attention_backward_row)(&w->attention, 0, h, i, d_out, 0, pairs);
    for (uint32_t j = 0; j < p->shards.tokens; j++) {
        const size_t key = place(w, h / (p->heads / p->kv_heads), j, p->dim);
        const double product = ref_step(naive, pairs->product[j] * w->attention.scale);
        if (!p->causal || j <= i) {
            add(to[RESULT_D_Q] + place(w, h, i, p->dim), naive, product, w->inputs[INPUT_K] + key, p->dim);
            add(to[RESULT_D_K] + key, naive, product, q, p->dim);
            add(to[RESULT_D_V] + key, naive, pairs->weight[j], d_out, p->dim);
        }
    }
}

static void forward_row(whole *w, uint32_t h, uint32_t i, double *scratch) {
    const uint32_t dim = w->p->dim;
    const size_t at = place(w, h, i, 1);
    ref_softmax softmax;
    float *row = allocate(dim, sizeof *row);
    ref_attention_row(&w->attention, 0, h, i, w->exact[RESULT_OUT] + at * dim, &softmax, scratch);
    w->exact[RESULT_LSE][at] = softmax.lse;
    ref_attention_naive_row(&w->attention, 0, h, i, row, &softmax, (float *)scratch);
    w->naive[RESULT_LSE][at] = softmax.lse;
    for (uint32_t c = 0; c < dim; c++) {
        w->naive[RESULT_OUT][at * dim + c] = (double)row[c];
    }
    free(row);
}

static void compute(whole *w) {
    const uint32_t tokens = w->p->shards.tokens;
    double *scratch = allocate(tokens, sizeof *scratch);
    ref_pairs pairs = {allocate(tokens, sizeof(double)), allocate(tokens, sizeof(double)),
                       allocate(tokens, sizeof(double)), 0, 0};
    for (uint32_t h = 0; h < w->p->heads; h++) {
        for (uint32_t i = 0; i < tokens; i++) {
            forward_row(w, h, i, scratch);
            for (int naive = 0; naive < 2 && w->p->backward; naive++) {
                backward_row(w, h, i, naive, &pairs);
            }
        }
    }
    free(pairs.weight);
    free(pairs.score);
    free(pairs.product);
    free(scratch);
}

/* ---- comparison ---------------------------------------------------------------------------------------------- */

static void compare(const whole *w, result which, uint32_t rank, const float *values, ref_error *error) {
    const shards *s = &w->p->shards;
    const uint32_t heads = w->heads[which], width = w->width[which];
    for (uint32_t row = 0; row < shards_rows(s, rank); row++) {
        for (uint32_t head = 0; head < heads; head++) {
            const size_t at = place(w, head, shards_token(s, rank, row), width);
            for (uint32_t c = 0; c < width; c++) {
                ref_error_add(error, (double)*values++, w->naive[which][at + c], w->exact[which][at + c]);
            }
        }
    }
}

void reference_compare(const problem *p, uint32_t rank, float *const values[RESULTS], ref_error errors[RESULTS]) {
    const int results = p->backward ? RESULTS : RESULT_D_Q;
    whole w = {.p = p};
    make_inputs(&w);
    w.attention = (ref_attention){
        .batch = 1,
        .q_heads = p->heads,
        .kv_heads = p->kv_heads,
        .q_len = p->shards.tokens,
        .kv_len = p->shards.tokens,
        .head_dim = p->dim,
        .value_dim = p->dim,
        .q = w.inputs[INPUT_Q],
        .k = w.inputs[INPUT_K],
        .v = w.inputs[INPUT_V],
        .scale = 1 / sqrt(p->dim),
        .causal = p->causal,
        .q_type = p->dtype,
        .k_type = p->dtype,
        .v_type = p->dtype,
        .out_type = VKA_F32,
    };
    for (int r = 0; r < results; r++) {
        w.heads[r] = r >= RESULT_D_K ? p->kv_heads : p->heads;
        w.width[r] = r == RESULT_LSE ? 1 : p->dim;
        w.exact[r] = allocate((size_t)p->shards.tokens * w.heads[r] * w.width[r], sizeof(double));
        w.naive[r] = allocate((size_t)p->shards.tokens * w.heads[r] * w.width[r], sizeof(double));
    }
    compute(&w);
    for (int r = 0; r < results; r++) {
        compare(&w, (result)r, rank, values[r], &errors[r]);
        free(w.exact[r]);
        free(w.naive[r]);
    }
    for (int i = 0; i < 4; i++) {
        free(w.inputs[i]);
    }
}
