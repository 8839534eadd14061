/* The reference of attention against closed forms, and against itself where two descriptions mean the same.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reference.h"

#define B    2
#define HQ   4
#define HKV  2
#define NQ   7
#define NK   11
#define D    5
#define DV   3
#define MANY 4096

/* Random inputs; every array is large enough for any use here. */
static float q[MANY], k[MANY], v[MANY], other[MANY];

static ref_attention random_attention(uint64_t seed) {
    ref_rng rng = ref_rng_seed(seed);
    for (size_t i = 0; i < MANY; i++) {
        q[i] = ref_rng_normal(&rng);
        k[i] = ref_rng_normal(&rng);
        v[i] = ref_rng_normal(&rng);
        other[i] = ref_rng_normal(&rng);
    }
    return (ref_attention){.batch = B,
                           .q_heads = HQ,
                           .kv_heads = HKV,
                           .q_len = NQ,
                           .kv_len = NK,
                           .head_dim = D,
                           .value_dim = DV,
                           .q = q,
                           .k = k,
                           .v = v,
                           .scale = 0.7};
}

typedef struct row {
    double out[DV];
    ref_softmax softmax;
} row;

static row compute(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i) {
    row r;
    double scratch[MANY];
    ref_attention_row(a, b, h, i, r.out, &r.softmax, scratch);
    return r;
}

static void expect_close(double x, double y, const char *what) {
    cr_assert((isinf(x) && x == y) || fabs(x - y) <= 1e-12 * (1 + fabs(y)), "%s: %.17g and %.17g", what, x, y);
}

static void expect_same(const row *x, const row *y, const char *what) {
    for (uint32_t c = 0; c < DV; c++) {
        expect_close(x->out[c], y->out[c], what);
    }
    expect_close(x->softmax.lse, y->softmax.lse, what);
}

static void expect_all_same(const ref_attention *x, const ref_attention *y, const char *what) {
    for (uint32_t n = 0; n < B * HQ * NQ; n++) {
        row a = compute(x, n / NQ / HQ, n / NQ % HQ, n % NQ), b = compute(y, n / NQ / HQ, n / NQ % HQ, n % NQ);
        expect_same(&a, &b, what);
    }
}

static void expect_somewhere_different(const ref_attention *x, const ref_attention *y, const char *what) {
    double most = 0;
    for (uint32_t n = 0; n < B * HQ * NQ; n++) {
        row a = compute(x, n / NQ / HQ, n / NQ % HQ, n % NQ), b = compute(y, n / NQ / HQ, n / NQ % HQ, n % NQ);
        most = fmax(most, fabs(a.out[0] - b.out[0]));
    }
    cr_assert_gt(most, 1e-3, "%s changes nothing", what);
}

/* ---- by hand --------------------------------------------------------------------------------------------------- */

Test(reference_attention, by_hand) {
    static const float query[2] = {0, 1}, keys[6] = {1, 1, 0, 1, 0, 0}, values[3] = {3, 5, NAN};
    ref_attention a = {.batch = 1,
                       .q_heads = 1,
                       .kv_heads = 1,
                       .q_len = 1,
                       .kv_len = 3,
                       .head_dim = 2,
                       .value_dim = 1,
                       .q = query,
                       .k = keys,
                       .v = values,
                       .scale = 1,
                       .causal = true,
                       .diagonal = 1};
    double out, scratch[3];
    float naive, naive_scratch[3];
    ref_softmax s;
    ref_attention_row(&a, 0, 0, 0, &out, &s, scratch); /* keys 0 and 1, both with score 1 */
    cr_expect_float_eq(out, 4, 1e-15);
    cr_expect_float_eq(s.lse, 1 + log(2), 1e-15);
    cr_expect(s.max == 1 && s.sum == 2);
    ref_attention_naive_row(&a, 0, 0, 0, &naive, &s, naive_scratch);
    cr_expect_float_eq(naive, 4, 1e-6);
    a.diagonal = 2; /* sees the NaN */
    ref_attention_row(&a, 0, 0, 0, &out, &s, scratch);
    cr_expect(isnan(out) && !isnan(s.lse));
    a.diagonal = -1; /* sees nothing */
    ref_attention_row(&a, 0, 0, 0, &out, &s, scratch);
    cr_expect(out == 0 && s.lse == -INFINITY && s.max == -INFINITY && s.sum == 0);
    a.q_type = a.k_type = a.v_type = a.out_type = VKA_F16;
    ref_attention_naive_row(&a, 0, 0, 0, &naive, &s, naive_scratch);
    cr_expect(naive == 0 && s.lse == -INFINITY);
}

Test(reference_attention, visible) {
    ref_attention a = {.q_heads = 1, .kv_heads = 1, .kv_len = 10, .diagonal = 3, .window = true, .left = 2, .right = 1};
    for (int64_t j = -1; j <= 10; j++) {
        cr_expect_eq(ref_attention_visible(&a, 0, 0, 1, j), j >= 2 && j <= 5);
    }
    a.left = VKA_UNBOUNDED;
    cr_expect(ref_attention_visible(&a, 0, 0, 1, 0) && !ref_attention_visible(&a, 0, 0, 1, 6));
    a.right = VKA_UNBOUNDED;
    cr_expect(ref_attention_visible(&a, 0, 0, 1, 9) && !ref_attention_visible(&a, 0, 0, 1, 10));
    a.causal = true;
    cr_expect(ref_attention_visible(&a, 0, 0, 1, 4) && !ref_attention_visible(&a, 0, 0, 1, 5));
    a.left = -1;
    cr_expect(!ref_attention_visible(&a, 0, 0, 5, 0));
    const uint32_t lens[2] = {10, 3};
    const int64_t diagonals[2] = {100, 1};
    a = (ref_attention){.kv_len = 10, .causal = true, .kv_lens = lens, .diagonals = diagonals};
    for (int64_t j = 0; j < 10; j++) {
        cr_expect_eq(ref_attention_visible(&a, 0, 0, 0, j), true);
        cr_expect_eq(ref_attention_visible(&a, 1, 0, 0, j), j <= 1);
        cr_expect_eq(ref_attention_visible(&a, 1, 0, 9, j), j < 3);
    }
}

/* Keys that are all alike: the mean of the values they go with. */
Test(reference_attention, uniform_keys) {
    ref_attention a = random_attention(1);
    memset(k, 0, sizeof k);
    for (uint32_t h = 0; h < HQ; h++) {
        row r = compute(&a, 1, h, 3);
        double mean = 0;
        for (uint32_t j = 0; j < NK; j++) {
            mean += (double)v[((HKV + h / 2) * NK + j) * DV + 1] / NK;
        }
        expect_close(r.out[1], mean, "mean");
        expect_close(r.softmax.lse, log(NK), "lse");
    }
}

/* ---- scores ---------------------------------------------------------------------------------------------------- */

Test(reference_attention, softcap) {
    ref_attention a = random_attention(2), b = a;
    double plain[NK], capped[NK], stage[NK];
    b.softcap = 1e9;
    ref_attention_scores(&a, VKA_SCORES_MASKED, 0, 1, 2, plain);
    ref_attention_scores(&b, VKA_SCORES_MASKED, 0, 1, 2, capped);
    for (uint32_t j = 0; j < NK; j++) { /* a huge cap caps nothing */
        cr_expect_float_eq(plain[j], capped[j], 1e-9);
    }
    b.softcap = 1e-9;
    ref_attention_scores(&b, VKA_SCORES_CAPPED, 0, 1, 2, capped);
    for (uint32_t j = 0; j < NK; j++) { /* of a tiny one the sign is left */
        expect_close(capped[j], copysign(1e-9, plain[j]), "tiny");
    }
    b.softcap = 1.5;
    ref_attention_scores(&b, VKA_SCORES_CAPPED, 0, 1, 2, capped);
    ref_attention_scores(&b, VKA_SCORES_SCALED, 0, 1, 2, stage);
    for (uint32_t j = 0; j < NK; j++) {
        expect_close(stage[j], plain[j], "scaled");
        expect_close(capped[j], 1.5 * tanh(plain[j] / 1.5), "capped");
    }
    expect_somewhere_different(&a, &b, "softcap");
}

/* ALiBi and relative biases are additive masks. */
Test(reference_attention, biases_are_masks) {
    static float mask[B * HQ * NQ * NK], slopes[HQ] = {0.5f, 0.25f, 1, 0}, table[HQ * 6];
    ref_attention a = random_attention(3), b = a;
    a.diagonal = b.diagonal = NK - NQ;
    a.alibi = slopes;
    a.relative = table;
    a.relative_heads = HQ;
    a.relative_len = 6;
    a.relative_zero = 2;
    for (int n = 0; n < HQ * 6; n++) {
        table[n] = n % 5 == 1 ? -INFINITY : other[n];
    }
    for (uint32_t n = 0; n < B * HQ * NQ * NK; n++) {
        int32_t j = (int32_t)(n % NK), p = (int32_t)(n / NK % NQ) + NK - NQ;
        uint32_t h = n / NK / NQ % HQ;
        int32_t at = j - p + 2 < 0 ? 0 : j - p + 2 > 5 ? 5 : j - p + 2;
        mask[n] = table[h * 6 + (uint32_t)at] - slopes[h] * (float)abs(p - j);
    }
    b.mask = mask;
    memcpy(b.mask_shape, (uint32_t[]){B, HQ, NQ, NK}, sizeof b.mask_shape);
    for (uint32_t n = 0; n < B * HQ * NQ; n++) {
        row x = compute(&a, n / NQ / HQ, n / NQ % HQ, n % NQ), y = compute(&b, n / NQ / HQ, n / NQ % HQ, n % NQ);
        for (uint32_t c = 0; c < DV; c++) { /* the mask is rounded to f32 */
            cr_expect_float_eq(x.out[c], y.out[c], 1e-6);
        }
    }
    b.mask = NULL;
    expect_somewhere_different(&a, &b, "bias");
}

/* One row of a table for all heads, and every way to broadcast a mask. */
Test(reference_attention, broadcast) {
    static float whole[B * HQ * NQ * NK], table[HQ * 3];
    const uint32_t shape[4] = {B, HQ, NQ, NK};
    ref_attention a = random_attention(4), b = a;
    memcpy(a.mask_shape, shape, sizeof shape);
    for (uint32_t bits = 0; bits < 16; bits++) {
        uint32_t size[4];
        for (int dim = 0; dim < 4; dim++) {
            size[dim] = bits >> dim & 1 ? 1 : shape[dim];
        }
        for (uint32_t n = 0; n < B * HQ * NQ * NK; n++) {
            uint32_t at[4] = {n / NK / NQ / HQ, n / NK / NQ % HQ, n / NK % NQ, n % NK}, index = 0;
            for (int dim = 0; dim < 4; dim++) {
                index = index * size[dim] + at[dim] % size[dim];
            }
            whole[n] = other[index];
        }
        a.mask = whole;
        b.mask = other;
        memcpy(b.mask_shape, size, sizeof size);
        expect_all_same(&a, &b, "broadcast");
    }
    a.mask = b.mask = NULL;
    a.relative_len = b.relative_len = 3;
    a.relative_heads = HQ;
    b.relative_heads = 1;
    for (int n = 0; n < HQ * 3; n++) {
        table[n] = other[n % 3];
    }
    a.relative = table;
    b.relative = other;
    expect_all_same(&a, &b, "one row");
}

/* A boolean mask, and an additive one that is -inf in the same slots: what is masked may be NaN. */
Test(reference_attention, masks) {
    static float boolean[NQ * NK], additive[NQ * NK];
    ref_attention a = random_attention(5), b = a, c = a;
    for (uint32_t n = 0; n < NQ * NK; n++) {
        bool keep = n / NK != 4 && n % NK != 6 && n % 3 != 0;
        boolean[n] = keep ? 2 : 0;
        additive[n] = keep ? 0 : -INFINITY;
    }
    for (uint32_t h = 0; h < B * HKV; h++) { /* key 6 is masked for everyone */
        k[(h * NK + 6) * D] = NAN;
        v[(h * NK + 6) * DV] = INFINITY;
    }
    a.mask = boolean;
    a.mask_boolean = true;
    b.mask = additive;
    memcpy(a.mask_shape, (uint32_t[]){1, 1, NQ, NK}, sizeof a.mask_shape);
    memcpy(b.mask_shape, a.mask_shape, sizeof b.mask_shape);
    expect_all_same(&a, &b, "boolean and additive");
    row dead = compute(&b, 1, 2, 4);
    cr_expect(dead.out[0] == 0 && dead.softmax.lse == -INFINITY);
    cr_expect(isnan(compute(&c, 0, 0, 0).out[0]));
    additive[1] = INFINITY; /* as IEEE says */
    row infinite = compute(&b, 0, 0, 0);
    cr_expect(isnan(infinite.out[0]) && isnan(infinite.softmax.lse));
}

/* ---- softmax --------------------------------------------------------------------------------------------------- */

/* A sink is one more key, with a value of 0. */
Test(reference_attention, sinks) {
    static float more_k[B * HKV * (NK + 1) * D], more_v[B * HKV * (NK + 1) * DV], mask[HQ * (NK + 1)],
        sinks[HQ] = {-1, 0.5f, 3, -INFINITY};
    ref_attention a = random_attention(6), b = a;
    for (uint32_t h = 0; h < B * HKV; h++) {
        memcpy(more_k + (size_t)h * (NK + 1) * D, k + (size_t)h * NK * D, NK * D * sizeof(float));
        memcpy(more_v + (size_t)h * (NK + 1) * DV, v + (size_t)h * NK * DV, NK * DV * sizeof(float));
    }
    for (uint32_t n = 0; n < HQ * (NK + 1); n++) {
        mask[n] = n % (NK + 1) == NK ? sinks[n / (NK + 1)] : 0;
    }
    a.sinks = sinks;
    b.kv_len = NK + 1;
    b.k = more_k;
    b.v = more_v;
    b.mask = mask;
    memcpy(b.mask_shape, (uint32_t[]){1, HQ, 1, NK + 1}, sizeof b.mask_shape);
    expect_all_same(&a, &b, "sink");
    a.causal = true;
    a.diagonal = -NQ;
    row dead = compute(&a, 0, 2, 1);
    cr_expect(dead.out[0] == 0 && dead.softmax.lse == 3 && dead.softmax.max == 3 && dead.softmax.sum == 1);
    dead = compute(&a, 0, 3, 1);
    cr_expect(dead.softmax.lse == -INFINITY && dead.softmax.sum == 0);
}

Test(reference_attention, stages) {
    static float sinks[HQ] = {0, 1, 2, 3};
    const uint32_t lens[B] = {NK, NK - 3};
    ref_attention a = random_attention(7);
    double p[NK], masked[NK];
    a.causal = true;
    a.sinks = sinks;
    a.kv_lens = lens;
    for (uint32_t i = 0; i < NQ; i++) {
        row r = compute(&a, 1, 1, i);
        double total = exp(1 - r.softmax.lse), out = 0;
        ref_attention_scores(&a, VKA_SCORES_PROBABILITIES, 1, 1, i, p);
        ref_attention_scores(&a, VKA_SCORES_MASKED, 1, 1, i, masked);
        for (uint32_t j = 0; j < NK; j++) {
            total += p[j];
            out += p[j] * (double)v[(HKV * NK + j) * DV];
            cr_expect_eq(masked[j] == -INFINITY, j > i || j >= NK - 3);
            expect_close(p[j], exp(masked[j] - r.softmax.lse), "probability");
        }
        expect_close(total, 1, "total");
        expect_close(out, r.out[0], "out");
        expect_close(r.softmax.lse, r.softmax.max + log(r.softmax.sum), "stats");
    }
    ref_attention_scores(&a, VKA_SCORES_SCALED, 1, 1, 0, p); /* masks come later */
    cr_expect(isfinite(p[NK - 4]) && isfinite(p[NK - 3]) && p[NK - 3] != 0);
    a.own_keys = true;
    ref_attention_scores(&a, VKA_SCORES_SCALED, 1, 1, 0, p);
    cr_expect(p[NK - 4] != 0 && p[NK - 3] == 0);
}

/* ---- storage --------------------------------------------------------------------------------------------------- */

/* Scales of rows are part of the numbers. */
Test(reference_attention, scales) {
    static float scaled_k[MANY], scaled_v[MANY], factors[B * HKV * NK];
    ref_attention a = random_attention(8), b = a;
    for (uint32_t n = 0; n < B * HKV * NK; n++) {
        factors[n] = ldexpf(1, (int)(n % 5) - 2); /* exact */
        for (uint32_t d = 0; d < D; d++) {
            scaled_k[n * D + d] = k[n * D + d] * factors[n];
        }
        for (uint32_t c = 0; c < DV; c++) {
            scaled_v[n * DV + c] = v[n * DV + c] * factors[n];
        }
    }
    a.k_scale = a.v_scale = factors;
    b.k = scaled_k;
    b.v = scaled_v;
    expect_all_same(&a, &b, "scales");
    /* Naive, and dequantised to the type of the queries. */
    float x[DV], y[DV], scratch[NK];
    ref_softmax s;
    a.q_type = b.q_type = a.out_type = b.out_type = b.k_type = b.v_type = VKA_BF16;
    a.k_type = a.v_type = VKA_I8;
    for (uint32_t n = 0; n < MANY; n++) {
        scaled_k[n] = ref_round(VKA_BF16, scaled_k[n]);
        scaled_v[n] = ref_round(VKA_BF16, scaled_v[n]);
    }
    ref_attention_naive_row(&a, 1, 3, 2, x, &s, scratch);
    ref_attention_naive_row(&b, 1, 3, 2, y, &s, scratch);
    cr_expect_arr_eq(x, y, sizeof x);
}

/* The types of the naive twin: what differs is f32. */
Test(reference_attention, naive_types) {
    ref_attention a = random_attention(9);
    double exact[DV], scratch[NK];
    float naive[DV], naive_scratch[NK];
    ref_softmax s;
    for (uint32_t n = 0; n < MANY; n++) {
        q[n] = ref_round(VKA_BF16, q[n]);
        k[n] = ref_round(VKA_BF16, k[n]);
        v[n] = ref_round(VKA_BF16, v[n]);
    }
    static const struct {
        vka_dtype q, k, v, out;
        double least, most;
    } cases[] = {
        {VKA_F32, VKA_F32, VKA_F32, VKA_F32, 0, 1e-6},       {VKA_BF16, VKA_BF16, VKA_BF16, VKA_BF16, 1e-4, 0.1},
        {VKA_F32, VKA_BF16, VKA_BF16, VKA_F32, 0, 1e-6},     {VKA_BF16, VKA_F32, VKA_BF16, VKA_F32, 0, 1e-6},
        {VKA_BF16, VKA_BF16, VKA_F32, VKA_F32, 1e-5, 0.1},   {VKA_F16, VKA_BF16, VKA_F16, VKA_F32, 0, 1e-6},
        {VKA_BF16, VKA_Q8_0, VKA_Q8_0, VKA_BF16, 1e-4, 0.1}, {VKA_F32, VKA_Q8_0, VKA_I8, VKA_F32, 0, 1e-6},
        {VKA_F32, VKA_F32, VKA_F32, VKA_BF16, 1e-5, 0.01},
    };
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
        double most = 0;
        a.q_type = cases[n].q;
        a.k_type = cases[n].k;
        a.v_type = cases[n].v;
        a.out_type = cases[n].out;
        for (uint32_t i = 0; i < NQ; i++) {
            ref_attention_row(&a, 1, 1, i, exact, &s, scratch);
            ref_attention_naive_row(&a, 1, 1, i, naive, &s, naive_scratch);
            most = fmax(most, fabs(exact[1] - (double)naive[1]));
        }
        cr_expect(most >= cases[n].least && most <= cases[n].most, "case %zu is off by %g", n, most);
    }
}

/* Every option at once: with f32 the naive twin says the same. */
Test(reference_attention, naive_with_everything) {
    static float slopes[HQ] = {0.5f, 0.25f, 1, 0}, sinks[HQ] = {1, 0, -1, 2}, factors[B * HKV * NK];
    const uint32_t lens[B] = {NK - 1, NK};
    const int64_t diagonals[B] = {0, 4};
    ref_attention a = random_attention(10);
    for (uint32_t n = 0; n < B * HKV * NK; n++) {
        factors[n] = 0.5f + (float)(n % 7);
    }
    a.causal = a.window = true;
    a.left = 6;
    a.kv_lens = lens;
    a.diagonals = diagonals;
    a.k_scale = a.v_scale = factors;
    a.softcap = 2;
    a.mask = other;
    memcpy(a.mask_shape, (uint32_t[]){B, 1, NQ, NK}, sizeof a.mask_shape);
    a.alibi = slopes;
    a.relative = other + 1000;
    a.relative_heads = HQ;
    a.relative_len = 9;
    a.relative_zero = 3;
    a.sinks = sinks;
    a.dropout = 0.3;
    for (uint32_t n = 0; n < B * HQ * NQ; n++) {
        row r = compute(&a, n / NQ / HQ, n / NQ % HQ, n % NQ);
        float out[DV], scratch[NK];
        ref_softmax s;
        ref_attention_naive_row(&a, n / NQ / HQ, n / NQ % HQ, n % NQ, out, &s, scratch);
        for (uint32_t c = 0; c < DV; c++) {
            cr_assert_float_eq(out[c], r.out[c], 1e-4, "row %u", n);
        }
        cr_assert_float_eq(s.lse, r.softmax.lse, 1e-5);
        cr_assert_float_eq(s.max, r.softmax.max, 1e-5);
        for (int stage = 0; stage < 4; stage++) {
            double score[NK];
            ref_attention_scores(&a, (vka_score_stage)stage, n / NQ / HQ, n / NQ % HQ, n % NQ, score);
            ref_attention_naive_scores(&a, (vka_score_stage)stage, n / NQ / HQ, n / NQ % HQ, n % NQ, scratch);
            for (uint32_t j = 0; j < NK; j++) {
                cr_assert((double)scratch[j] == score[j] || fabs((double)scratch[j] - score[j]) < 1e-4,
                          "row %u stage %d key %u", n, stage, j);
            }
        }
    }
}

/* ---- random ---------------------------------------------------------------------------------------------------- */

/* The known answers that the authors publish with Random123. */
Test(reference_attention, philox) {
    static const struct {
        uint32_t counter[4], key[2], words[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t n = 0; n < 3; n++) {
        uint32_t words[4];
        ref_philox(known[n].counter, known[n].key, words);
        cr_expect_arr_eq(words, known[n].words, sizeof words);
    }
}

Test(reference_attention, words) {
    ref_attention a = {.q_heads = 3, .seed = UINT64_C(0x299f31d0a4093822), .random_offset = 0x03707344};
    uint32_t words[4];
    ref_philox((uint32_t[]){5, 7, 2 * 3 + 1, 0x03707344}, (uint32_t[]){0xa4093822, 0x299f31d0}, words);
    for (uint32_t n = 0; n < 4; n++) {
        cr_expect_eq(ref_attention_word(&a, 2, 1, 7, 20 + n), words[n]);
    }
}

/* Weights that are dropped, and those that grow, leave the mean where it was. */
Test(reference_attention, dropout) {
    ref_attention a = random_attention(11);
    double kept = 0;
    a.dropout = 0.25;
    for (uint32_t n = 0; n < 100000; n++) {
        double keep = ref_attention_keep(&a, 0, n % HQ, n / 1000, n % 1000 / HQ);
        cr_assert(keep == 0 || keep == 1 / 0.75);
        cr_assert_eq(keep == 0, ref_attention_word(&a, 0, n % HQ, n / 1000, n % 1000 / HQ) < UINT32_C(1) << 30);
        kept += keep / 100000;
    }
    cr_expect_float_eq(kept, 1, 0.01);
    ref_attention b = a;
    b.dropout = 0;
    expect_somewhere_different(&a, &b, "dropout");
    expect_close(compute(&a, 1, 1, 1).softmax.lse, compute(&b, 1, 1, 1).softmax.lse, "lse");
}

Test(reference_attention, argmax) {
    ref_attention a = random_attention(12);
    double score[NK];
    bool possible[NK];
    a.selection = VKA_SELECTION_ARGMAX;
    memset(q, 0, sizeof q); /* all scores are equal: the first one that is seen */
    a.window = true;
    a.left = 0;
    a.right = VKA_UNBOUNDED;
    for (uint32_t i = 0; i < NQ; i++) {
        row r = compute(&a, 0, 3, i);
        expect_close(r.out[2], (double)v[(NK + i) * DV + 2], "first of equals");
        expect_close(r.softmax.lse, 0, "lse");
        cr_expect_eq(r.softmax.sum, 1);
    }
    q[0] = 1;
    k[4 * D] = 5;
    k[6 * D] = 4.999f;
    for (uint32_t j = 0; j < NK; j++) {
        k[j * D] = j == 4 ? 5 : j == 6 ? 4.999f : 0;
    }
    ref_attention_scores(&a, VKA_SCORES_MASKED, 0, 0, 0, score);
    cr_expect_eq(ref_attention_choice(&a, 0, 0, 0, score), 4);
    ref_attention_choices(&a, 0, 0, 0, 1e-5, score, possible);
    for (uint32_t j = 0; j < NK; j++) {
        cr_expect_eq(possible[j], j == 4);
    }
    ref_attention_choices(&a, 0, 0, 0, 1e-3, score, possible);
    for (uint32_t j = 0; j < NK; j++) {
        cr_expect_eq(possible[j], j == 4 || j == 6);
    }
    a.diagonal = NK; /* nobody to choose from */
    row r = compute(&a, 0, 0, 0);
    cr_expect(r.out[0] == 0 && r.softmax.lse == -INFINITY && r.softmax.sum == 0);
    a.diagonal = 0;
    k[7 * D] = NAN; /* NaN is no score to compare with */
    r = compute(&a, 0, 0, 0);
    cr_expect(isnan(r.out[0]) && isnan(r.softmax.lse));
}

/* Keys are drawn as often as softmax says. */
Test(reference_attention, sample) {
    static float one_hot[NK * NK];
    enum { DRAWS = 20000 };
    ref_attention a = random_attention(13);
    double p[NK], score[NK], count[NK] = {0};
    for (uint32_t j = 0; j < NK; j++) {
        one_hot[j * NK + j] = 1;
    }
    a.value_dim = NK;
    a.v = one_hot;
    ref_attention_scores(&a, VKA_SCORES_PROBABILITIES, 0, 0, 0, p);
    ref_attention_scores(&a, VKA_SCORES_MASKED, 0, 0, 0, score);
    a.selection = VKA_SELECTION_SAMPLE;
    for (uint32_t n = 0; n < DRAWS; n++) {
        double out[NK];
        a.random_offset = n;
        uint32_t choice = ref_attention_choice(&a, 0, 0, 0, score);
        ref_softmax s;
        ref_attention_pick(&a, 0, 0, 0, choice, score, out, &s);
        cr_assert(choice < NK && out[choice] == 1);
        expect_close(s.lse, score[choice] + ref_attention_gumbel(ref_attention_word(&a, 0, 0, 0, choice)), "lse");
        count[choice] += 1.0 / DRAWS;
    }
    for (uint32_t j = 0; j < NK; j++) { /* five standard deviations */
        cr_expect(fabs(count[j] - p[j]) < 5 * sqrt(p[j] / DRAWS), "key %u: %g instead of %g", j, count[j], p[j]);
    }
    cr_expect(isfinite(ref_attention_gumbel(0)) && isfinite(ref_attention_gumbel(UINT32_MAX)));
}
