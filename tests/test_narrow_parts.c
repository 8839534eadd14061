/* Tensors of which no binding sees a head: pools of pages and keys in parts, queries in ranges. The same results as on
 * a device that sees all. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/cache.h>

#include "attention_case.h"

static void see_32_kib(void *user, vka_device_caps *caps) {
    (void)user;
    caps->storage_range = 32768;
}

/* With dispatches of few workgroups, and bindings that begin at few places. */
static void see_32_kib_coarsely(void *user, vka_device_caps *caps) {
    see_32_kib(user, caps);
    config_few_groups.narrow(user, caps);
    caps->storage_align = 256;
}

static const device_config config_32_kib = {"32_kib", see_32_kib};
static const device_config config_32_kib_coarse = {"32_kib_coarse", see_32_kib_coarsely};

/* A number that the plan explains. */
static unsigned explained(const attention_problem *p, const char *name) {
    char text[2048], line[64];
    vka_attention_desc desc = attention_desc(p);
    EXPECT_OK(vka_attention_explain(p->c->device, &desc, text, sizeof text, NULL));
    snprintf(line, sizeof line, "\n%s: ", name);
    const char *at = strstr(text, line);
    cr_assert_not_null(at, "%s: %s", name, text);
    return (unsigned)strtoul(at + strlen(line), NULL, 10);
}

typedef enum way { KEY_PARTS = 1, QUERY_RANGES = 2 } way;

/* Each case by all paths, and by the chosen one as the plan splits keys and in three splits a part; where drivers
 * compile for seconds a share of them, by one of these two. */
static void run_cases(const device_config *config, const attention_case *cases, size_t count, int ways) {
    context c;
    context_open(&c, config);
    bool slow = context_compiles_slowly(&c);
    for (size_t i = 0; i < count; i++) {
        attention_case a = cases[i];
        a.poison_hidden = true;
        attention_problem p = attention_make(&c, a, test_seed() + i);
        if (ways & KEY_PARTS) {
            cr_assert_gt(explained(&p, "key_parts"), 1, "case %zu", i);
        }
        if (ways & QUERY_RANGES) {
            cr_assert_gt(explained(&p, "query_ranges"), 1, "case %zu", i);
        }
        if (!context_leaves_out(&c, 3)) {
            attention_run_splits(&p, slow, i / 3);
        }
        if (!slow) {
            attention_run_paths(&p, 0);
        }
        attention_destroy(&p);
    }
    context_close(&c);
}
#define RUN(config, cases, ways) run_cases(config, cases, sizeof(cases) / sizeof *(cases), ways)

/* ---- pages ------------------------------------------------------------------------------------------------------ */

Test(narrow_parts, pages) {
    static const attention_case cases[] = {
        {.batch = 2, .q_heads = 4, .kv_heads = 2, .q_len = 5, .kv_len = 201, .head_dim = 32, .page_size = 8},
        {.dtype = VKA_F16,
         .q_heads = 2,
         .q_len = 33,
         .kv_len = 303,
         .head_dim = 24,
         .value_dim = 40,
         .page_size = 16,
         .causal = true,
         .kv_list = {LIST_LENGTHS, .tensor = true}},
        {.dtype = VKA_BF16,
         .batch = 3,
         .q_len = 1,
         .kv_len = 250,
         .head_dim = 59,
         .page_size = 8,
         .window = {true, 40, 0},
         .wild_pages = true},
    };
    RUN(&config_32_kib, cases, KEY_PARTS);
}

Test(narrow_parts, quantised_pages) {
    static const attention_case cases[] = {
        {.dtype = VKA_F16,
         .k_dtype = VKA_I8,
         .v_dtype = VKA_I8,
         .batch = 2,
         .q_heads = 2,
         .q_len = 3,
         .kv_len = 250,
         .head_dim = 64,
         .page_size = 8,
         .stats = true},
        {.dtype = VKA_F16,
         .k_dtype = VKA_Q8_0,
         .v_dtype = VKA_F32,
         .q_heads = 2,
         .q_len = 17,
         .kv_len = 230,
         .head_dim = 32,
         .page_size = 8,
         .kv_list = {LIST_LENGTHS}},
        /* scales that are larger than what they scale */
        {.k_dtype = VKA_I8, .v_dtype = VKA_I8, .batch = 4, .q_len = 3, .kv_len = 3000, .head_dim = 2, .page_size = 8},
    };
    RUN(&config_32_kib, cases, KEY_PARTS);
}

Test(narrow_parts, options_over_pages) {
    static const attention_case cases[] = {
        {.q_heads = 2,
         .kv_heads = 1,
         .q_len = 9,
         .kv_len = 320,
         .head_dim = 32,
         .page_size = 8,
         .mask = VKA_F16,
         .mask_broadcast = 2,
         .alibi = true,
         .sinks = true,
         .softcap = 3,
         .stats = true},
        {.batch = 2,
         .q_heads = 2,
         .q_len = 21,
         .kv_len = 200,
         .head_dim = 24,
         .page_size = 8,
         .dropout = 0.3f,
         .relative_len = 30,
         .relative_zero = 20,
         .q_list = {LIST_OFFSETS, .tensor = true},
         .kv_list = {LIST_LENGTHS, .tensor = true, .wild = true}},
        {.q_heads = 2,
         .q_len = 12,
         .kv_len = 150,
         .head_dim = 32,
         .page_size = 8,
         .mask = VKA_U8,
         .mask_content = MASK_ALL,
         .mask_broadcast = 7},
    };
    RUN(&config_32_kib, cases, KEY_PARTS);
}

Test(narrow_parts, patterns_over_pages) {
    static const attention_case cases[] = {
        {.q_heads = 2,
         .q_len = 90,
         .kv_len = 400,
         .head_dim = 16,
         .page_size = 16,
         .pattern_seed = 11,
         .pattern_query_tile = 64,
         .pattern_key_tile = 32},
        {.dtype = VKA_F16,
         .q_heads = 2,
         .q_len = 40,
         .kv_len = 640,
         .head_dim = 32,
         .page_size = 8,
         .causal = true,
         .pattern_seed = 5,
         .pattern_query_tile = 64,
         .pattern_key_tile = 64},
    };
    RUN(&config_32_kib, cases, KEY_PARTS);
}

/* Each score is written once, those of keys that a sequence does not have as well. */
Test(narrow_parts, scores_over_pages) {
    static const attention_case cases[] = {
        {.batch = 2,
         .q_heads = 2,
         .q_len = 7,
         .kv_len = 240,
         .head_dim = 32,
         .page_size = 8,
         .scores = VKA_F32,
         .kv_list = {LIST_LENGTHS, .tensor = true},
         .causal = true},
        {.q_heads = 2,
         .q_len = 7,
         .kv_len = 240,
         .head_dim = 32,
         .page_size = 8,
         .scores = VKA_F16,
         .score_stage = VKA_SCORES_MASKED,
         .alibi = true,
         .kv_list = {LIST_LENGTHS}},
        {.q_heads = 2,
         .q_len = 7,
         .kv_len = 240,
         .head_dim = 32,
         .page_size = 8,
         .scores = VKA_BF16,
         .score_stage = VKA_SCORES_PROBABILITIES,
         .wild_pages = true},
    };
    RUN(&config_32_kib, cases, KEY_PARTS);
}

/* ---- keys in one piece ------------------------------------------------------------------------------------------ */

Test(narrow_parts, keys) {
    static const attention_case cases[] = {
        {.batch = 2, .q_heads = 4, .kv_heads = 2, .q_len = 5, .kv_len = 301, .head_dim = 40},
        {.dtype = VKA_F16,
         .q_heads = 2,
         .q_len = 33,
         .kv_len = 303,
         .head_dim = 40,
         .layout = {"0213", 1, 1},
         .causal = true},
        {.dtype = VKA_F16,
         .k_dtype = VKA_Q8_0,
         .v_dtype = VKA_I8,
         .q_heads = 2,
         .q_len = 2,
         .kv_len = 1500,
         .head_dim = 32},
        {.dtype = VKA_BF16,
         .batch = 3,
         .q_len = 30,
         .kv_len = 700,
         .head_dim = 32,
         .kv_list = {LIST_OFFSETS, .tensor = true},
         .q_list = {LIST_OFFSETS},
         .sinks = true,
         .causal = true},
        {.q_heads = 2,
         .q_len = 9,
         .kv_len = 330,
         .head_dim = 32,
         .scores = VKA_F32,
         .score_stage = VKA_SCORES_CAPPED,
         .softcap = 5,
         .kv_list = {LIST_LENGTHS, .tensor = true}},
        {.q_heads = 2,
         .q_len = 40,
         .kv_len = 420,
         .head_dim = 24,
         .pattern_seed = 3,
         .pattern_query_tile = 64,
         .pattern_key_tile = 32,
         .stats = true},
    };
    RUN(&config_32_kib, cases, KEY_PARTS);
}

/* ---- queries ---------------------------------------------------------------------------------------------------- */

Test(narrow_parts, masks) {
    static const attention_case cases[] = {
        {.q_heads = 2, .q_len = 150, .kv_len = 200, .head_dim = 16, .mask = VKA_F16, .mask_broadcast = 2},
        {.dtype = VKA_F16,
         .batch = 2,
         .q_heads = 2,
         .kv_heads = 1,
         .q_len = 200,
         .kv_len = 401,
         .head_dim = 32,
         .mask = VKA_U8,
         .causal = true},
        {.dtype = VKA_F16,
         .q_len = 301,
         .kv_len = 100,
         .head_dim = 24,
         .mask = VKA_F32,
         .layout = {NULL, 4, 1},
         .window = {true, 70, 9},
         .q_list = {LIST_LENGTHS, .tensor = true},
         .sinks = true},
        {.q_len = 180, .kv_len = 224, .head_dim = 8, .mask = VKA_BF16, .stats = true, .dropout = 0.2f},
    };
    RUN(&config_32_kib, cases, QUERY_RANGES);
}

Test(narrow_parts, queries) {
    static const attention_case cases[] = {
        {.q_heads = 2, .q_len = 201, .kv_len = 33, .head_dim = 32, .value_dim = 11, .layout = {"0213", 1, 1}},
        {.dtype = VKA_F16,
         .out_dtype = VKA_F32,
         .q_heads = 4,
         .kv_heads = 2,
         .q_len = 401,
         .kv_len = 60,
         .head_dim = 8,
         .value_dim = 24,
         .causal = true},
        {.dtype = VKA_BF16,
         .q_len = 170,
         .kv_len = 50,
         .head_dim = 32,
         .scores = VKA_F32,
         .score_stage = VKA_SCORES_PROBABILITIES},
        {.q_len = 150,
         .kv_len = 60,
         .head_dim = 16,
         .scores = VKA_F32,
         .q_list = {LIST_OFFSETS},
         .batch = 2,
         .alibi = true},
    };
    RUN(&config_32_kib, cases, QUERY_RANGES);
}

Test(narrow_parts, queries_and_keys) {
    static const attention_case cases[] = {
        {.q_heads = 2, .q_len = 150, .kv_len = 300, .head_dim = 40, .mask = VKA_U8, .page_size = 8},
        {.q_len = 300,
         .kv_len = 250,
         .head_dim = 40,
         .causal = true,
         .scores = VKA_F16,
         .score_stage = VKA_SCORES_MASKED},
    };
    RUN(&config_32_kib, cases, KEY_PARTS | QUERY_RANGES);
    RUN(&config_32_kib_coarse, cases, KEY_PARTS | QUERY_RANGES);
}

/* ---- the highest score takes all -------------------------------------------------------------------------------- */

/* Of keys of equal score the first one that a query sees wins, whatever part its page is in. */
static void expect_first_keys(attention_problem *p, vka_attention_path path, uint32_t splits) {
    char why[1024];
    cr_assert(attention_try(p, path, splits, why, sizeof why), "%s", why);
    for (uint32_t b = 0; b < p->a.batch; b++) {
        for (uint32_t h = 0; h < p->a.q_heads; h++) {
            for (uint32_t i = 0; i < p->a.q_len; i++) {
                int64_t first = p->sequences.diagonal[b] + i - p->a.window.left;
                size_t row = attention_q_row(p, b, h, i),
                       key = attention_kv_row(p, &p->v, b, h, first < 0 ? 0 : (uint32_t)first);
                cr_assert_eq(p->out.values[row * p->a.value_dim], p->v.values[key * p->a.value_dim],
                             "path %d, %u splits: query %u of head %u", (int)path, splits, i, h);
            }
        }
    }
}

Test(narrow_parts, equal_scores) {
    context c;
    context_open(&c, &config_32_kib);
    for (uint32_t page = 0; page <= 8; page += 8) {
        attention_case a = {.q_heads = 2,
                            .q_len = 9,
                            .kv_len = 304,
                            .head_dim = 32,
                            .page_size = page,
                            .selection = VKA_SELECTION_ARGMAX,
                            .window = {true, 250, 0},
                            .stats = true};
        attention_problem p = attention_make(&c, a, test_seed());
        cr_assert_gt(explained(&p, "key_parts"), 1);
        memset(p.q.values, 0, p.q.count * sizeof *p.q.values);
        attention_update(&p);
        for (uint32_t splits = 1; splits <= 3; splits += 2) {
            if (!context_leaves_out(&c, 5)) {
                expect_first_keys(&p, VKA_ATTENTION_PATH_ROW, splits);
            }
            if (attention_can(&p, VKA_ATTENTION_PATH_DECODE) && !context_leaves_out(&c, 5)) {
                expect_first_keys(&p, VKA_ATTENTION_PATH_DECODE, splits);
            }
        }
        attention_destroy(&p);
    }
    context_close(&c);
}

Test(narrow_parts, selections) {
    static const attention_case cases[] = {
        {.batch = 2,
         .q_heads = 4,
         .kv_heads = 2,
         .q_len = 5,
         .kv_len = 201,
         .head_dim = 32,
         .page_size = 8,
         .selection = VKA_SELECTION_ARGMAX,
         .causal = true},
        {.dtype = VKA_F16,
         .q_heads = 2,
         .q_len = 3,
         .kv_len = 603,
         .head_dim = 40,
         .page_size = 16,
         .selection = VKA_SELECTION_SAMPLE,
         .random_seed = 9,
         .kv_list = {LIST_LENGTHS, .tensor = true}},
        {.q_heads = 2, .q_len = 5, .kv_len = 301, .head_dim = 40, .selection = VKA_SELECTION_SAMPLE},
    };
    RUN(&config_32_kib, cases, KEY_PARTS);
}

/* ---- a real binding --------------------------------------------------------------------------------------------- */

/* A pool of 28 MiB more than a binding sees, 156 where it is the least that Vulkan promises: the append fills pages all
 * over it, and the attention sees the same keys there as in one piece. */
Test(narrow_parts, a_real_pool) {
    enum { PAGE = 16, PAGES = 20, HEADS = 8, DIM = 128 };
    context c;
    context_open(&c, &config_real);
    uint64_t page_bytes = (uint64_t)PAGE * HEADS * DIM * 2, range = vka_device_get_caps(c.device)->storage_range;
    if (range > 512u << 20) {
        context_close(&c);
        cr_skip_test("SKIP: a binding sees more than 512 MiB, and two pools beyond it would be too large for a test");
    }
    attention_case a = {
        .dtype = VKA_F16, .q_heads = HEADS, .q_len = 3, .kv_len = PAGE * PAGES, .head_dim = DIM, .causal = true};
    attention_problem p = attention_make(&c, a, test_seed());
    vka_attention_desc desc = attention_desc(&p);
    uint32_t pages = (uint32_t)((range + (28u << 20)) / page_bytes);
    int32_t table[PAGES];
    vka_buffer *pool[2], *list;
    vka_tensor cache[2];
    for (int i = 0; i < 2; i++) {
        EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = pages * page_bytes}, &pool[i]));
        cache[i] = vka_tensor_4d(pool[i], VKA_F16, pages, HEADS, PAGE, DIM);
    }
    for (uint32_t i = 0; i < PAGES; i++) { /* from the first to the last one, not in this order */
        table[i] = (int32_t)((uint64_t)(i * 7 % PAGES) * (pages - 1) / (PAGES - 1));
    }
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = sizeof table}, &list));
    EXPECT_OK(vka_buffer_write(list, 0, table, sizeof table));
    vka_tensor page_table = vka_tensor_2d(list, VKA_I32, 1, PAGES);
    vka_cache_append_desc append = {
        .k = desc.k, .v = desc.v, .k_cache = cache[0], .v_cache = cache[1], .page_table = page_table};
    desc.k = cache[0];
    desc.v = cache[1];
    desc.page_table = page_table;
    tensor_poison(&p.out);
    tensor_poison(&p.lse);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_cache_append(c.recorder, &append));
    EXPECT_OK(vka_attention(c.recorder, &desc));
    context_finish(&c);
    attention_compare(&p, "a pool");
    for (int i = 0; i < 2; i++) {
        vka_buffer_destroy(&pool[i]);
    }
    vka_buffer_destroy(&list);
    attention_destroy(&p);
    context_close(&c);
}
