/* Who sees whom: causal attention, windows, dead rows, empty inputs, and NaN where it may and may not go.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "attention_case.h"

static const uint32_t lengths[][2] = {{1, 1}, {1, 50}, {65, 63}, {63, 130}, {113, 40}};
#define LENGTHS (sizeof lengths / sizeof *lengths)

/* Masks do not depend on the head dimension: a small one compiles quickly. */
#define DIM 8

static void masked(context *c, attention_case a, size_t number) {
    bool slow = context_compiles_slowly(c); /* one type a case: the lengths share pipelines then */
    for (size_t n = 0; n < LENGTHS; n++) {
        a.dtype = dtypes[(number + (slow ? 0 : n)) % DTYPES];
        a.q_heads = 2;
        a.q_len = lengths[n][0];
        a.kv_len = lengths[n][1];
        a.head_dim = DIM;
        a.poison_hidden = true;
        attention_on_paths(c, a);
    }
}

static void all_masked(const attention_case *cases, size_t count) {
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < count; i++) {
        if (!context_leaves_out(&c, 5)) {
            masked(&c, cases[i], i);
        }
    }
    context_close(&c);
}
#define ALL_MASKED(cases) all_masked(cases, sizeof(cases) / sizeof *(cases))

Test(attention_masks, causal) {
    static const attention_case cases[] = {
        {.causal = true},
        {.causal = true, .diagonal = VKA_DIAGONAL_TOP_LEFT},
        {.window = {false, -7, 3}}, /* not enabled: without effect, whatever it holds */
    };
    ALL_MASKED(cases);
}

Test(attention_masks, causal_explicit) {
    static const int32_t offsets[] = {-200, -64, -9, -1, 0, 1, 33, 200, INT32_MIN, INT32_MAX};
    attention_case cases[10];
    for (size_t i = 0; i < 10; i++) {
        cases[i] = (attention_case){.causal = true, .diagonal = VKA_DIAGONAL_EXPLICIT, .offset = offsets[i]};
    }
    ALL_MASKED(cases);
}

Test(attention_masks, windows) {
    static const attention_case cases[] = {
        {.window = {true, 0, 0}},
        {.window = {true, 5, 0}},
        {.window = {true, 0, 5}},
        {.window = {true, 7, 9}},
        {.window = {true, 64, 64}},
        {.window = {true, VKA_UNBOUNDED, 0}},
        {.window = {true, 0, VKA_UNBOUNDED}},
        {.window = {true, VKA_UNBOUNDED, VKA_UNBOUNDED}},
        {.window = {true, -3, 8}},
        {.window = {true, 12, -4}},
        {.window = {true, -5, 5}},
        {.window = {true, VKA_UNBOUNDED, -20}},
        {.window = {true, -20, VKA_UNBOUNDED}},
        {.window = {true, INT32_MIN + 1, VKA_UNBOUNDED}},
        {.window = {true, VKA_UNBOUNDED, INT32_MIN + 1}},
        {.window = {true, 100000, 100000}},
        {.window = {true, INT32_MAX - 1, INT32_MAX - 1}},
    };
    ALL_MASKED(cases);
}

Test(attention_masks, windows_and_diagonals) {
    static const vka_window windows[] = {{true, 10, 0}, {true, 10, 10}, {true, 20, -3}, {true, -2, 9}};
    static const int32_t offsets[] = {-40, 17, INT32_MIN, INT32_MAX};
    attention_case cases[12];
    for (size_t i = 0; i < 4; i++) {
        cases[i] = (attention_case){.causal = true, .window = windows[i]};
        cases[4 + i] = (attention_case){.causal = true, .window = windows[i], .diagonal = VKA_DIAGONAL_TOP_LEFT};
        cases[8 + i] =
            (attention_case){.window = {true, 11, 6}, .diagonal = VKA_DIAGONAL_EXPLICIT, .offset = offsets[i]};
    }
    ALL_MASKED(cases);
}

/* ---- nothing to see ------------------------------------------------------------------------------------------ */

Test(attention_masks, no_keys) {
    context c;
    context_open(&c, &config_real);
    for (int n = 0; n < 2 * DTYPES; n++) {
        if (context_leaves_out(&c, 7)) {
            continue;
        }
        attention_case a = {.dtype = dtypes[n % DTYPES],
                            .batch = 2,
                            .q_heads = 3,
                            .q_len = 37,
                            .no_keys = true,
                            .head_dim = DIM,
                            .value_dim = 11,
                            .causal = n >= DTYPES,
                            .layout = {"0213", 3, 1}};
        attention_problem p = attention_make(&c, a, test_seed());
        attention_run(&p, VKA_ATTENTION_PATH_AUTO, 0);
        attention_run_paths(&p, 0);
        attention_run_paths(&p, 2);
        for (size_t i = 0; i < p.out.count; i++) {
            cr_assert_eq(p.out.values[i], 0);
        }
        for (size_t i = 0; i < p.lse.count; i++) {
            cr_assert_eq(p.lse.values[i], -INFINITY);
        }
        attention_destroy(&p);
    }
    context_close(&c);
}

/* No rows: success, and not a byte is written. Null buffers stay refused, but nothing is read from the others. */
Test(attention_masks, no_rows) {
    context c;
    context_open(&c, &config_real);
    for (int n = 0; n < 2; n++) {
        attention_problem p = attention_make(&c, (attention_case){.batch = 1, .q_len = 9, .kv_len = 11}, test_seed());
        vka_attention_desc desc = attention_desc(&p);
        vka_tensor *tensors[] = {&desc.q, &desc.out, &desc.lse, &desc.k, &desc.v};
        for (int t = 0; t < (n == 0 ? 5 : 3); t++) {
            tensors[t]->shape[n == 0 ? 0 : 2] = 0;
            memset(tensors[t]->stride, 0, sizeof tensors[t]->stride);
        }
        tensor_poison(&p.out);
        tensor_poison(&p.lse);
        vka_requirements need;
        EXPECT_OK(vka_attention_prepare(c.device, &desc));
        EXPECT_OK(vka_attention_requirements(c.device, &desc, &need));
        cr_assert_eq(need.workspace_bytes, 0);
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(vka_attention(c.recorder, &desc));
        context_finish(&c);
        cr_assert(tensor_download(&p.out) && tensor_download(&p.lse));
        for (size_t i = 0; i < p.out.count; i++) {
            cr_assert(isnan(p.out.values[i]), "out was written");
        }
        for (size_t i = 0; i < p.lse.count; i++) {
            cr_assert(isnan(p.lse.values[i]), "lse was written");
        }
        attention_destroy(&p);
    }
    context_close(&c);
}

/* ---- NaN ----------------------------------------------------------------------------------------------------- */

/* One NaN that some queries see and others do not: the reference knows which outputs it must reach. */
static void one_nan(vka_dtype dtype, bool in_values) {
    context c;
    context_open(&c, &config_real);
    if (context_compiles_slowly(&c) && in_values == (dtype == VKA_F16)) { /* every type, half of the pipelines */
        context_close(&c);
        return;
    }
    attention_problem p = attention_make(
        &c, (attention_case){.dtype = dtype, .q_heads = 2, .q_len = 70, .kv_len = 70, .head_dim = DIM, .causal = true},
        test_seed());
    tensor *t = in_values ? &p.v : &p.k;
    t->values[33 * DIM + 5] = NAN;
    attention_update(&p);
    cr_assert(!isnan(p.ref_out[32 * DIM + 5]) && isnan(p.ref_out[33 * DIM + 5]));
    attention_run_paths(&p, 0);
    attention_run_paths(&p, 3);
    attention_destroy(&p);
    context_close(&c);
}

Test(attention_masks, nan_in_key) {
    one_nan(VKA_F32, false);
    one_nan(VKA_F16, false);
    one_nan(VKA_BF16, false);
}

Test(attention_masks, nan_in_value) {
    one_nan(VKA_F32, true);
    one_nan(VKA_F16, true);
    one_nan(VKA_BF16, true);
}

Test(attention_masks, nan_in_query) {
    context c;
    context_open(&c, &config_real);
    attention_problem p = attention_make(&c, (attention_case){.q_len = 20, .kv_len = 50, .head_dim = DIM}, test_seed());
    p.q.values[7 * DIM] = NAN;
    attention_update(&p);
    attention_run_paths(&p, 0);
    attention_run_paths(&p, 2);
    attention_destroy(&p);
    context_close(&c);
}

/* A NaN query that sees no key is a dead row like any other. */
Test(attention_masks, nan_in_dead_query) {
    context c;
    context_open(&c, &config_real);
    attention_problem p = attention_make(&c,
                                         (attention_case){.q_len = 20,
                                                          .kv_len = 10,
                                                          .head_dim = DIM,
                                                          .causal = true,
                                                          .diagonal = VKA_DIAGONAL_EXPLICIT,
                                                          .offset = -10},
                                         test_seed());
    p.q.values[3 * DIM] = NAN;
    p.q.values[4 * DIM] = INFINITY;
    attention_update(&p);
    attention_run_paths(&p, 0);
    attention_run_paths(&p, 2);
    attention_destroy(&p);
    context_close(&c);
}
