/* Every option of attention alone, at its edges, by every path.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "attention_case.h"

/* Options do not depend on the head dimension: a small one compiles quickly. */
#define DIM 8

/* What a case leaves out. Hidden keys and values, and biases of pairs that are out of the question, are always poison.
 */
static attention_case fill(attention_case a) {
    a.batch = a.batch ? a.batch : 2;
    a.q_heads = a.q_heads ? a.q_heads : 4;
    a.kv_heads = a.kv_heads ? a.kv_heads : 2;
    a.q_len = a.q_len ? a.q_len : 19;
    a.kv_len = a.kv_len || a.no_keys ? a.kv_len : 37;
    a.head_dim = a.head_dim ? a.head_dim : DIM;
    a.poison_hidden = true;
    return a;
}

/* By all paths, with keys split and not. Software drivers, which compile for longer than they run, take turns: the path
 * chosen, or the next of the others, one of them with keys split; where they compile for seconds the path chosen. */
static void run(context *c, attention_case a) {
    static uint32_t turn;
    attention_problem p = attention_make(c, fill(a), test_seed());
    if (!context_is_software(c) || getenv("VKATTN_TEST_ALL")) {
        attention_run_paths(&p, 0);
        attention_run_paths(&p, 3);
    } else {
        vka_attention_path other = (vka_attention_path)(VKA_ATTENTION_PATH_ROW + turn / 2 % LAST_PATH);
        bool forced = turn % 2 && !context_compiles_slowly(c) && attention_can(&p, other);
        vka_attention_path path = forced ? other : VKA_ATTENTION_PATH_AUTO;
        attention_run(&p, path, turn / 4 % 2 ? 3 : 0);
        turn++;
    }
    attention_destroy(&p);
}

/* Where drivers compile for seconds, a share of the cases; other types of tensors are other pipelines. */
static void run_cases(const attention_case *cases, size_t count) {
    context c;
    context_open(&c, &config_real);
    bool slow = context_compiles_slowly(&c);
    for (size_t i = 0; i < count; i++) {
        attention_case a = cases[i];
        if (context_leaves_out(&c, 7)) {
            continue;
        }
        a.dtype = a.dtype ? a.dtype : slow ? VKA_F32 : dtypes[i % DTYPES];
        run(&c, a);
    }
    context_close(&c);
}
#define RUN_CASES(cases) run_cases(cases, sizeof(cases) / sizeof *(cases))

/* Cases that share their pipelines: all of them, everywhere. */
static void run_alike(const attention_case *cases, size_t count) {
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < count; i++) {
        run(&c, cases[i]);
    }
    context_close(&c);
}
#define RUN_ALIKE(cases) run_alike(cases, sizeof(cases) / sizeof *(cases))

/* ---- scores ---------------------------------------------------------------------------------------------------- */

Test(attention_options, softcap) {
    static const attention_case cases[] = {
        {.softcap = 1},
        {.softcap = 30, .scale = 20},
        {.softcap = 30, .scale = 1e6f},
        {.softcap = 0.01f},
    };
    RUN_ALIKE(cases);
}

/* What rounds to a sign, and what caps nothing. */
Test(attention_options, softcap_extremes) {
    static const attention_case cases[] = {{.softcap = 1e-20f}, {.softcap = 1e4f}, {.softcap = 1e20f}};
    RUN_ALIKE(cases);
}

/* Nothing, everything and a part masked; words of four that are whole, and that are not. */
Test(attention_options, boolean_masks_alike) {
    static const attention_case cases[] = {
        {.mask = VKA_U8, .kv_len = 41},
        {.mask = VKA_U8, .kv_len = 41, .mask_content = MASK_NOTHING},
        {.mask = VKA_U8, .kv_len = 41, .mask_content = MASK_ALL},
        {.mask = VKA_U8, .kv_len = 41, .mask_broadcast = 4},
        {.mask = VKA_U8, .kv_len = 41, .mask_rank = 2},
    };
    RUN_ALIKE(cases);
}

Test(attention_options, boolean_masks) {
    static const attention_case cases[] = {
        {.mask = VKA_U8},
        {.mask = VKA_U8, .mask_content = MASK_NOTHING},
        {.mask = VKA_U8, .mask_content = MASK_ALL},
        {.mask = VKA_U8, .layout = {"0213", 3, 1}},
        {.mask = VKA_U8, .q_len = 1, .kv_len = 131},
        {.mask = VKA_U8, .causal = true, .q_len = 70, .kv_len = 70},
        {.mask = VKA_U8, .kv_len = 64, .layout = {NULL, 0, 4}},
    };
    RUN_CASES(cases);
}

Test(attention_options, additive_masks) {
    static const attention_case cases[] = {
        {.mask = VKA_F32},
        {.mask = VKA_F16, .mask_content = MASK_NOTHING},
        {.mask = VKA_BF16, .layout = {"0213", 3, 1}},
        {.mask = VKA_F32, .mask_content = MASK_ALL},
        {.mask = VKA_F16, .layout = {"3210", 1, 1}},
        {.mask = VKA_F32, .kv_len = 64},
        {.mask = VKA_F16, .causal = true, .q_len = 70, .kv_len = 70},
        {.mask = VKA_BF16, .window = {true, 9, 2}, .q_len = 3, .kv_len = 131},
    };
    RUN_CASES(cases);
}

/* As IEEE says: rows with one are NaN. */
Test(attention_options, infinite_masks) {
    static const attention_case cases[] = {
        {.mask = VKA_F32, .mask_content = MASK_INFINITE}, {.mask = VKA_F16, .mask_content = MASK_NAN},
        {.mask = VKA_F16, .mask_content = MASK_INFINITE}, {.mask = VKA_BF16, .mask_content = MASK_NAN},
        {.mask = VKA_F32, .mask_content = MASK_NAN},
    };
    RUN_CASES(cases);
}

/* The lowest number of a type is no -inf: a row that has nothing else is the mean of all values. */
Test(attention_options, lowest_masks) {
    static const attention_case cases[] = {
        {.mask = VKA_F32, .mask_content = MASK_LOWEST, .no_lse = true},
        {.dtype = VKA_F32, .mask = VKA_F16, .mask_content = MASK_LOWEST},
        {.mask = VKA_BF16, .mask_content = MASK_LOWEST, .no_lse = true},
    };
    RUN_CASES(cases);
}

/* Every rank, and every set of dimensions of size 1. Where drivers compile for seconds, split keys with one type only.
 */
static void broadcast(vka_dtype mask) {
    context c;
    context_open(&c, &config_real);
    bool slow = context_compiles_slowly(&c);
    for (uint32_t bits = 0; bits < 16; bits++) {
        uint32_t rank = 2 + bits % 3;
        attention_case a = {.mask = mask, .mask_rank = rank, .mask_broadcast = bits, .layout = {NULL, bits % 2, 0}};
        attention_problem p = attention_make(&c, fill(a), test_seed() + bits);
        attention_run_paths(&p, (slow ? mask == VKA_F32 : bits % 2) ? 3 : 0);
        attention_destroy(&p);
    }
    context_close(&c);
}

Test(attention_options, boolean_broadcast) {
    broadcast(VKA_U8);
}

Test(attention_options, additive_broadcast) {
    broadcast(VKA_F32);
}

Test(attention_options, alibi) {
    static const attention_case cases[] = {
        {.alibi = true},
        {.alibi = true, .diagonal = VKA_DIAGONAL_TOP_LEFT, .layout = {NULL, 1, 1}},
        {.alibi = true, .diagonal = VKA_DIAGONAL_EXPLICIT, .offset = -50, .causal = true},
        {.alibi = true, .q_len = 1, .kv_len = 131},
        {.alibi = true, .q_len = 3, .q_heads = 8, .kv_heads = 1},
    };
    RUN_CASES(cases);
}

Test(attention_options, relative_bias) {
    static const attention_case cases[] = {
        {.relative_len = 1},
        {.relative_len = 9, .relative_zero = 4, .relative_masks = true},
        {.relative_len = 55, .relative_zero = 36, .layout = {NULL, 3, 1}},
        {.relative_len = 5, .relative_zero = 4, .relative_shared = true, .causal = true},
        {.relative_len = 300, .relative_zero = 150, .relative_masks = true, .q_len = 3, .kv_len = 131},
        {.relative_len = 7, .relative_zero = 0, .diagonal = VKA_DIAGONAL_EXPLICIT, .offset = INT32_MAX},
        {.relative_len = 7, .relative_zero = 6, .diagonal = VKA_DIAGONAL_EXPLICIT, .offset = INT32_MIN},
    };
    RUN_CASES(cases);
}

/* Tables that mask everything, or one side of the diagonal. */
Test(attention_options, relative_bias_masks) {
    context c;
    context_open(&c, &config_real);
    for (int all = 0; all < 2; all++) {
        attention_case a = {.relative_len = 3, .relative_zero = 1, .relative_shared = true, .stats = true};
        attention_problem p = attention_make(&c, fill(a), test_seed());
        p.relative_bias.values[2] = -INFINITY;
        if (all) {
            p.relative_bias.values[0] = p.relative_bias.values[1] = -INFINITY;
        }
        attention_update(&p);
        attention_run_paths(&p, 0);
        attention_run_paths(&p, 3);
        attention_destroy(&p);
    }
    context_close(&c);
}

/* ---- products -------------------------------------------------------------------------------------------------- */

Test(attention_options, cosine) {
    static const attention_case cases[] = {
        {.cosine = true},
        {.cosine = true, .scale = 0.25f, .layout = {NULL, 1, 1}, .causal = true},
        {.cosine = true, .q_len = 3, .kv_len = 131, .head_dim = 59, .q_heads = 8, .kv_heads = 1},
        {.cosine = true,
         .q_len = 40,
         .head_dim = 3,
         .value_dim = 11,
         .mask = VKA_F32,
         .relative_len = 9,
         .sinks = true},
        {.cosine = true, .k_dtype = VKA_I8, .v_dtype = VKA_I8, .kv_list = {.kind = LIST_LENGTHS, .tensor = true}},
        {.cosine = true, .k_dtype = VKA_Q8_0, .head_dim = 32, .page_size = 8, .selection = VKA_SELECTION_ARGMAX},
        {.cosine = true, .scores = VKA_F32, .stats = true, .score_stage = VKA_SCORES_PROBABILITIES, .softcap = 5},
        {.cosine = true, .scores = VKA_F32, .window = {true, 9, 2}, .dropout = 0.3f},
    };
    RUN_CASES(cases);
}

/* Rows of zeros have cosines of 0 with everything, and a NaN or an infinity in a row that is seen spoils. */
Test(attention_options, cosine_edges) {
    context c;
    context_open(&c, &config_real);
    attention_problem p = attention_make(
        &c, fill((attention_case){.cosine = true, .stats = true, .q_heads = 1, .kv_heads = 1}), test_seed());
    memset(p.q.values, 0, DIM * sizeof(float));
    memset(p.k.values, 0, p.k.count / 2 * sizeof(float)); /* of the first batch entry: the mean of its values */
    p.q.values[p.q.count - 1] = NAN;
    p.q.values[p.q.count - 2 * DIM] = INFINITY;
    attention_update(&p);
    for (uint32_t i = 0; i < 19; i++) {
        cr_assert_eq(p.ref_max[i], 0, "the reference has a score of %g", p.ref_max[i]);
    }
    cr_assert(isnan(p.ref_lse[37]) && isnan(p.ref_lse[36]));
    attention_run_paths(&p, 0);
    attention_run_paths(&p, 3);
    attention_destroy(&p);
    context_close(&c);
}

Test(attention_options, relative_keys) {
    static const attention_case cases[] = {
        {.relative_keys_len = 37, .causal = true},
        {.relative_keys_len = 56, .relative_keys_zero = 18, .layout = {NULL, 3, 1}, .bias_dtype = VKA_F16},
        {.relative_keys_len = 131, .q_len = 1, .kv_len = 131, .head_dim = 59, .bias_dtype = VKA_BF16},
        {.relative_keys_len = 7, .relative_keys_zero = 3, .relative_keys_shared = true, .no_content_bias = true},
        {.relative_keys_len = 80,
         .q_len = 70,
         .head_dim = 3,
         .value_dim = 11,
         .no_position_bias = true,
         .mask = VKA_U8},
        {.relative_keys_len = 40,
         .q_len = 3,
         .kv_len = 131,
         .q_heads = 8,
         .kv_heads = 1,
         .no_content_bias = true,
         .no_position_bias = true},
        {.relative_keys_len = 40,
         .k_dtype = VKA_I8,
         .v_dtype = VKA_I8,
         .q_list = {.kind = LIST_LENGTHS, .tensor = true},
         .kv_list = {.kind = LIST_LENGTHS, .tensor = true}},
        {.relative_keys_len = 40,
         .k_dtype = VKA_Q8_0,
         .head_dim = 32,
         .page_size = 8,
         .selection = VKA_SELECTION_ARGMAX},
        {.relative_keys_len = 40,
         .scores = VKA_F32,
         .stats = true,
         .score_stage = VKA_SCORES_PROBABILITIES,
         .softcap = 5},
        {.relative_keys_len = 1, .diagonal = VKA_DIAGONAL_EXPLICIT, .offset = INT32_MAX, .dropout = 0.3f},
        {.relative_keys_len = 9, .relative_keys_zero = 8, .diagonal = VKA_DIAGONAL_EXPLICIT, .offset = INT32_MIN},
    };
    RUN_CASES(cases);
}

/* Of tokens, not of slots. */
Test(attention_options, relative_keys_permuted) {
    context c;
    context_open(&c, &config_real);
    attention_on_paths(
        &c, fill((attention_case){
                .relative_keys_len = 60, .relative_keys_zero = 20, .permutation_len = 40, .permutation_heads = true}));
    context_close(&c);
}

/* ---- softmax --------------------------------------------------------------------------------------------------- */

Test(attention_options, sinks) {
    static const attention_case cases[] = {
        {.sinks = true},
        {.sinks = true, .stats = true, .causal = true, .diagonal = VKA_DIAGONAL_EXPLICIT, .offset = -10},
        {.sinks = true, .no_keys = true},
        {.sinks = true, .q_len = 1, .kv_len = 131, .layout = {NULL, 0, 1}},
        {.sinks = true, .q_len = 3, .q_heads = 8, .kv_heads = 1, .stats = true},
    };
    RUN_CASES(cases);
}

/* Sinks that aren't there, that take all, and that take all of rows that see nothing. */
Test(attention_options, sinks_extremes) {
    context c;
    context_open(&c, &config_real);
    attention_case a = {.sinks = true, .stats = true, .mask = VKA_U8, .mask_rank = 2, .causal = true};
    attention_problem p = attention_make(&c, fill(a), test_seed());
    p.sinks.values[0] = -INFINITY;
    p.sinks.values[1] = 1000;
    p.sinks.values[2] = -1000;
    attention_update(&p);
    attention_run_paths(&p, 0);
    attention_run_paths(&p, 3);
    attention_destroy(&p);
    context_close(&c);
}

Test(attention_options, stats) {
    static const attention_case cases[] = {
        {.stats = true},
        {.stats = true, .no_lse = true, .causal = true, .q_len = 40},
        {.stats = true, .no_keys = true},
        {.stats = true, .q_len = 1, .kv_len = 131, .layout = {"3210", 1, 1}},
        {.stats = true, .mask = VKA_F32, .mask_content = MASK_NAN},
        {.stats = true, .q_len = 3, .q_heads = 8, .kv_heads = 1, .scale = 30},
    };
    RUN_CASES(cases);
}

/* ---- sequences ------------------------------------------------------------------------------------------------- */

static const int32_t lengths[] = {0, 19, 1, 7}, kv_lengths[] = {37, 0, 1, 20}, none[] = {0, 0, 0, 0};
static const int32_t offsets[] = {0, 11, 11, 12, 19}, late_offsets[] = {3, 4, 9, 9, 17};

#define LENGTHS(...)                                                                                                   \
    { .kind = LIST_LENGTHS, __VA_ARGS__ }
#define OFFSETS(...)                                                                                                   \
    { .kind = LIST_OFFSETS, __VA_ARGS__ }

Test(attention_options, q_lengths) {
    static const attention_case cases[] = {
        {.batch = 4, .q_list = LENGTHS(.values = lengths)},
        {.batch = 4, .q_list = LENGTHS(.tensor = true, .values = lengths), .causal = true},
        {.batch = 9, .q_list = LENGTHS(.tensor = true, .wild = true), .causal = true, .stats = true},
        {.batch = 4, .q_list = LENGTHS(.values = none)},
        {.batch = 4, .q_list = LENGTHS(.tensor = true, .values = none), .stats = true},
        {.batch = 5, .q_list = LENGTHS(.tensor = true), .max_q_len = 6, .alibi = true, .layout = {"0213", 1, 1}},
    };
    RUN_CASES(cases);
}

Test(attention_options, kv_lengths) {
    static const attention_case cases[] = {
        {.batch = 4, .kv_list = LENGTHS(.values = kv_lengths)},
        {.batch = 4, .kv_list = LENGTHS(.tensor = true, .values = kv_lengths), .causal = true},
        {.batch = 9, .kv_list = LENGTHS(.tensor = true, .wild = true), .window = {true, 9, 5}, .stats = true},
        {.batch = 4, .kv_list = LENGTHS(.values = none)},
        {.batch = 4, .kv_list = LENGTHS(.tensor = true, .values = none), .sinks = true, .stats = true},
        {.batch = 5, .kv_list = LENGTHS(.tensor = true), .max_kv_len = 11, .causal = true, .layout = {"0213", 1, 1}},
        {.batch = 4, .kv_list = LENGTHS(.tensor = true), .q_len = 1, .kv_len = 300},
        {.batch = 4, .kv_list = LENGTHS(.tensor = true), .q_len = 2, .kv_len = 300, .kv_heads = 1, .causal = true},
    };
    RUN_CASES(cases);
}

Test(attention_options, both_lengths) {
    static const attention_case cases[] = {
        {.batch = 4, .q_list = LENGTHS(.values = lengths), .kv_list = LENGTHS(.tensor = true), .causal = true},
        {.batch = 4, .q_list = LENGTHS(.tensor = true), .kv_list = LENGTHS(.values = kv_lengths), .alibi = true},
        {.batch = 5,
         .q_list = LENGTHS(.tensor = true, .wild = true),
         .kv_list = LENGTHS(.tensor = true, .wild = true),
         .window = {true, 4, 4}},
        {.batch = 5,
         .q_list = LENGTHS(.tensor = true),
         .kv_list = LENGTHS(.tensor = true),
         .window = {true, 0, 8},
         .diagonal = VKA_DIAGONAL_EXPLICIT,
         .offset = 3},
    };
    RUN_CASES(cases);
}

Test(attention_options, packed) {
    static const int32_t kv_offsets[] = {0, 20, 21, 21, 37};
    static const attention_case cases[] = {
        {.batch = 4, .q_list = OFFSETS(.values = offsets), .kv_list = OFFSETS(.values = kv_offsets)},
        {.batch = 4,
         .q_list = OFFSETS(.tensor = true, .values = late_offsets),
         .kv_list = OFFSETS(.tensor = true),
         .causal = true,
         .stats = true},
        {.batch = 4, .q_list = OFFSETS(.values = offsets), .window = {true, 5, 5}, .layout = {"0213", 1, 1}},
        {.batch = 4, .kv_list = OFFSETS(.tensor = true), .causal = true, .layout = {"2013", 1, 1}},
        {.batch = 4, .q_list = OFFSETS(.tensor = true), .kv_list = LENGTHS(.tensor = true), .causal = true},
        {.batch = 4, .q_list = LENGTHS(.tensor = true), .kv_list = OFFSETS(.values = kv_offsets), .alibi = true},
        {.batch = 7,
         .q_list = OFFSETS(.tensor = true),
         .kv_list = OFFSETS(.tensor = true),
         .q_len = 70,
         .kv_len = 131,
         .max_q_len = 9,
         .max_kv_len = 25,
         .causal = true},
        {.batch = 5,
         .q_list = OFFSETS(.tensor = true),
         .kv_list = OFFSETS(.tensor = true),
         .q_len = 5,
         .kv_len = 300,
         .max_q_len = 1,
         .causal = true},
    };
    RUN_CASES(cases);
}

/* Offsets that run backwards or out of the tensor. Sequences of queries may not meet, those of keys may. */
Test(attention_options, wild_offsets) {
    static const int32_t backwards[] = {17, 5, 9, 9, 3}, outside[] = {-5, 4, 1000, -1, INT32_MIN};
    static const attention_case cases[] = {
        {.batch = 4, .q_list = OFFSETS(.tensor = true, .values = backwards), .kv_list = OFFSETS(.tensor = true)},
        {.batch = 4,
         .q_list = OFFSETS(.tensor = true, .values = outside),
         .kv_list = OFFSETS(.tensor = true),
         .causal = true},
        {.batch = 7, .kv_list = OFFSETS(.tensor = true, .wild = true), .causal = true},
        {.batch = 4,
         .q_list = OFFSETS(.tensor = true, .values = outside),
         .kv_list = OFFSETS(.tensor = true, .values = outside),
         .stats = true},
    };
    RUN_CASES(cases);
}

/* Keys and values that all sequences share. */
Test(attention_options, shared_keys) {
    static const attention_case cases[] = {
        {.batch = 3, .k_shared = true, .v_shared = true},
        {.batch = 3, .k_shared = true},
        {.batch = 3, .v_shared = true, .layout = {"0213", 1, 1}},
        {.batch = 3, .k_shared = true, .v_shared = true, .kv_list = LENGTHS(.tensor = true), .causal = true},
    };
    RUN_CASES(cases);
}

Test(attention_options, pages) {
    static const attention_case cases[] = {
        {.page_size = 8},
        {.page_size = 16, .kv_list = LENGTHS(.tensor = true), .causal = true},
        {.page_size = 24, .wild_pages = true, .layout = {"2013", 1, 1}},
        {.page_size = 8, .q_len = 1, .kv_len = 250, .batch = 3, .kv_list = LENGTHS(.tensor = true, .wild = true)},
        {.page_size = 64, .kv_list = LENGTHS(.values = kv_lengths), .layout = {"0213", 0, 0}},
        {.page_size = 16,
         .q_list = OFFSETS(.tensor = true),
         .kv_list = LENGTHS(.tensor = true),
         .batch = 3,
         .causal = true,
         .layout = {NULL, 4, 4}},
        {.page_size = 8, .wild_pages = true, .kv_list = LENGTHS(.values = none), .sinks = true},
    };
    RUN_CASES(cases);
}

/* A recording stays valid while its tensors change: a cache that grows by a key a step, in pages. */
Test(attention_options, replay) {
    context c;
    context_open(&c, &config_real);
    for (int path = VKA_ATTENTION_PATH_AUTO; path <= VKA_ATTENTION_PATH_DECODE; path++) {
        if (context_leaves_out(&c, 5)) {
            continue;
        }
        attention_case a = {.batch = 3,
                            .q_len = 1,
                            .kv_len = 40,
                            .page_size = 8,
                            .causal = true,
                            .kv_list = LENGTHS(.tensor = true, .values = (const int32_t[]){0, 7, 33})};
        attention_problem p = attention_make(&c, fill(a), test_seed());
        vka_attention_desc desc = attention_desc(&p);
        desc.path = (vka_attention_path)path;
        if (path && !attention_can(&p, desc.path)) {
            attention_destroy(&p);
            continue;
        }
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(vka_attention(c.recorder, &desc));
        for (int step = 0; step < 6; step++) {
            tensor_poison(&p.out);
            tensor_poison(&p.lse);
            context_finish(&c);
            attention_compare(&p, "replay");
            for (uint32_t b = 0; b < 3; b++) {
                p.kv_values[b]++;
                size_t row = attention_kv_row(&p, &p.k, b, 0, (uint32_t)p.kv_values[b] - 1) * DIM;
                size_t other = attention_kv_row(&p, &p.k, b, 1, (uint32_t)p.kv_values[b] - 1) * DIM;
                for (uint32_t d = 0; d < DIM; d++) {
                    p.k.values[row + d] = p.k.values[other + d] = (float)(step + 1) * (d % 2 ? 0.25f : -0.5f);
                    p.v.values[row + d] = p.v.values[other + d] = (float)step - (float)d;
                }
            }
            float *ids = &p.page_table.values[10], first = ids[0]; /* two pages of the last sequence change places */
            ids[0] = ids[1];
            ids[1] = first;
            attention_update(&p);
        }
        attention_destroy(&p);
    }
    context_close(&c);
}

/* ---- types ----------------------------------------------------------------------------------------------------- */

/* Any two of the four tensors have any two types. */
Test(attention_options, mixed_types) {
    attention_case cases[9];
    for (uint32_t i = 0; i < 9; i++) {
        cases[i] = (attention_case){.dtype = dtypes[i / 3],
                                    .k_dtype = dtypes[i % 3],
                                    .v_dtype = dtypes[(i / 3 + i) % 3],
                                    .out_dtype = dtypes[(2 * (i / 3) + i) % 3],
                                    .head_dim = i % 2 ? 8 : 7,
                                    .layout = {NULL, i % 2, i % 2}};
    }
    RUN_CASES(cases);
}

Test(attention_options, i8) {
    static const attention_case cases[] = {
        {.k_dtype = VKA_I8, .v_dtype = VKA_I8},
        {.dtype = VKA_F16, .k_dtype = VKA_I8, .v_dtype = VKA_I8, .layout = {"0213", 4, 4}},
        {.dtype = VKA_BF16, .k_dtype = VKA_I8, .head_dim = 7, .layout = {"3210", 1, 1}},
        {.dtype = VKA_F16, .v_dtype = VKA_I8, .value_dim = 5, .q_len = 1, .kv_len = 131},
        {.k_dtype = VKA_I8, .v_dtype = VKA_I8, .page_size = 8, .kv_list = LENGTHS(.tensor = true), .causal = true},
        {.k_dtype = VKA_I8, .v_dtype = VKA_I8, .q_list = OFFSETS(.tensor = true), .kv_list = OFFSETS(.tensor = true)},
        {.k_dtype = VKA_I8, .v_dtype = VKA_I8, .k_shared = true, .v_shared = true, .mask = VKA_U8},
    };
    RUN_CASES(cases);
}

Test(attention_options, q8_0) {
    static const attention_case cases[] = {
        {.k_dtype = VKA_Q8_0, .v_dtype = VKA_Q8_0, .head_dim = 32},
        {.dtype = VKA_F16, .k_dtype = VKA_Q8_0, .v_dtype = VKA_Q8_0, .head_dim = 32, .layout = {"0213", 1, 1}},
        {.dtype = VKA_BF16, .k_dtype = VKA_Q8_0, .head_dim = 32, .value_dim = 5, .q_len = 1, .kv_len = 131},
        {.dtype = VKA_F16, .v_dtype = VKA_Q8_0, .head_dim = 7, .value_dim = 32, .layout = {NULL, 0, 3}},
        {.k_dtype = VKA_Q8_0, .v_dtype = VKA_I8, .head_dim = 32, .value_dim = 8, .page_size = 8, .causal = true},
        {.k_dtype = VKA_Q8_0,
         .v_dtype = VKA_Q8_0,
         .head_dim = 64,
         .value_dim = 32,
         .q_list = OFFSETS(.tensor = true),
         .kv_list = OFFSETS(.tensor = true),
         .mask = VKA_F16},
    };
    RUN_CASES(cases);
}

Test(attention_options, q4_0) {
    static const attention_case cases[] = {
        {.k_dtype = VKA_Q4_0, .v_dtype = VKA_Q4_0, .head_dim = 32},
        {.dtype = VKA_F16, .k_dtype = VKA_Q4_0, .v_dtype = VKA_Q4_0, .head_dim = 32, .layout = {"0213", 1, 1}},
        {.dtype = VKA_BF16, .k_dtype = VKA_Q4_0, .head_dim = 32, .value_dim = 5, .q_len = 1, .kv_len = 131},
        {.dtype = VKA_F16, .v_dtype = VKA_Q4_0, .head_dim = 7, .value_dim = 32, .layout = {NULL, 0, 3}},
        {.k_dtype = VKA_Q4_0, .v_dtype = VKA_Q8_0, .head_dim = 32, .value_dim = 64, .page_size = 8, .causal = true},
        {.k_dtype = VKA_Q4_0,
         .v_dtype = VKA_Q4_0,
         .head_dim = 64,
         .value_dim = 32,
         .q_list = OFFSETS(.tensor = true),
         .kv_list = OFFSETS(.tensor = true),
         .mask = VKA_F16},
    };
    RUN_CASES(cases);
}

/* As wide as they can be; by the path that is chosen, since these take long to compile. */
Test(attention_options, wide_heads) {
    static const uint32_t dims[][2] = {{8, 300}, {300, 8}, {576, 512}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 3; i++) {
        if (context_leaves_out(&c, 5)) {
            continue;
        }
        attention_case a = {
            .dtype = dtypes[i], .batch = 1, .q_len = 5, .head_dim = dims[i][0], .value_dim = dims[i][1]};
        attention_problem p = attention_make(&c, fill(a), test_seed());
        attention_run(&p, VKA_ATTENTION_PATH_AUTO, 0);
        attention_destroy(&p);
    }
    context_close(&c);
}

/* ---- selection and randomness ---------------------------------------------------------------------------------- */

Test(attention_options, argmax) {
    static const attention_case cases[] = {
        {.selection = VKA_SELECTION_ARGMAX, .stats = true},
        {.selection = VKA_SELECTION_ARGMAX, .causal = true, .q_len = 70, .kv_len = 70},
        {.selection = VKA_SELECTION_ARGMAX, .mask = VKA_U8, .q_len = 3, .kv_len = 131},
        {.selection = VKA_SELECTION_ARGMAX, .mask = VKA_F32, .mask_content = MASK_NAN, .stats = true},
        {.selection = VKA_SELECTION_ARGMAX, .mask = VKA_F32, .mask_content = MASK_INFINITE},
        {.selection = VKA_SELECTION_ARGMAX, .no_keys = true, .stats = true},
        {.selection = VKA_SELECTION_ARGMAX, .mask = VKA_F16, .mask_content = MASK_ALL, .stats = true},
    };
    RUN_CASES(cases);
}

/* Scores that are exactly equal, many times a row: the first of them, whatever tile or split it falls into. */
Test(attention_options, argmax_of_equals) {
    enum { KEYS = 150 };
    context c;
    context_open(&c, &config_real);
    attention_case a = {.selection = VKA_SELECTION_ARGMAX, .kv_len = KEYS, .scale = 0.5f, .batch = 1};
    attention_problem p = attention_make(&c, fill(a), test_seed());
    ref_rng rng = ref_rng_seed(test_seed());
    for (size_t i = 0; i < p.q.count; i++) {
        p.q.values[i] = (float)ref_rng_below(&rng, 3) - 1;
    }
    for (size_t i = 0; i < p.k.count; i++) {
        p.k.values[i] = (float)ref_rng_below(&rng, 3) - 1;
    }
    attention_update(&p);
    for (int path = VKA_ATTENTION_PATH_ROW; path <= LAST_PATH; path++) {
        for (uint32_t splits = 0; splits < 4; splits += 3) {
            if (!attention_can(&p, (vka_attention_path)path) || context_leaves_out(&c, 3)) {
                continue;
            }
            attention_run(&p, (vka_attention_path)path, splits);
            for (size_t row = 0; row < p.lse.count; row++) {
                double score[KEYS], out[DIM];
                ref_softmax softmax;
                uint32_t h = (uint32_t)row / p.a.q_len, i = (uint32_t)row % p.a.q_len;
                ref_attention_scores(&p.ref, VKA_SCORES_MASKED, 0, h, i, score);
                ref_attention_pick(&p.ref, 0, h, i, ref_attention_choice(&p.ref, 0, h, i, score), score, out, &softmax);
                for (uint32_t d = 0; d < DIM; d++) {
                    cr_assert_eq((double)p.out.values[row * DIM + d], out[d],
                                 "path %d splits %u: not the first: row %zu", path, splits, row);
                }
            }
        }
    }
    attention_destroy(&p);
    context_close(&c);
}

Test(attention_options, sample) {
    static const attention_case cases[] = {
        {.selection = VKA_SELECTION_SAMPLE, .stats = true},
        {.selection = VKA_SELECTION_SAMPLE,
         .random_seed = UINT64_C(0xfedcba9876543210),
         .random_offset = 0xffffffff,
         .causal = true,
         .q_len = 70,
         .kv_len = 70},
        {.selection = VKA_SELECTION_SAMPLE, .mask = VKA_U8, .q_len = 3, .kv_len = 131, .random_seed = 3},
        {.selection = VKA_SELECTION_SAMPLE, .mask = VKA_F32, .mask_content = MASK_NAN, .random_offset = 1},
        {.selection = VKA_SELECTION_SAMPLE,
         .kv_list = LENGTHS(.tensor = true),
         .q_list = OFFSETS(.tensor = true),
         .random_seed = 77},
    };
    RUN_CASES(cases);
}

/* The highest words stand for numbers that f32 would round to 1: a noise that is infinite would not be one that can be
 * drawn. */
Test(attention_options, sample_of_the_highest_word) {
    context c;
    context_open(&c, &config_real);
    attention_case a = {.selection = VKA_SELECTION_SAMPLE,
                        .batch = 1,
                        .q_heads = 1,
                        .kv_heads = 1,
                        .q_len = 1,
                        .kv_len = 8,
                        .random_seed = 39075};
    attention_problem p = attention_make(&c, fill(a), test_seed());
    cr_assert_geq(ref_attention_word(&p.ref, 0, 0, 0, 3), 0xffffff00);
    for (int path = VKA_ATTENTION_PATH_ROW; path <= LAST_PATH; path++) {
        if (attention_can(&p, (vka_attention_path)path) && !context_leaves_out(&c, 5)) {
            attention_run(&p, (vka_attention_path)path, 0);
            cr_assert(isfinite(p.lse.values[0]), "path %d: lse is %g", path, (double)p.lse.values[0]);
        }
    }
    attention_destroy(&p);
    context_close(&c);
}

Test(attention_options, dropout) {
    static const attention_case cases[] = {
        {.dropout = 0.1f},
        {.dropout = 0.5f, .random_seed = UINT64_C(0xfedcba9876543210), .random_offset = 0xffffffff, .stats = true},
        {.dropout = 0.99f, .causal = true, .q_len = 70, .kv_len = 70, .random_step = true},
        {.dropout = 1e-9f, .q_len = 3, .kv_len = 131},
        {.dropout = 0.999999f, .sinks = true},
        {.dtype = VKA_F16, .dropout = 0.99999f},
        {.dropout = 0.3f, .kv_list = LENGTHS(.tensor = true), .q_list = OFFSETS(.tensor = true), .mask = VKA_U8},
    };
    RUN_CASES(cases);
}

/* ---- scores to look at ----------------------------------------------------------------------------------------- */

static void all_stages(vka_dtype dtype) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 8; n++) {
        uint32_t i = (n + 3 * dtype) % 8;
        if (context_leaves_out(&c, 11)) {
            continue;
        }
        attention_case a = {.dtype = dtype,
                            .scores = dtypes[(i + dtype) % DTYPES],
                            .score_stage = (vka_score_stage)(i % 4),
                            .causal = true,
                            .softcap = 2,
                            .kv_list = {.kind = i / 4 ? LIST_LENGTHS : LIST_NONE, .tensor = true},
                            .layout = {i / 4 ? "0213" : NULL, i % 2, i % 2},
                            .sinks = i / 4,
                            .q_len = 40};
        attention_problem p = attention_make(&c, fill(a), test_seed());
        attention_run(&p, VKA_ATTENTION_PATH_AUTO, i % 2 ? 3 : 0);
        attention_destroy(&p);
    }
    context_close(&c);
}

Test(attention_options, scores_f32) {
    all_stages(VKA_F32);
}

Test(attention_options, scores_f16) {
    all_stages(VKA_F16);
}

Test(attention_options, scores_bf16) {
    all_stages(VKA_BF16);
}

Test(attention_options, scores_of_others) {
    static const attention_case cases[] = {
        {.scores = VKA_F32, .score_stage = VKA_SCORES_MASKED, .mask = VKA_U8, .k_dtype = VKA_I8},
        {.scores = VKA_F32, .score_stage = VKA_SCORES_PROBABILITIES, .mask = VKA_F32, .mask_content = MASK_INFINITE},
        {.scores = VKA_F16, .score_stage = VKA_SCORES_SCALED, .page_size = 8, .kv_list = LENGTHS(.tensor = true)},
        {.scores = VKA_F32,
         .score_stage = VKA_SCORES_CAPPED,
         .q_list = OFFSETS(.tensor = true),
         .kv_list = OFFSETS(.tensor = true),
         .max_q_len = 12,
         .max_kv_len = 22,
         .softcap = 5},
        {.scores = VKA_F32, .score_stage = VKA_SCORES_MASKED, .selection = VKA_SELECTION_SAMPLE},
        {.scores = VKA_BF16, .score_stage = VKA_SCORES_PROBABILITIES, .dropout = 0.5f, .no_keys = true},
    };
    RUN_CASES(cases);
}
