/* Lists of keys, of each query its own, by every path and with every option that they go together with.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "attention_case.h"

static attention_case fill(attention_case a) {
    a.batch = a.batch ? a.batch : 2;
    a.q_heads = a.q_heads ? a.q_heads : 4;
    a.kv_heads = a.kv_heads ? a.kv_heads : 2;
    a.q_len = a.q_len ? a.q_len : 11;
    a.kv_len = a.kv_len || a.no_keys ? a.kv_len : 67;
    a.head_dim = a.head_dim ? a.head_dim : 8;
    a.key_list_len = a.key_list_len ? a.key_list_len : 21;
    a.poison_hidden = true;
    return a;
}

/* By all paths, with the walk split and not; on software drivers by the path chosen and the row path, in turns split.
 */
static void run_cases(const attention_case *cases, size_t count) {
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < count; i++) {
        attention_case a = cases[i];
        if (context_leaves_out(&c, 7)) {
            continue;
        }
        a.dtype = a.dtype ? a.dtype : dtypes[i % DTYPES];
        attention_problem p = attention_make(&c, fill(a), test_seed());
        if (!context_is_software(&c) || getenv("VKATTN_TEST_ALL")) {
            attention_run_paths(&p, 0);
            attention_run_paths(&p, 3);
        } else {
            vka_attention_path other = (vka_attention_path)(VKA_ATTENTION_PATH_ROW + i % LAST_PATH);
            bool forced = i % 2 && !context_compiles_slowly(&c) && attention_can(&p, other);
            attention_run(&p, forced ? other : VKA_ATTENTION_PATH_AUTO, i / 2 % 2 ? 3 : 0);
        }
        attention_destroy(&p);
    }
    context_close(&c);
}
#define RUN_CASES(cases) run_cases(cases, sizeof(cases) / sizeof *(cases))

#define LENGTHS(...)                                                                                                   \
    { .kind = LIST_LENGTHS, __VA_ARGS__ }
#define OFFSETS(...)                                                                                                   \
    { .kind = LIST_OFFSETS, __VA_ARGS__ }

/* Of all heads, of each key head and of each query head; groups that fill tiles and that don't. */
Test(attention_lists, heads) {
    static const attention_case cases[] = {
        {.q_heads = 4, .kv_heads = 2, .key_list_heads = 0},
        {.q_heads = 4, .kv_heads = 2, .key_list_heads = 1},
        {.q_heads = 4, .kv_heads = 2, .key_list_heads = 2},
        {.q_heads = 3, .kv_heads = 3, .key_list_heads = 2},
        {.q_heads = 10, .kv_heads = 2, .key_list_heads = 1, .q_len = 5},
        {.q_heads = 40, .kv_heads = 1, .q_len = 3},
        {.q_heads = 33, .kv_heads = 1, .q_len = 2, .key_list_heads = 2},
        {.q_heads = 1, .kv_heads = 1, .q_len = 1, .kv_len = 300, .key_list_len = 150},
    };
    RUN_CASES(cases);
}

/* Longer than there are keys, of one key, of no key at all. */
Test(attention_lists, lengths_of_lists) {
    static const attention_case cases[] = {
        {.key_list_len = 1},
        {.key_list_len = 100, .kv_len = 9},
        {.key_list_len = 5, .no_keys = true},
        {.key_list_len = 64, .stats = true},
        {.key_list_len = 257, .kv_len = 500, .q_len = 2},
        {.key_list_len = 33, .kv_len = 1},
    };
    RUN_CASES(cases);
}

/* What masks keys besides. */
Test(attention_lists, masks) {
    static const attention_case cases[] = {
        {.causal = true},
        {.causal = true, .q_len = 67},
        {.window = {.enabled = true, .left = 20, .right = 3}, .sinks = true},
        {.mask = VKA_U8, .mask_rank = 4},
        {.mask = VKA_F16, .mask_rank = 2, .softcap = 3},
        {.alibi = true, .causal = true, .diagonal = VKA_DIAGONAL_EXPLICIT, .offset = 30},
        {.relative_len = 9, .relative_zero = 4, .relative_masks = true},
        {.dropout = 0.3f, .random_seed = 7, .stats = true},
        {.selection = VKA_SELECTION_ARGMAX, .whole_numbers = true},
        {.selection = VKA_SELECTION_SAMPLE, .random_seed = 5, .causal = true},
        {.cosine = true},
        {.relative_keys_len = 40, .relative_keys_zero = 11, .key_list_heads = 1},
    };
    RUN_CASES(cases);
}

/* Where keys come from. */
Test(attention_lists, caches) {
    static const attention_case cases[] = {
        {.page_size = 8, .kv_list = LENGTHS(.tensor = true), .causal = true},
        {.page_size = 16, .wild_pages = true, .q_len = 1},
        {.kv_list = LENGTHS(.tensor = true, .wild = true), .q_list = LENGTHS(.tensor = true)},
        {.q_list = OFFSETS(.tensor = true), .kv_list = OFFSETS(.tensor = true), .causal = true, .q_len = 40},
        {.q_list = OFFSETS(.tensor = true), .q_len = 30, .key_list_heads = 2, .layout = {"0213", 1, 1}},
        {.k_dtype = VKA_I8, .v_dtype = VKA_Q4_0, .value_dim = 32, .k_shared = true, .v_shared = true},
        {.k_dtype = VKA_Q4_0, .v_dtype = VKA_Q8_0, .head_dim = 32, .page_size = 8},
        {.layout = {"3210", 2, 3}, .key_list_heads = 1},
    };
    RUN_CASES(cases);
}

/* The same bits every time, whatever lies in keys that no list has. */
Test(attention_lists, hidden_keys) {
    context c;
    context_open(&c, &config_real);
    for (int i = 0; i < 2; i++) {
        char why[1500];
        attention_problem p =
            attention_make(&c, fill((attention_case){.dtype = VKA_F32, .causal = i, .key_list_heads = 1}), test_seed());
        cr_assert(attention_try_hidden(&p, VKA_ATTENTION_PATH_AUTO, i ? 3 : 0, why, sizeof why), "%s", why);
        attention_destroy(&p);
    }
    context_close(&c);
}

/* A list of all keys in order sees what no list sees; the plan follows the list's length, not the cache's. */
Test(attention_lists, plan) {
    context c;
    context_open(&c, &config_real);
    vka_attention_desc d = {.q = vka_tensor_4d(NULL, VKA_F16, 1, 8, 1, 64),
                            .k = vka_tensor_4d(NULL, VKA_F16, 1, 2, 1 << 17, 64),
                            .v = vka_tensor_4d(NULL, VKA_F16, 1, 2, 1 << 17, 64),
                            .out = vka_tensor_4d(NULL, VKA_F16, 1, 8, 1, 64),
                            .key_lists = vka_tensor_4d(NULL, VKA_I32, 1, 1, 1, 64)};
    char text[2048];
    if (vka_device_get_caps(c.device)->storage_buffers < 17) {
        context_close(&c);
        cr_skip_test("SKIP: attention's options need 17 storage buffers");
    }
    EXPECT_OK(vka_attention_explain(c.device, &d, text, sizeof text, NULL));
    cr_expect(strstr(text, "options: key_lists\n"), "%s", text);
    cr_expect(strstr(text, "packed_heads: yes\n"), "%s", text);
    cr_expect(strstr(text, "splits: 1\n"), "%s", text);
    vka_requirements few, all;
    EXPECT_OK(vka_attention_requirements(c.device, &d, &few));
    d.key_lists.shape[3] = 1 << 17;
    EXPECT_OK(vka_attention_requirements(c.device, &d, &all));
    cr_expect(few.workspace_bytes < all.workspace_bytes || few.dispatches < all.dispatches);
    context_close(&c);
}
