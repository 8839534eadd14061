/* Smaller devices: the same results on devices that can do less.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "attention_case.h"
#include "norm_case.h"

static const attention_case attentions[] = {
    {.batch = 2, .q_heads = 3, .q_len = 113, .kv_len = 101, .head_dim = 40, .causal = true},
    {.dtype = VKA_F16, .batch = 2, .q_heads = 4, .kv_heads = 2, .q_len = 65, .kv_len = 63, .head_dim = 59},
    {.dtype = VKA_F16, .q_heads = 2, .q_len = 33, .kv_len = 60, .head_dim = 64, .layout = {"0213", 1, 1}},
    {.q_heads = 8, .kv_heads = 1, .q_len = 1, .kv_len = 239, .head_dim = 64},
    {.dtype = VKA_F16, .q_heads = 3, .q_len = 7, .kv_len = 45, .head_dim = 256, .window = {true, 9, 2}},
    {.q_heads = 2, .q_len = 20, .kv_len = 31, .head_dim = 111, .value_dim = 80, .layout = {"2013", 3, 1}},
    {.dtype = VKA_BF16, .q_heads = 4, .kv_heads = 2, .q_len = 33, .kv_len = 60, .head_dim = 13, .causal = true},
};
#define ATTENTIONS (sizeof attentions / sizeof *attentions)

/* From case `first` on: where drivers compile for seconds each device takes another one. */
static void attention_on(const device_config *config, bool forced_paths, size_t first) {
    context c;
    context_open(&c, config);
    bool slow = context_compiles_slowly(&c), software = context_is_software(&c);
    for (size_t n = 0; n < ATTENTIONS; n++) {
        size_t i = (first + n) % ATTENTIONS;
        if (context_leaves_out(&c, 7)) {
            continue;
        }
        attention_problem p = attention_make(&c, attentions[i], test_seed());
        attention_run_splits(&p, software, i);
        for (int path = VKA_ATTENTION_PATH_ROW; forced_paths && !slow && i % 2 == 0 && path <= LAST_PATH; path++) {
            bool matrices = attention_has_matrices((uint32_t)path);
            if (matrices && software && attentions[i].head_dim > 16) {
                continue; /* takes such drivers long to compile, and those of other shapes run below */
            }
            if (attention_can(&p, (vka_attention_path)path)) {
                attention_run(&p, (vka_attention_path)path, 0);
            }
        }
        attention_destroy(&p);
    }
    context_close(&c);
}

static void norm_on(const device_config *config, bool forced_paths) {
    static const uint32_t shapes[][2] = {{1, 1}, {300, 3}, {33, 64}, {17, 127}, {5, 1024}, {3, 4095}};
    context c;
    context_open(&c, config);
    /* Software drivers take a share of the pipelines. */
    uint32_t step = context_is_software(&c) ? 5 : 1;
    for (uint32_t i = 0; i < DTYPES * sizeof shapes / sizeof *shapes; i += step) {
        norm_case n = {.dtype = dtypes[i % DTYPES],
                       .affine = VKA_F32,
                       .rank = 2,
                       .shape = {shapes[i / DTYPES][0], shapes[i / DTYPES][1]},
                       .weight = true,
                       .bias = i & 2,
                       .residual = i & 4,
                       .sum = i & 4,
                       .mean = true,
                       .inv_std = true,
                       .layout = {.pad = i / 2 % 3, .shift = i % 2}};
        if (context_leaves_out(&c, 5)) {
            continue;
        }
        norm_problem p = norm_make(&c, n, test_seed());
        norm_run(&p, VKA_NORM_PATH_AUTO);
        if (forced_paths) {
            norm_run_paths(&p, i / step);
        }
        norm_destroy(&p);
    }
    context_close(&c);
}

Test(narrow, attention_real) {
    attention_on(&config_real, false, 4);
}

Test(narrow, attention_no_f16) {
    attention_on(&config_no_f16, true, 2);
}

Test(narrow, attention_tiny) {
    attention_on(&config_tiny, true, 6);
}

Test(narrow, attention_no_subgroup_arithmetic) {
    attention_on(&config_no_sub, true, 0);
}

Test(narrow, attention_staged) {
    attention_on(&config_staged, false, 3);
}

/* On GPUs lanes of the decode path take two vectors of a key side by side, of halves and of blocks. */
Test(narrow, decode_as_on_gpus) {
    const attention_case cases[] = {
        {.dtype = VKA_F16, .q_heads = 4, .kv_heads = 2, .q_len = 1, .kv_len = 131, .head_dim = 64, .value_dim = 128},
        {.dtype = VKA_F16, .q_heads = 2, .q_len = 3, .kv_len = 77, .head_dim = 120, .value_dim = 60, .causal = true},
    };
    context c;
    context_open(&c, &config_gpu);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        attention_problem p = attention_make(&c, cases[i], test_seed());
        attention_run(&p, VKA_ATTENTION_PATH_DECODE, 0);
        attention_destroy(&p);
    }
    context_close(&c);
}

Test(narrow, attention_few_groups) {
    attention_on(&config_few_groups, true, 1);
}

Test(narrow, attention_short) {
    attention_on(&config_short, true, 5);
}

/* ---- options --------------------------------------------------------------------------------------------------- */

/* Every case by the path that is chosen, one of them by all paths. */
static void options_on(const device_config *config, size_t by_all) {
    static const attention_case cases[] = {
        {.dtype = VKA_F16,
         .mask = VKA_F16,
         .mask_broadcast = 1,
         .kv_list = {LIST_LENGTHS, .tensor = true},
         .page_size = 8,
         .q_len = 19,
         .kv_len = 37,
         .head_dim = 8},
        {.k_dtype = VKA_Q8_0,
         .v_dtype = VKA_Q8_0,
         .sinks = true,
         .alibi = true,
         .q_len = 19,
         .kv_len = 37,
         .head_dim = 32},
        {.dtype = VKA_BF16,
         .q_list = {.kind = LIST_OFFSETS},
         .kv_list = {.kind = LIST_OFFSETS, .tensor = true},
         .relative_len = 11,
         .relative_zero = 7,
         .causal = true,
         .q_len = 23,
         .kv_len = 41,
         .head_dim = 13},
    };
    context c;
    context_open(&c, config);
    bool slow = context_compiles_slowly(&c), software = context_is_software(&c);
    for (size_t i = slow ? by_all : 0; i < sizeof cases / sizeof *cases; i += slow ? 3 : 1) {
        attention_case a = cases[i];
        a.batch = 3;
        a.q_heads = 4;
        a.kv_heads = 2;
        a.poison_hidden = true;
        attention_problem p = attention_make(&c, a, test_seed());
        attention_run_splits(&p, software, i);
        if (!slow && i == by_all) {
            attention_run_paths(&p, 0);
        }
        attention_destroy(&p);
    }
    context_close(&c);
}

Test(narrow, options_no_f16) {
    options_on(&config_no_f16, 0);
}

Test(narrow, options_tiny) {
    options_on(&config_tiny, 1);
}

Test(narrow, options_no_subgroup_arithmetic) {
    options_on(&config_no_sub, 2);
}

Test(narrow, options_staged) {
    options_on(&config_staged, 0);
}

Test(narrow, options_few_groups) {
    options_on(&config_few_groups, 1);
}

Test(narrow, options_short) {
    options_on(&config_short, 2);
}

/* Kernels with options bind more than eight, others do not. */
Test(narrow, options_few_buffers) {
    context c;
    context_open(&c, &config_few_buffers);
    cr_assert_eq(vka_device_get_caps(c.device)->storage_buffers, 8);
    attention_problem p =
        attention_make(&c, (attention_case){.mask = VKA_U8, .q_len = 9, .kv_len = 13, .head_dim = 8}, test_seed());
    vka_attention_desc desc = attention_desc(&p);
    vka_requirements need;
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_FAILURE(vka_attention(c.recorder, &desc), VKA_UNSUPPORTED, "vka_attention.desc");
    EXPECT_FAILURE(vka_attention_prepare(c.device, &desc), VKA_UNSUPPORTED, "vka_attention.desc");
    EXPECT_FAILURE(vka_attention_requirements(c.device, &desc, &need), VKA_UNSUPPORTED, "vka_attention.desc");
    context_finish(&c);
    attention_destroy(&p);
    p = attention_make(&c, (attention_case){.q_len = 9, .kv_len = 13, .head_dim = 8, .causal = true}, test_seed());
    attention_run(&p, VKA_ATTENTION_PATH_AUTO, 0);
    attention_run(&p, VKA_ATTENTION_PATH_AUTO, 3);
    attention_destroy(&p);
    context_close(&c);
}

/* ---- matrices of other shapes --------------------------------------------------------------------------------- */

static void matrices_on(const device_config *config) {
    static const attention_case cases[] = {
        {.batch = 2, .q_heads = 2, .q_len = 113, .kv_len = 203, .head_dim = 40, .causal = true},
        {.q_heads = 6, .kv_heads = 2, .q_len = 5, .kv_len = 63, .head_dim = 19, .value_dim = 23},
        {.q_len = 33, .kv_len = 97, .head_dim = 24, .window = {true, 9, 0}, .causal = true, .poison_hidden = true},
        {.q_len = 37, .kv_len = 150, .head_dim = 8, .value_dim = 72, .causal = true},
    };
    context c;
    context_open(&c, config);
    if (!vka_device_get_caps(c.device)->matrix_shape_count) {
        context_close(&c);
        cr_skip_test("SKIP: no cooperative matrices of this shape");
    }
    /* Where registers are few, only the last ones; the very last has many subgroups a block. */
    const bool low_register = config == &config_low_register || config == &config_low_register_16x16x16;
    for (size_t i = low_register ? 2 : 0; i < (low_register ? 4 : 3); i++) {
        attention_case a = cases[i];
        a.dtype = VKA_F16;
        attention_problem p = attention_make(&c, a, test_seed());
        attention_run(&p, VKA_ATTENTION_PATH_COOPMAT, 0);
        if (i == 1) {
            attention_run(&p, VKA_ATTENTION_PATH_COOPMAT, 3);
        }
        attention_destroy(&p);
    }
    context_close(&c);
}

Test(narrow, matrices_as_listed) {
    matrices_on(&config_real);
}

Test(narrow, matrices_with_few_registers) {
    matrices_on(&config_low_register);
}

Test(narrow, matrices_16x16x16_with_few_registers) {
    matrices_on(&config_low_register_16x16x16);
}

Test(narrow, matrices_16x16x16) {
    matrices_on(&config_matrix_16x16x16);
}

Test(narrow, matrices_8x16x16) {
    matrices_on(&config_matrix_8x16x16);
}

Test(narrow, matrices_16x8x8) {
    matrices_on(&config_matrix_16x8x8);
}

/* ---- norms ----------------------------------------------------------------------------------------------------- */

Test(narrow, norm_tiny) {
    norm_on(&config_tiny, true);
}

Test(narrow, norm_no_subgroup_arithmetic) {
    norm_on(&config_no_sub, true);
}

Test(narrow, norm_no_int64) {
    norm_on(&config_no_int64, true);
}

Test(narrow, norm_few_groups) {
    norm_on(&config_few_groups, true);
}

Test(narrow, norm_short) {
    norm_on(&config_short, true);
}

Test(narrow, norm_few_buffers) {
    norm_on(&config_few_buffers, true);
}

/* ---- tensors of many bindings ---------------------------------------------------------------------------------- */

static unsigned norm_dispatches(const norm_problem *p, vka_norm_path path) {
    char text[1024];
    vka_layer_norm_desc desc = norm_desc(p);
    desc.path = path;
    EXPECT_OK(vka_layer_norm_explain(p->c->device, &desc, text, sizeof text, NULL));
    const char *line = strstr(text, "\ndispatches: ");
    unsigned count = 0;
    cr_assert(line && sscanf(line, "\ndispatches: %u", &count) == 1, "%s", text);
    return count;
}

/* Rows are cut into ranges, not taken one by one: shapes of which no dimension is a multiple of its range. */
static void norm_rows_beyond_a_binding(const device_config *config, vka_dtype dtype) {
    static const struct {
        uint32_t rank, shape[4];
        const char *order;
        uint32_t most; /* dispatches, in f32 */
    } cases[] = {
        {2, {1013, 127}, NULL, 9},      {2, {811, 256}, NULL, 13},      {3, {7, 131, 127}, NULL, 14},
        {3, {7, 131, 64}, "102", 5},    {4, {3, 5, 61, 127}, NULL, 15}, {4, {3, 5, 61, 127}, "2013", 8},
        {4, {61, 3, 5, 92}, "1203", 9}, {2, {20011, 3}, NULL, 5},
    };
    context c;
    context_open(&c, config);
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        size_t i = (at + 3 * (size_t)dtype) % (sizeof cases / sizeof *cases);
        norm_case n = {.dtype = dtype,
                       .affine = VKA_F32,
                       .rank = cases[i].rank,
                       .weight = true,
                       .bias = i & 1,
                       .residual = i % 4 != 1,
                       .sum = i % 4 > 1,
                       .mean = i & 2,
                       .inv_std = true,
                       .alias = i % 3 ? ALIAS_OUT_X : ALIAS_NONE,
                       .layout = {.order = cases[i].order, .pad = i & 1, .shift = i % 3}};
        memcpy(n.shape, cases[i].shape, sizeof n.shape);
        norm_problem p = norm_make(&c, n, test_seed());
        for (int path = VKA_NORM_PATH_LANE; path <= VKA_NORM_PATH_GROUP; path++) {
            unsigned count = norm_dispatches(&p, (vka_norm_path)path);
            cr_expect(count > 1 && count <= cases[i].most, "case %zu: %u dispatches", i, count);
        }
        if (!context_leaves_out(&c, 11)) {
            norm_run_paths(&p, (uint32_t)i);
        }
        norm_destroy(&p);
    }
    context_close(&c);
}

Test(narrow, norm_rows_beyond_a_binding_f32) {
    norm_rows_beyond_a_binding(&config_short, VKA_F32);
}

Test(narrow, norm_rows_beyond_a_binding_f16) {
    norm_rows_beyond_a_binding(&config_short, VKA_F16);
}

Test(narrow, norm_rows_beyond_a_binding_bf16) {
    norm_rows_beyond_a_binding(&config_short, VKA_BF16);
}

/* ---- what a short binding can't see -------------------------------------------------------------------------- */

/* Queries, keys and results of one head come in parts; a page, a tile's masks and packed queries do not, and are
 * refused by the name of their tensor. */
Test(narrow, heads_too_large) {
    static const attention_case large[] = {
        {.q_len = 300, .kv_len = 5, .head_dim = 64, .value_dim = 8},
        {.q_len = 5, .kv_len = 300, .head_dim = 64, .value_dim = 8},
        {.q_len = 5, .kv_len = 300, .head_dim = 8, .value_dim = 64},
        {.q_len = 300, .kv_len = 5, .head_dim = 8, .value_dim = 64},
    };
    static const struct {
        attention_case a;
        const char *item;
    } refused[] = {
        {{.q_len = 5, .kv_len = 512, .head_dim = 64, .value_dim = 8, .page_size = 512}, "vka_attention.k"},
        {{.q_len = 5, .kv_len = 512, .head_dim = 8, .value_dim = 64, .page_size = 512}, "vka_attention.v"},
        {{.q_len = 64, .kv_len = 20000, .head_dim = 1, .mask = VKA_F32}, "vka_attention.mask"},
        {{.q_len = 64, .kv_len = 20000, .head_dim = 1, .scores = VKA_F32}, "vka_attention.scores"},
        {{.q_len = 300, .kv_len = 5, .head_dim = 64, .value_dim = 8, .q_list = {LIST_OFFSETS}}, "vka_attention.q"},
    };
    context c;
    context_open(&c, &config_short);
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        if (context_leaves_out(&c, 3)) {
            continue;
        }
        attention_problem p = attention_make(&c, large[i], test_seed());
        attention_run(&p, VKA_ATTENTION_PATH_AUTO, 0);
        attention_destroy(&p);
    }
    EXPECT_OK(vka_recorder_begin(c.recorder));
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        attention_problem p = attention_make(&c, refused[i].a, test_seed());
        vka_attention_desc desc = attention_desc(&p);
        EXPECT_REFUSED(vka_attention, &c, &desc, VKA_UNSUPPORTED, refused[i].item);
        attention_destroy(&p);
    }
    context_finish(&c);
    context_close(&c);
}

/* A row of 20000 columns is longer than 64 KiB. */
Test(narrow, rows_too_long) {
    context c;
    context_open(&c, &config_short);
    norm_problem p = norm_make(&c, (norm_case){.rank = 2, .shape = {2, 20000}}, test_seed());
    vka_layer_norm_desc desc = norm_desc(&p);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_FAILURE(vka_layer_norm(c.recorder, &desc), VKA_UNSUPPORTED, "vka_layer_norm.x");
    norm_destroy(&p);
    context_close(&c);
}
