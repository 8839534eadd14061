/* Reformer (Kitaev 2020) as its callers put it together: tokens sorted by hashes, attention within chunks of the sorted
 * orders, rounds merged. Every element by the accuracy rule, from the orders that the device found.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/attention.h>
#include <vkattn/lsh.h>
#include <vkattn/merge.h>

#include "lsh_case.h"

enum { VALUES = 20, MAX_ROUNDS = 4 };

/* The sort's tokens are the queries, and its keys the keys. */
typedef struct reformer_case {
    lsh_case sort;
    uint32_t chunk, after; /* every chunk sees the one before it, and so many after it */
    bool causal;
} reformer_case;

typedef struct reformer {
    context *c;
    reformer_case r;
    lsh_problem sort;
    vka_pattern_term term;
    vka_pattern_desc pattern_desc;
    vka_pattern *pattern;
    tensor v, bias, out[MAX_ROUNDS], lse[MAX_ROUNDS]; /* of each round; then merged into the first */
} reformer;

static void *must(void *memory) {
    cr_assert_not_null(memory, "the test itself is out of memory");
    return memory;
}

static void make(reformer *f, context *c, reformer_case r) {
    *f = (reformer){.c = c, .r = r, .sort = lsh_make(c, r.sort, test_seed())};
    const lsh_case *l = &f->sort.l;
    const uint32_t shape[] = {l->batch, l->heads, l->tokens, VALUES};
    ref_rng rng = ref_rng_seed(test_seed() + 1);
    f->v = tensor_create(c, l->dtype, 4, shape, l->layout);
    tensor_fill_normal(&f->v, &rng, 0, 1);
    tensor_upload(&f->v);
    f->bias = tensor_create(c, VKA_F32, 2, (uint32_t[]){1, 3}, (layout){0});
    f->bias.values[1] = -1e5f;
    tensor_upload(&f->bias);
    for (uint32_t round = 0; round < l->rounds; round++) {
        f->out[round] = tensor_create(c, l->dtype, 4, shape, l->layout);
        f->lse[round] = tensor_create(c, VKA_F32, 3, shape, (layout){0});
    }
    f->term = (vka_pattern_term){.kind = VKA_PATTERN_CHUNKS, .chunks = {r.chunk, 1, r.after}};
    f->pattern_desc = (vka_pattern_desc){.queries = l->tokens, .keys = l->tokens, .terms = &f->term, .term_count = 1};
    EXPECT_OK(vka_pattern_create(c->device, &f->pattern_desc, &f->pattern));
}

static void destroy(reformer *f) {
    for (uint32_t round = 0; round < f->sort.l.rounds; round++) {
        tensor_destroy(&f->out[round]);
        tensor_destroy(&f->lse[round]);
    }
    tensor_destroy(&f->v);
    tensor_destroy(&f->bias);
    vka_pattern_destroy(&f->pattern);
    lsh_destroy(&f->sort);
}

static void record(reformer *f) {
    vka_recorder *recorder = f->c->recorder;
    vka_lsh_sort_desc sort = lsh_desc(&f->sort);
    EXPECT_OK(vka_recorder_begin(recorder));
    EXPECT_OK(vka_lsh_sort(recorder, &sort));
    for (uint32_t round = 0; round < f->sort.l.rounds; round++) {
        vka_attention_desc attend = {.q = sort.x,
                                     .k = sort.keys,
                                     .v = f->v.view,
                                     .out = f->out[round].view,
                                     .lse = f->lse[round].view,
                                     .scale = 1,
                                     .causal = f->r.causal,
                                     .permutation = vka_lsh_round(sort.permutation, round),
                                     .pattern = f->pattern,
                                     .relative_bias = f->bias.view,
                                     .relative_zero = 1};
        EXPECT_OK(vka_attention(recorder, &attend));
    }
    for (uint32_t round = 1; round < f->sort.l.rounds; round++) {
        vka_attention_merge_desc merge = {.a = f->out[0].view,
                                          .b = f->out[round].view,
                                          .a_lse = f->lse[0].view,
                                          .b_lse = f->lse[round].view,
                                          .out = f->out[0].view,
                                          .lse = f->lse[0].view};
        EXPECT_OK(vka_attention_merge(recorder, &merge));
    }
}

/* ---- reference ------------------------------------------------------------------------------------------------- */

/* Where the tokens are in a round, [B, H, N]; -1: nowhere. */
static int64_t *places_of(const reformer *f, uint32_t round) {
    size_t count = f->v.count / VALUES, tokens = f->sort.l.tokens;
    int64_t *slots = must(malloc(count * sizeof *slots));
    memset(slots, 0xff, count * sizeof *slots);
    for (size_t n = 0; n < count; n++) {
        int32_t token = lsh_integer(&f->sort.permutation, round * count + n);
        if (token >= 0) {
            slots[n / tokens * tokens + (size_t)token] = (int64_t)(n % tokens);
        }
    }
    return slots;
}

/* What keys are in float64, as near as float has it, and in f32 and storage. */
static void make_keys(const reformer *f, float *keys, float *naive_keys) {
    const lsh_case *l = &f->sort.l;
    double key[1024];
    for (size_t row = 0; row < f->sort.x.count / l->dim; row++) {
        const float *x = f->sort.x.values + row * l->dim;
        ref_lsh_key(x, l->dim, 1e-6, key);
        ref_lsh_naive_key(x, l->dim, 1e-6f, l->dtype, naive_keys + row * l->dim);
        for (uint32_t d = 0; d < l->dim; d++) {
            keys[row * l->dim + d] = (float)key[d];
        }
    }
}

static ref_attention reference(const reformer *f, const float *keys, const int64_t *slots) {
    const lsh_case *l = &f->sort.l;
    return (ref_attention){.batch = l->batch,
                           .q_heads = l->heads,
                           .kv_heads = l->heads,
                           .q_len = l->tokens,
                           .kv_len = l->tokens,
                           .head_dim = l->dim,
                           .value_dim = VALUES,
                           .q = f->sort.x.values,
                           .k = keys,
                           .v = f->v.values,
                           .scale = 1,
                           .causal = f->r.causal,
                           .relative = f->bias.values,
                           .relative_heads = 1,
                           .relative_len = 3,
                           .relative_zero = 1,
                           .pattern = &f->pattern_desc,
                           .slots = slots,
                           .q_type = l->dtype,
                           .k_type = l->dtype,
                           .v_type = l->dtype,
                           .out_type = l->dtype};
}

/* One token's output over all rounds: the rounds' outputs, weighted by the exponentials of their log-sum-exps. */
static void exact_row(const ref_attention *rounds, uint32_t count, const uint32_t at[3], double *scratch, double *out,
                      double *lse) {
    double part[MAX_ROUNDS][VALUES], largest = -INFINITY, sum = 0;
    ref_softmax softmax[MAX_ROUNDS];
    for (uint32_t round = 0; round < count; round++) {
        ref_attention_row(&rounds[round], at[0], at[1], at[2], part[round], &softmax[round], scratch);
        largest = fmax(largest, softmax[round].lse);
    }
    memset(out, 0, VALUES * sizeof *out);
    for (uint32_t round = 0; round < count; round++) {
        double weight = exp(softmax[round].lse - largest);
        sum += weight;
        for (uint32_t d = 0; d < VALUES; d++) {
            out[d] += weight * part[round][d];
        }
    }
    for (uint32_t d = 0; d < VALUES; d++) {
        out[d] /= sum;
    }
    *lse = largest + log(sum);
}

/* The same unfused, in storage precision, rounds merged one after the other. */
static void naive_row(const ref_attention *rounds, uint32_t count, const uint32_t at[3], float *scratch, float *out,
                      float *lse) {
    float part[VALUES], merged[VALUES];
    ref_softmax softmax;
    ref_attention_naive_row(&rounds[0], at[0], at[1], at[2], out, &softmax, scratch);
    *lse = (float)softmax.lse;
    for (uint32_t round = 1; round < count; round++) {
        ref_attention_naive_row(&rounds[round], at[0], at[1], at[2], part, &softmax, scratch);
        const ref_merge merge = {VALUES, out, part, *lse, (float)softmax.lse};
        ref_merge_naive_row(&merge, rounds[0].out_type, merged, lse);
        memcpy(out, merged, sizeof merged);
    }
}

static void compare_rows(const reformer *f, const ref_attention *exact, const ref_attention *naive) {
    const lsh_case *l = &f->sort.l;
    double *scratch = must(calloc(l->tokens, sizeof *scratch)), ref[VALUES], ref_lse;
    float *naive_scratch = must(calloc(l->tokens, sizeof *naive_scratch)), row[VALUES], lse;
    ref_error out_error = {0}, lse_error = {0};
    for (uint32_t n = 0; n < f->v.count / VALUES; n++) {
        const uint32_t at[] = {n / l->tokens / l->heads, n / l->tokens % l->heads, n % l->tokens};
        if (at[2] >= (uint32_t)f->sort.tokens[at[0]]) {
            continue;
        }
        exact_row(exact, l->rounds, at, scratch, ref, &ref_lse);
        naive_row(naive, l->rounds, at, naive_scratch, row, &lse);
        /* Of a token that sees only itself it is about -1e5, of which f32 has no more than two digits behind the point,
         * in powers of two or of e; it weighs nothing in a merge, which the output shows. */
        if (ref_lse > -1e4) {
            ref_error_add(&lse_error, (double)f->lse[0].values[n], (double)lse, ref_lse);
        }
        for (uint32_t d = 0; d < VALUES; d++) {
            ref_error_add(&out_error, (double)f->out[0].values[(size_t)n * VALUES + d], (double)row[d], ref[d]);
        }
    }
    free(scratch);
    free(naive_scratch);
    cr_assert(ref_error_ok(&out_error) && ref_error_ok(&lse_error),
              "%s, %u rounds in chunks of %u: out is off by %g, naive by %g; lse by %g, naive by %g, VKATTN_SEED=%llu",
              dtype_name(l->dtype), l->rounds, f->r.chunk, out_error.out, out_error.naive, lse_error.out,
              lse_error.naive, (unsigned long long)test_seed());
}

static void compare(reformer *f) {
    const lsh_case *l = &f->sort.l;
    ref_attention exact[MAX_ROUNDS], naive[MAX_ROUNDS];
    float *keys = must(malloc(f->sort.x.count * sizeof *keys)),
          *naive_keys = must(malloc(f->sort.x.count * sizeof *naive_keys));
    int64_t *slots[MAX_ROUNDS];
    lsh_compare(&f->sort);
    cr_assert(tensor_download(&f->out[0]) && tensor_download(&f->lse[0]), "writes outside of its outputs");
    make_keys(f, keys, naive_keys);
    for (uint32_t round = 0; round < l->rounds; round++) {
        slots[round] = places_of(f, round);
        exact[round] = reference(f, keys, slots[round]);
        naive[round] = reference(f, naive_keys, slots[round]);
    }
    compare_rows(f, exact, naive);
    for (uint32_t round = 0; round < l->rounds; round++) {
        free(slots[round]);
    }
    free(keys);
    free(naive_keys);
}

/* ---- tests ----------------------------------------------------------------------------------------------------- */

static void check(const reformer_case *r) {
    context c;
    reformer f;
    context_open(&c, &config_real);
    make(&f, &c, *r);
    lsh_poison(&f.sort);
    record(&f);
    context_finish(&c);
    compare(&f);
    destroy(&f);
    context_close(&c);
}

/* A decoder: the first tokens see nobody but themselves in any round, and some others in some. */
Test(reformer, causal) {
    check(&(reformer_case){.sort = {.batch = 2,
                                    .heads = 2,
                                    .tokens = 317,
                                    .dim = 16,
                                    .rounds = 3,
                                    .bucket_count = {16},
                                    .layout = {"0213", 0, 0}},
                           .chunk = 32,
                           .causal = true});
}

/* An encoder of sequences of different lengths, with rotations for all heads, hashed twice. */
Test(reformer, encoder) {
    check(&(reformer_case){.sort = {.dtype = VKA_F16,
                                    .batch = 3,
                                    .heads = 2,
                                    .tokens = 150,
                                    .dim = 24,
                                    .rounds = 2,
                                    .bucket_count = {4, 6},
                                    .shared_rotations = true,
                                    .lengths = LENGTHS_TENSOR},
                           .chunk = 24,
                           .after = 1});
}

Test(reformer, bf16) {
    check(&(reformer_case){
        .sort = {.dtype = VKA_BF16, .heads = 2, .tokens = 200, .dim = 8, .rounds = 4, .bucket_count = {10}},
        .chunk = 20,
        .causal = true});
}
