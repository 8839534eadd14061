/* Functions of scores of the caller's own, by every path, with everything that they go together with.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "attention_case.h"
#include "support/intercept.h"

static attention_case fill(attention_case a) {
    a.score = a.score ? a.score : &score_lattice;
    a.batch = a.batch ? a.batch : 2;
    a.q_heads = a.q_heads ? a.q_heads : 4;
    a.kv_heads = a.kv_heads ? a.kv_heads : 2;
    a.q_len = a.q_len ? a.q_len : 19;
    a.kv_len = a.kv_len || a.no_keys ? a.kv_len : 37;
    a.head_dim = a.head_dim ? a.head_dim : 8;
    a.poison_hidden = true;
    return a;
}

/* By every path that there is for it; where drivers compile slowly by one, which `turn` chooses. */
static void run_path(attention_problem *p, uint32_t turn, uint32_t splits) {
    bool one = context_is_software(p->c) && !getenv("VKATTN_TEST_ALL");
    for (uint32_t i = 0; i < LAST_PATH; i++) {
        vka_attention_path path = (vka_attention_path)(VKA_ATTENTION_PATH_ROW + (turn + i) % LAST_PATH);
        if (attention_can(p, path)) {
            attention_run(p, path, splits);
            if (one) {
                return;
            }
        }
    }
}

static void run_cases(const attention_case *cases, size_t count) {
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < count; i++) {
        if (context_leaves_out(&c, 3)) {
            continue;
        }
        attention_problem p = attention_make(&c, fill(cases[i]), test_seed() + i);
        run_path(&p, (uint32_t)i, i % 3 == 2 ? 3 : 0);
        attention_destroy(&p);
    }
    context_close(&c);
}
#define RUN_CASES(cases) run_cases(cases, sizeof(cases) / sizeof *(cases))

#define LENGTHS(...)                                                                                                   \
    { .kind = LIST_LENGTHS, __VA_ARGS__ }
#define OFFSETS(...)                                                                                                   \
    { .kind = LIST_OFFSETS, __VA_ARGS__ }

/* Each path, of both functions, with whole steps and without. */
static void on_path(vka_attention_path path) {
    static const attention_case cases[] = {
        {.dtype = VKA_F16, .score = &score_borders, .q_len = 70, .kv_len = 133, .causal = true},
        {.dtype = VKA_F16, .score = &score_lattice, .q_len = 70, .kv_len = 133, .value_dim = 5},
        {.dtype = VKA_BF16,
         .score = &score_lattice,
         .q_len = 33,
         .kv_len = 65,
         .causal = true,
         .layout = {"0213", 3, 1}},
        {.dtype = VKA_F16,
         .k_dtype = VKA_Q8_0,
         .v_dtype = VKA_I8,
         .score = &score_borders,
         .head_dim = 32,
         .kv_len = 70},
    };
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (i > 1 && context_compiles_slowly(&c)) {
            continue; /* these say nothing that the others don't */
        }
        attention_problem p = attention_make(&c, fill(cases[i]), test_seed() + i);
        if (attention_can(&p, path)) {
            attention_run(&p, path, i % 2 ? 3 : 0);
        }
        attention_destroy(&p);
    }
    context_close(&c);
}

Test(score_function, row) {
    on_path(VKA_ATTENTION_PATH_ROW);
}

Test(score_function, tile) {
    on_path(VKA_ATTENTION_PATH_TILE);
}

Test(score_function, dot) {
    on_path(VKA_ATTENTION_PATH_DOT);
}

Test(score_function, decode) {
    on_path(VKA_ATTENTION_PATH_DECODE);
}

Test(score_function, coopmat) {
    on_path(VKA_ATTENTION_PATH_COOPMAT);
}

Test(score_function, coopmat2) {
    on_path(VKA_ATTENTION_PATH_COOPMAT2);
}

/* Positions count from where each sequence begins, whatever says so. */
Test(score_function, sequences) {
    static const attention_case cases[] = {
        {.kv_list = LENGTHS(.tensor = true), .causal = true},
        {.q_list = OFFSETS(.tensor = true), .kv_list = OFFSETS(0)},
        {.kv_list = LENGTHS(.tensor = true), .page_size = 8, .score = &score_borders},
        {.diagonal = VKA_DIAGONAL_EXPLICIT, .offset = -5, .causal = true},
        {.diagonal = VKA_DIAGONAL_TOP_LEFT, .window = {true, 6, 2}, .score = &score_borders},
        {.q_len = 1, .kv_len = 239, .kv_heads = 1},
        {.q_len = 3, .kv_len = 131, .dtype = VKA_F16, .kv_list = LENGTHS(.tensor = true), .kv_heads = 1},
        {.no_keys = true},
    };
    RUN_CASES(cases);
}

/* Keys that are walked in another order, or in part. */
Test(score_function, walks) {
    static const attention_case cases[] = {
        {.pattern_seed = 11, .q_len = 70, .kv_len = 90, .pattern_query_tile = 16, .pattern_key_tile = 32},
        {.pattern_seed = 12, .q_len = 70, .kv_len = 90, .pattern_heads = true, .score = &score_borders},
        {.permutation_len = 40, .permutation_batch = true, .permutation_heads = true},
        {.key_list_len = 13, .key_list_heads = 2},
        {.key_list_len = 13, .q_len = 3, .kv_len = 131, .score = &score_borders, .dtype = VKA_F16},
        {.pattern_seed = 13, .q_len = 70, .kv_len = 90, .causal = true, .dtype = VKA_F16},
    };
    RUN_CASES(cases);
}

/* What comes before the function, and after it. */
Test(score_function, options) {
    static const attention_case cases[] = {
        {.softcap = 2, .stats = true},
        {.sinks = true, .mask = VKA_U8, .score = &score_borders},
        {.sinks = true, .mask = VKA_F16, .score = &score_borders, .dtype = VKA_F16},
        {.dropout = 0.3f, .random_seed = 5},
        {.selection = VKA_SELECTION_ARGMAX, .stats = true},
        {.selection = VKA_SELECTION_SAMPLE, .random_seed = 9},
        {.batch_invariant = true, .kv_list = LENGTHS(0), .score = &score_borders},
        {.scores = VKA_F32, .score_stage = VKA_SCORES_MASKED, .softcap = 2, .causal = true},
        {.scores = VKA_F16, .score_stage = VKA_SCORES_PROBABILITIES, .page_size = 8, .kv_list = LENGTHS(0)},
        {.scores = VKA_F32, .score_stage = VKA_SCORES_CAPPED, .score = &score_borders},
        {.k_dtype = VKA_Q4_0, .v_dtype = VKA_Q4_0, .head_dim = 32, .dequantise = VKA_DEQUANTISE_FIRST},
    };
    RUN_CASES(cases);
}

/* What keys and values that a function hides hold changes no bit. */
Test(score_function, hidden) {
    context c;
    context_open(&c, &config_real);
    char why[1536] = "";
    attention_problem p = attention_make(&c, fill((attention_case){.q_len = 40, .kv_len = 90}), test_seed());
    cr_assert(attention_try_hidden(&p, VKA_ATTENTION_PATH_AUTO, 0, why, sizeof why), "%s", why);
    attention_destroy(&p);
    context_close(&c);
}

/* Pipelines are of a function, not of a kernel: two functions and none, in turn, on one device. A pipeline that is
 * there is not made again. */
Test(score_function, in_turn) {
    context c;
    context_open(&c, &config_real);
    const score_case *functions[] = {&score_borders, &score_lattice, NULL};
    attention_problem p[3];
    for (int i = 0; i < 3; i++) {
        attention_case a = fill((attention_case){.dtype = VKA_F32});
        a.score = functions[i];
        p[i] = attention_make(&c, a, test_seed());
        vka_attention_desc d = attention_desc(&p[i]);
        d.path = VKA_ATTENTION_PATH_TILE;
        EXPECT_OK(vka_attention_prepare(c.device, &d));
    }
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_recorder_warm_up(c.recorder));
    context_finish(&c);
    for (int i = 0; i < 9; i++) {
        attention_run(&p[i % 3], VKA_ATTENTION_PATH_TILE, 1);
    }
    for (int i = 0; i < 3; i++) {
        attention_destroy(&p[i]);
    }
    context_close(&c);
}

/* A function that is gone once its plan is made. */
Test(score_function, plan) {
    context c;
    context_open(&c, &config_real);
    attention_problem p = attention_make(&c, fill((attention_case){.dtype = VKA_F32}), test_seed());
    vka_attention_desc d = attention_desc(&p);
    vka_score_function function = *d.score_function;
    vka_plan *plan;
    d.score_function = &function;
    EXPECT_OK(vka_attention_plan(c.device, &d, &plan));
    memset(&function, 0xff, sizeof function);
    tensor_poison(&p.out);
    tensor_poison(&p.lse);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_plan_record(c.recorder, plan));
    context_finish(&c);
    attention_compare(&p, "a plan");
    vka_plan_destroy(&plan);
    attention_destroy(&p);
    context_close(&c);
}

/* Only what a function was compiled for is a candidate, and chosen. */
Test(score_function, one_path) {
    context c;
    context_open(&c, &config_real);
    attention_problem p = attention_make(&c, fill((attention_case){.score = &score_borders_tile}), test_seed());
    vka_attention_desc d = attention_desc(&p);
    static vka_attention_candidate list[64];
    uint32_t count;
    EXPECT_OK(vka_attention_candidates(c.device, &d, list, 64, &count));
    cr_assert_gt(count, 0);
    for (uint32_t i = 0; i < count && i < 64; i++) {
        cr_expect_eq(list[i].path, VKA_ATTENTION_PATH_TILE);
    }
    attention_run(&p, VKA_ATTENTION_PATH_AUTO, 0);
    d.path = VKA_ATTENTION_PATH_ROW;
    EXPECT_FAILURE(vka_attention_prepare(c.device, &d), VKA_UNSUPPORTED, "vka_attention.path");
    cr_expect(strstr(log_last(VKA_LOG_ERROR).message, "score_function was not compiled for it"));
    d.path = VKA_ATTENTION_PATH_AUTO;
    d.scores = vka_tensor_4d(NULL, VKA_F32, 2, 4, p.a.q_len, p.a.kv_len);
    EXPECT_FAILURE(vka_attention_requirements(c.device, &d, &(vka_requirements){0}), VKA_UNSUPPORTED,
                   "vka_attention.scores");
    attention_destroy(&p);
    context_close(&c);
}
