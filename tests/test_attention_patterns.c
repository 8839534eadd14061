/* Attention that walks a block map, or in an order: every path, and what it composes with.
 * SPDX-License-Identifier: MIT */
#include "attention_case.h"

#include "pattern_case.h"

#include <criterion/criterion.h>

/* Runs a case with a drawn pattern by every path. The problem's own queries and keys are in the case. */
static void run_pattern(context *c, attention_case a, vka_pattern_desc *d, pattern_storage *s, uint32_t splits) {
    a.pattern = d;
    a.poison_hidden = true;
    attention_problem p = attention_make(c, a, test_seed());
    if (!context_compiles_slowly(c)) {
        attention_run(&p, VKA_ATTENTION_PATH_AUTO, splits);
    }
    attention_run_paths(&p, splits);
    attention_destroy(&p);
    pattern_free(s);
}

static void run_kind(context *c, vka_pattern_kind kind, uint32_t positions, uint32_t heads, attention_case a) {
    ref_rng rng = ref_rng_seed(test_seed() + kind);
    pattern_storage s;
    vka_pattern_desc d;
    pattern_draw_kind(&rng, kind, positions, a.kv_len, heads, &s, &d);
    d.query_tile = kind % 2 ? 64 : 32; /* few pipelines for many kinds: the random tests draw tiles, too */
    d.key_tile = 32;
    run_pattern(c, a, &d, &s, 0);
}

/* Of many cases: old software drivers compile for seconds, and take a few. */
static uint32_t step_of(const context *c, uint32_t slow) {
    return context_compiles_slowly(c) ? slow : 1;
}

static void kinds(uint32_t first, uint32_t last) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t kind = first; kind <= last; kind += step_of(&c, 5)) {
        attention_case a = {.dtype = kind % 2 ? VKA_F16 : VKA_F32, .q_heads = 2, .q_len = 144, .kv_len = 144};
        a.head_dim = kind % 2 ? 16 : 9;
        a.diagonal = VKA_DIAGONAL_TOP_LEFT;
        run_kind(&c, (vka_pattern_kind)kind, 144, 0, a);
    }
    context_close(&c);
}

Test(attention_patterns, kinds_of_tokens) {
    kinds(VKA_PATTERN_ALL, VKA_PATTERN_DOCUMENTS);
}

Test(attention_patterns, kinds_of_grids_and_masks) {
    kinds(VKA_PATTERN_NEIGHBORHOOD, LAST_PATTERN_KIND);
}

/* Few queries at the end of long keys, heads that share keys, one map or one for each head. */
Test(attention_patterns, decode) {
    context c;
    context_open(&c, &config_real);
    attention_case a = {.batch = 2, .q_heads = 4, .kv_heads = 2, .q_len = 1, .kv_len = 331, .head_dim = 8};
    if (!context_compiles_slowly(&c)) {
        run_kind(&c, VKA_PATTERN_WINDOW, 331, 0, a);
    }
    a.q_len = 3;
    run_kind(&c, VKA_PATTERN_BIGBIRD, 331, 4, a);
    a.kv_list = (attention_list){.kind = LIST_LENGTHS, .tensor = true};
    run_kind(&c, VKA_PATTERN_FIXED, 331, 0, a);
    context_close(&c);
}

static const uint32_t first_tokens[] = {0, 1, 2, 77};

static vka_pattern_desc longformer(vka_pattern_term terms[2], uint32_t tokens) {
    terms[0] = (vka_pattern_term){.kind = VKA_PATTERN_WINDOW, .window = {.left = 20, .right = 20}};
    terms[1] = (vka_pattern_term){.kind = VKA_PATTERN_GLOBAL, .global = {.tokens = first_tokens, .count = 4}};
    return (vka_pattern_desc){.queries = tokens, .keys = tokens, .terms = terms, .term_count = 2};
}

/* Parts of a long row, and rows that have fewer parts than others. */
Test(attention_patterns, splits) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t splits = 2; splits <= 7; splits += 5 * step_of(&c, 2)) {
        vka_pattern_term terms[2];
        vka_pattern_desc d = longformer(terms, 293);
        attention_case a = {.q_heads = 2, .q_len = 293, .kv_len = 293, .head_dim = 16, .stats = true};
        run_pattern(&c, a, &d, &(pattern_storage){0}, splits);
        a.q_len = 2;
        a.kv_heads = 1;
        run_pattern(&c, a, &d, &(pattern_storage){0}, splits);
    }
    context_close(&c);
}

/* Masks, biases, lengths, pages and randomness. */
Test(attention_patterns, options) {
    static const attention_case cases[] = {
        {.mask = VKA_U8,
         .alibi = true,
         .causal = true,
         .q_list = {.kind = LIST_OFFSETS},
         .kv_list = {.kind = LIST_OFFSETS}},
        {.k_dtype = VKA_Q8_0,
         .v_dtype = VKA_Q8_0,
         .page_size = 16,
         .softcap = 5,
         .sinks = true,
         .kv_list = {.kind = LIST_LENGTHS, .tensor = true}},
        {.mask = VKA_F16,
         .mask_content = MASK_INFINITE,
         .window = {true, 30, 11},
         .scores = VKA_F32,
         .score_stage = VKA_SCORES_PROBABILITIES},
        {.relative_len = 21, .relative_zero = 10, .relative_masks = true, .dropout = 0.25f, .random_seed = 7},
        {.selection = VKA_SELECTION_SAMPLE, .causal = true},
    };
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i += step_of(&c, 5)) {
        attention_case a = cases[i];
        vka_pattern_term terms[2];
        vka_pattern_desc d = longformer(terms, 96);
        a.batch = 2;
        a.q_heads = 2;
        a.q_len = 83;
        a.kv_len = 96;
        a.head_dim = 32;
        run_pattern(&c, a, &d, &(pattern_storage){0}, i == 1 ? 2 : 0);
    }
    context_close(&c);
}

/* ---- orders ------------------------------------------------------------------------------------------------------ */

Test(attention_patterns, orders) {
    static const attention_case cases[] = {
        {.permutation_len = 90, .permutation_batch = true, .permutation_heads = true, .causal = true},
        {.permutation_len = 96, .permutation_heads = true, .mask = VKA_F32, .kv_list = {.kind = LIST_LENGTHS}},
        {.permutation_len = 77,
         .alibi = true,
         .scores = VKA_F32,
         .score_stage = VKA_SCORES_MASKED,
         .permutation_batch = true},
        {.permutation_len = 90, .dropout = 0.5f, .window = {true, 40, 40}, .dtype = VKA_F16},
    };
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i += step_of(&c, 5)) {
        attention_case a = cases[i];
        vka_pattern_term chunks = {.kind = VKA_PATTERN_CHUNKS, .chunks = {.size = 12, .before = 1}};
        vka_pattern_desc d = {.queries = 96, .keys = 96, .terms = &chunks, .term_count = 1};
        a.batch = 2;
        a.q_heads = 2;
        a.q_len = a.kv_len = i == 2 ? 77 : 90;
        a.head_dim = 16;
        run_pattern(&c, a, &d, &(pattern_storage){0}, 0);
    }
    context_close(&c);
}

Test(attention_patterns, order_without_pattern) {
    context c;
    context_open(&c, &config_real);
    attention_on_paths(
        &c, (attention_case){.q_len = 41, .kv_len = 41, .head_dim = 8, .permutation_len = 41, .causal = true});
    context_close(&c);
}

/* ---- grids ------------------------------------------------------------------------------------------------------- */

/* Neighborhoods in boxes, with what sees tokens through the permutation. */
Test(attention_patterns, boxes) {
    static const attention_case cases[] = {
        {.mask = VKA_U8},
        {.alibi = true, .kv_list = {.kind = LIST_LENGTHS}, .causal = true},
        {.stats = true, .dtype = VKA_F16},
        {.scores = VKA_F32, .score_stage = VKA_SCORES_MASKED},
    };
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i += step_of(&c, 5)) {
        attention_case a = cases[i];
        vka_pattern_term t = {.kind = VKA_PATTERN_NEIGHBORHOOD,
                              .grid = {.rank = 2, .size = {11, 13}, .window = {5, 3}, .dilation = {1, 2}}};
        vka_pattern_desc d = {.queries = 143, .keys = 143, .terms = &t, .term_count = 1, .keep_order = i == 3};
        a.q_heads = 2;
        a.q_len = a.kv_len = 143;
        a.head_dim = 12;
        a.diagonal = VKA_DIAGONAL_TOP_LEFT;
        run_pattern(&c, a, &d, &(pattern_storage){0}, 0);
    }
    context_close(&c);
}

/* Swin's table of biases, with its windows and without. */
Test(attention_patterns, grid_bias) {
    context c;
    context_open(&c, &config_real);
    attention_case a = {.q_heads = 3, .q_len = 96, .kv_len = 96, .head_dim = 8, .relative_len = 7};
    a.relative_rows = 7;
    a.relative_zero = a.relative_zero_row = 3;
    a.relative_width = 12;
    vka_pattern_term t = {.kind = VKA_PATTERN_SWIN,
                          .grid = {.rank = 2, .size = {8, 12}, .window = {4, 4}, .shift = {2, 1}}};
    vka_pattern_desc d = {.queries = 96, .keys = 96, .terms = &t, .term_count = 1};
    run_pattern(&c, a, &d, &(pattern_storage){0}, 0);
    a.relative_rows = 3; /* differences beyond the table take its edge */
    a.relative_zero_row = 1;
    a.relative_masks = true;
    a.q_len = 50;
    if (!context_compiles_slowly(&c)) {
        attention_on_paths(&c, a);
    }
    a.diagonal = VKA_DIAGONAL_EXPLICIT; /* positions before the first token, too */
    a.offset = -20;
    a.relative_shared = true;
    attention_on_paths(&c, a);
    context_close(&c);
}
