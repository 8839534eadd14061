/* Quantised keys and values that are dequantised before attention reads them.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "attention_case.h"
#include "ops/attention/dequantise.h"
#include "plan_check_attention.h"
#include "plan_problem.h"
#include "support/tensor.h"

#define LENGTHS(...)                                                                                                   \
    { .kind = LIST_LENGTHS, __VA_ARGS__ }
#define OFFSETS(...)                                                                                                   \
    { .kind = LIST_OFFSETS, __VA_ARGS__ }

static bool says(const attention_problem *p, vka_attention_path path, const char *line) {
    char text[2048];
    vka_attention_desc desc = attention_desc(p);
    desc.path = path;
    EXPECT_OK(vka_attention_explain(p->c->device, &desc, text, sizeof text, NULL));
    return strstr(text, line);
}

static void run(context *c, attention_case a) {
    a.batch = a.batch ? a.batch : 2, a.q_heads = 4, a.kv_heads = 2;
    a.q_len = a.q_len ? a.q_len : 19;
    a.kv_len = 37;
    a.poison_hidden = true;
    a.dequantise = VKA_DEQUANTISE_FIRST;
    attention_problem p = attention_make(c, a, test_seed());
    bool possible = vka_device_get_caps(c->device)->storage_buffers >= 17;
    for (int path = VKA_ATTENTION_PATH_AUTO; path <= LAST_PATH; path++) {
        bool cheap = path == VKA_ATTENTION_PATH_AUTO || path >= VKA_ATTENTION_PATH_COOPMAT || getenv("VKATTN_TEST_ALL");
        if (!cheap || (path && !attention_can(&p, (vka_attention_path)path))) {
            continue;
        }
        cr_expect_eq(says(&p, (vka_attention_path)path, "dequantised_first: yes\n"), possible, "path %d", path);
        attention_run(&p, (vka_attention_path)path, path % 2 ? 3 : 0);
    }
    attention_destroy(&p);
}

Test(dequantise, first) {
    static const attention_case cases[] = {
        {.dtype = VKA_F16, .k_dtype = VKA_Q8_0, .v_dtype = VKA_Q8_0, .head_dim = 32},
        {.dtype = VKA_F32, .k_dtype = VKA_Q4_0, .v_dtype = VKA_Q4_0, .head_dim = 64, .value_dim = 32, .causal = true},
        {.dtype = VKA_F16, .k_dtype = VKA_I8, .v_dtype = VKA_I8, .head_dim = 7, .kv_list = LENGTHS(.tensor = true)},
        {.dtype = VKA_F16,
         .k_dtype = VKA_Q8_0,
         .v_dtype = VKA_F16,
         .head_dim = 32,
         .page_size = 8,
         .wild_pages = true,
         .kv_list = LENGTHS(.tensor = true)},
        {.dtype = VKA_F32,
         .k_dtype = VKA_Q4_0,
         .v_dtype = VKA_I8,
         .head_dim = 32,
         .value_dim = 5,
         .q_list = OFFSETS(.tensor = true),
         .kv_list = OFFSETS(.tensor = true),
         .mask = VKA_F16},
        {.dtype = VKA_BF16,
         .k_dtype = VKA_F32,
         .v_dtype = VKA_Q8_0,
         .head_dim = 8,
         .value_dim = 32,
         .k_shared = true,
         .v_shared = true,
         .kv_list = LENGTHS(.tensor = false),
         .layout = {"0213", 1, 1}},
        {.batch = 1,
         .dtype = VKA_F16,
         .k_dtype = VKA_Q8_0,
         .v_dtype = VKA_I8,
         .head_dim = 32,
         .kv_list = LENGTHS(.tensor = true),
         .max_kv_len = 21},
        {.dtype = VKA_F32,
         .k_dtype = VKA_Q8_0,
         .head_dim = 32,
         .pattern_seed = 1,
         .pattern_query_tile = 32,
         .pattern_key_tile = 32,
         .scores = VKA_F32,
         .score_stage = VKA_SCORES_MASKED},
    };
    context c;
    context_open(&c, &config_real);
    /* So many that the device computes how many workgroups there are. */
    run(&c, (attention_case){.dtype = VKA_F16,
                             .k_dtype = VKA_Q8_0,
                             .v_dtype = VKA_Q8_0,
                             .head_dim = 32,
                             .q_len = 2100,
                             .q_list = LENGTHS(.tensor = true),
                             .kv_list = LENGTHS(.tensor = true)});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!context_leaves_out(&c, 3)) {
            run(&c, cases[i]);
        }
    }
    context_close(&c);
}

/* In more dispatches, by few invocations, and not where a binding sees less than all rows. */
Test(dequantise, narrow) {
    static const device_config *const configs[] = {&config_few_groups, &config_tiny, &config_short, &config_no_f16};
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        context c;
        context_open(&c, configs[i]);
        for (uint32_t kv_len = 37; kv_len <= 337; kv_len += 300) {
            if (context_leaves_out(&c, 3)) {
                continue;
            }
            attention_case a = {.batch = 2,
                                .q_heads = 2,
                                .kv_heads = 2,
                                .q_len = 9,
                                .kv_len = kv_len,
                                .dtype = VKA_F16,
                                .k_dtype = VKA_I8,
                                .v_dtype = VKA_Q8_0,
                                .head_dim = 63,
                                .value_dim = 32,
                                .kv_list = LENGTHS(.tensor = true),
                                .poison_hidden = true,
                                .dequantise = VKA_DEQUANTISE_FIRST};
            attention_problem p = attention_make(&c, a, test_seed());
            const vka_device_caps *caps = vka_device_get_caps(c.device);
            bool possible = caps->storage_buffers >= 17 && caps->storage_range >= 4 * 2 * 2 * 63 * kv_len;
            cr_expect_eq(says(&p, VKA_ATTENTION_PATH_AUTO, "dequantised_first: yes\n"), possible, "%s, %u keys",
                         configs[i]->name, kv_len);
            attention_run(&p, VKA_ATTENTION_PATH_AUTO, 0);
            attention_destroy(&p);
        }
        context_close(&c);
    }
}

/* Of a prompt by matrices or dot products, and not of a step of decoding; not where it would not fit, or change bits.
 */
Test(dequantise, where_it_pays) {
    for (size_t i = 0; i < DEVICES; i++) {
        const vka_device_caps *caps = &devices[i].caps;
        vka__attention_problem prompt = plain(VKA_F16, 8, 8, 1024, 1024, 64), other;
        vka__attention_plan plan;
        vka__refusal refusal;
        prompt.k = dense(VKA_Q8_0, 1, 8, 1024, 64);
        prompt.v = dense(VKA_Q8_0, 1, 8, 1024, 64);
        cr_assert_eq(vka__plan_attention(caps, &prompt, &plan, &refusal), VKA_OK);
        bool pays = caps->type != VKA_DEVICE_CPU && plan.path != VKA_ATTENTION_PATH_TILE &&
                    caps->storage_buffers >= VKA_OPTIONS_BUFFERS && plan.slice == VKA__SLICE_ALL;
        cr_expect_eq(vka__dequantise_pays(caps, &prompt, &plan), pays, "%s, path %u", devices[i].name, plan.path);
        other = prompt;
        other.dequantise = VKA_DEQUANTISE_READ;
        cr_expect_not(vka__dequantise_pays(caps, &other, &plan));
        other = prompt;
        other.batch_invariant = true;
        other.dequantise = VKA_DEQUANTISE_FIRST;
        cr_expect_not(vka__dequantise_pays(caps, &other, &plan));
        other = prompt;
        other.band = true;
        other.band_lo = -15;
        other.band_hi = 0;
        cr_expect_not(vka__dequantise_pays(caps, &other, &plan), "%s: few tiles read each key", devices[i].name);
        other = plain(VKA_F16, 8, 8, 1, 1024, 64);
        other.k = prompt.k;
        other.v = prompt.v;
        cr_assert_eq(vka__plan_attention(caps, &other, &plan, &refusal), VKA_OK);
        cr_expect_not(vka__dequantise_pays(caps, &other, &plan), "%s: decoding", devices[i].name);
    }
}

/* Memory and work are those of the keys that there can be, and not of a cache's capacity. */
Test(dequantise, rows) {
    for (uint32_t batch = 1; batch < 3; batch++) {
        const vka_device_caps *caps = &devices[0].caps;
        vka__attention_problem p = plain(VKA_F16, 8, 8, 1024, 4096, 64);
        vka__attention_plan plan;
        vka__refusal refusal;
        vka__dequantise d = {0};
        vka_attention_params params[2];
        p.batch = batch;
        p.k = dense(VKA_Q8_0, 1, 8, 4096, 64);
        p.v = dense(VKA_Q8_0, 1, 8, 4096, 64);
        p.kv_len = 100;
        p.options |= VKA_FLAG_KV_LENGTHS;
        p.kv_list = dense(VKA_I32, 1, 1, 1, batch);
        cr_assert_eq(vka__plan_attention(caps, &p, &plan, &refusal), VKA_OK);
        cr_expect_leq(vka__dequantise_problem(&p, &plan, &d), UINT64_C(2) * 8 * 100 * 64 * 4);
        vka__dequantise_plan(caps, &p, &d, params);
        for (int side = 0; side < 2; side++) {
            uint32_t keys = d.grid[side].groups[0] * d.key[side].spec[VKA_SPEC_GROUP_SIZE] / 16;
            cr_expect(keys >= 100 && keys < 108, "%u keys for a batch of %u", keys, batch);
            bool own = d.key[side].spec[VKA_SPEC_FLAGS] & VKA_FLAG_KV_LENGTHS;
            cr_expect_eq(own, batch == 1, "only one sequence's own keys end with it");
        }
    }
}
