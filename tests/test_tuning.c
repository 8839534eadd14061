/* Tuning records: what is read, what is ignored, what it changes.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attention_case.h"
#include "ops/attention/paths.h"
#include "op/tuning.h"

static const vka_device_caps caps = {.type = VKA_DEVICE_DISCRETE,
                                     .vendor_id = 0x10de,
                                     .device_id = 7,
                                     .driver_id = 4,
                                     .driver_version = 99,
                                     .subgroup_size = 32,
                                     .subgroup_min = 32,
                                     .subgroup_max = 32,
                                     .shared_bytes = 49152,
                                     .max_invocations = 1024,
                                     .max_groups = {65535, 65535, 65535},
                                     .storage_range = UINT64_C(1) << 32,
                                     .storage_buffers = 64,
                                     .storage_align = 16,
                                     .f16_storage = true};

#define IDS(device) "\"vendor_id\": 4318, \"device_id\": " device ", \"driver_id\": 4, \"driver_version\": 99"
#define RULE(dtype, dim)                                                                                               \
    "{\"dtype\": \"" dtype "\", \"head_dim\": " dim ", \"path\": \"tile\", \"query_tile\": 32, "                       \
    "\"key_tile\": 16, \"rows_per_invocation\": 4, \"team\": 8, \"workgroups\": 700}"
#define BOUNDED(dim_above, rows_above)                                                                                 \
    "{\"dtype\": \"f16\", \"head_dim\": 128, \"head_dim_above\": " dim_above ", \"rows_above\": " rows_above           \
    ", \"path\": \"tile\", \"query_tile\": 32, \"key_tile\": 16, \"rows_per_invocation\": 4, \"team\": 8}"
#define RECORD(device, rules) "{\"name\": \"x\", " IDS(device) ", \"attention\": [" rules "]}"
#define FILE_OF(records)      "{\"vkattn_tuning\": 1, \"records\": [" records "]}"

static vka_status parse(const char *text, vka__tuning *tuning, const char **why) {
    vka__context ctx;
    cr_assert_eq(vka__context_init(&ctx, "test", &(vka_log){0}, &(vka_allocator){0}), VKA_OK);
    return vka__tuning_parse(&ctx, &caps, text, strlen(text), tuning, why);
}

static const vka__tuning_rule *find(const vka__tuning *tuning, vka_dtype dtype, uint32_t head_dim, uint32_t rows) {
    return vka__tuning_find(tuning, &vka__attention_paths, &(vka__tuning_class){dtype, {head_dim, rows}});
}

Test(tuning, own_record_among_others) {
    vka__tuning t;
    const char *why;
    cr_assert_eq(parse(FILE_OF(RECORD("6", RULE("f32", "64")) ", " RECORD(
                           "7", RULE("f16", "64") ", " RULE("f16", "128") ", " RULE("bf16", "64"))),
                       &t, &why),
                 VKA_OK, "%s", why);
    cr_assert_eq(t.count, 3);
    cr_expect_eq(find(&t, VKA_BF16, 64, 100), &t.rules[2]);
    cr_assert_null(find(&t, VKA_BF16, 65, 100));
    cr_assert_null(find(&t, VKA_F32, 64, 100));
    cr_assert_null(find(&t, VKA_F16, 129, 100));
    cr_assert_null(find(NULL, VKA_F16, 64, 100));
    cr_expect_eq(find(&t, VKA_F16, 40, 100)->most[0], 64);
    cr_expect_eq(find(&t, VKA_F16, 65, 100)->most[0], 128);
    cr_expect_eq(find(&t, VKA_F16, 65, 100)->workgroups, 700);
}

/* A rule says nothing about narrower classes than the one it was measured for, if it says so. */
Test(tuning, bounds_from_below) {
    vka__tuning t;
    const char *why;
    cr_assert_eq(parse(FILE_OF(RECORD("7", BOUNDED("64", "16"))), &t, &why), VKA_OK, "%s", why);
    cr_expect_null(find(&t, VKA_F16, 64, 17));
    cr_expect_null(find(&t, VKA_F16, 65, 16));
    cr_expect_eq(find(&t, VKA_F16, 65, 17), &t.rules[0]);
    cr_expect_eq(find(&t, VKA_F16, 128, 9999), &t.rules[0]);
    cr_expect_null(find(&t, VKA_F16, 129, 17));
    cr_expect_eq(parse(FILE_OF(RECORD("7", BOUNDED("-1", "16"))), &t, &why), VKA_INVALID);
    cr_expect_eq(parse(FILE_OF(RECORD("7", BOUNDED("64", "\"16\""))), &t, &why), VKA_INVALID);
}

Test(tuning, foreign_record_is_no_error) {
    vka__tuning t;
    const char *why;
    cr_assert_eq(parse(FILE_OF(RECORD("8", RULE("f32", "64"))), &t, &why), VKA_OK);
    cr_assert_eq(t.count, 0);
    cr_assert_eq(parse(FILE_OF(""), &t, &why), VKA_OK);
}

/* Whatever is cut, changed or made up: an answer, never a crash; and no rule of a malformed text is kept. */
Test(tuning, malformed) {
    static const char *const bad[] = {
        "",
        "x",
        "{",
        "[]",
        "{}",
        "1",
        "\"\"",
        "{\"vkattn_tuning\": 2, \"records\": []}",
        "{\"vkattn_tuning\": 1}",
        "{\"vkattn_tuning\": -1, \"records\": []}",
        "{\"vkattn_tuning\": 1, \"records\": {}}",
        "{\"records\": [], \"vkattn_tuning\": \"1\"}",
        FILE_OF("{" IDS("7") "}"),
        FILE_OF("{" IDS("7") ", \"attention\": 5}"),
        FILE_OF(RECORD("7", "5")),
        FILE_OF(RECORD("7", "{}")),
        FILE_OF(RECORD("7", RULE("f64", "64"))),
        FILE_OF(RECORD("7", RULE("f16", "\"64\""))),
        FILE_OF(RECORD("7", RULE("f16", "99999999999"))),
        FILE_OF(RECORD("7", RULE("f16", "-64"))),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vka__tuning t;
        const char *why = NULL;
        cr_expect_eq(parse(bad[i], &t, &why), VKA_INVALID, "%s", bad[i]);
        cr_expect(why && t.count == 0, "%s", bad[i]);
    }
    static const char good[] = FILE_OF(RECORD("7", RULE("f16", "64")));
    for (size_t cut = 0; cut < sizeof good - 1; cut++) {
        vka__tuning t;
        const char *why;
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        text[cut] = 0;
        cr_expect_eq(parse(text, &t, &why), VKA_INVALID, "cut at %zu", cut);
        for (int c = 1; c < 128; c += 3) {
            memcpy(text, good, sizeof good);
            text[cut] = (char)c;
            parse(text, &t, &why);
        }
    }
}

static vka__attention_problem problem(const vka__tuning *tuning, uint32_t d) {
    vka__view v = {.present = true, .dtype = VKA_F16, .size = 2, .block = 1, .shape = {1, 4, 1024, d}};
    v.stride[3] = 1, v.stride[2] = d, v.stride[1] = 1024 * d;
    vka__attention_problem p = {.q = v, .k = v, .v = v, .out = v, .scale = 1, .tuning = tuning};
    vka__attention_sizes(&p);
    return p;
}

Test(tuning, plan_follows_the_record) {
    vka__tuning t;
    const char *why;
    vka__attention_plan plan;
    vka__refusal refusal;
    cr_assert_eq(parse(FILE_OF(RECORD("7", RULE("f16", "64"))), &t, &why), VKA_OK);
    vka__attention_problem p = problem(&t, 64);
    cr_assert_eq(vka__plan_attention(&caps, &p, &plan, &refusal), VKA_OK);
    cr_expect_eq(plan.main.spec[VKA_SPEC_BR], 32);
    cr_expect_eq(plan.main.spec[VKA_SPEC_BC], 16);
    cr_expect(strstr(plan.why, "record"));
    p.path = VKA_ATTENTION_PATH_ROW; /* the description goes first */
    cr_assert_eq(vka__plan_attention(&caps, &p, &plan, &refusal), VKA_OK);
    cr_expect_eq(plan.path, VKA_ATTENTION_PATH_ROW);
    t.rules[0].tile.br = 33; /* no such tile */
    p = problem(&t, 64);
    cr_assert_eq(vka__plan_attention(&caps, &p, &plan, &refusal), VKA_OK);
    cr_expect_neq(plan.main.spec[VKA_SPEC_BC], 16);
}

/* ---- on the device --------------------------------------------------------------------------------------------- */

static void explain(context *c, attention_problem *p, char *text, size_t size) {
    vka_attention_desc desc = attention_desc(p);
    EXPECT_OK(vka_attention_explain(c->device, &desc, text, size, NULL));
}

static int record_text(const vka_device_caps *d, char *text, size_t size) {
    return snprintf(
        text, size,
        "{\"vkattn_tuning\": 1, \"records\": [{\"vendor_id\": %u, \"device_id\": %u, \"driver_id\": %u, "
        "\"driver_version\": %u, \"attention\": [{\"dtype\": \"f32\", \"head_dim\": 16, \"path\": \"tile\", "
        "\"query_tile\": 16, \"key_tile\": 32, \"rows_per_invocation\": 2, \"team\": 8}]}]}",
        d->vendor_id, d->device_id, d->driver_id, d->driver_version);
}

static void device_with(const char *text, const char *file, bool used) {
    context c = {.config = &config_real};
    char plan[2048];
    context_require_device();
    vka_device_desc desc = context_desc();
    desc.tuning = text;
    desc.tuning_size = text ? strlen(text) : 0;
    desc.tuning_file = file;
    log_clear();
    EXPECT_OK(vka_device_create(&desc, &c.device));
    cr_expect_eq(log_count(VKA_LOG_WARNING), used ? 0 : 1);
    EXPECT_OK(vka_recorder_create(c.device, NULL, &c.recorder));
    attention_problem p = attention_make(&c, (attention_case){.q_len = 33, .kv_len = 60, .head_dim = 16}, test_seed());
    attention_run(&p, VKA_ATTENTION_PATH_AUTO, 0);
    explain(&c, &p, plan, sizeof plan);
    cr_expect_eq(strstr(plan, "tuning record") != NULL, used, "%s", plan);
    attention_destroy(&p);
    context_close(&c);
}

Test(tuning, device_uses_text_and_file) {
    context c;
    char text[1024], name[] = "/tmp/vkattn_tuning_XXXXXX";
    context_open(&c, &config_real);
    int length = record_text(vka_device_get_caps(c.device), text, sizeof text);
    context_close(&c);
    device_with(text, NULL, true);
    int fd = mkstemp(name);
    cr_assert(fd >= 0);
    FILE *file = fdopen(fd, "wb");
    cr_assert_eq(fwrite(text, 1, (size_t)length, file), (size_t)length);
    fclose(file);
    device_with(NULL, name, true);
    remove(name);
    device_with(NULL, name, false);
    device_with("{\"vkattn_tuning\": ", NULL, false);
}

/* Candidates' tiles are refused by name where they are none; test_candidates.c runs them. */
Test(tuning, tile_that_is_none) {
    context c;
    context_open(&c, &config_real);
    attention_problem p = attention_make(&c, (attention_case){.q_len = 35, .kv_len = 71, .head_dim = 8}, test_seed());
    vka_attention_candidate list[128];
    uint32_t count = 0;
    vka_attention_desc desc = attention_desc(&p);
    EXPECT_OK(vka_attention_candidates(c.device, &desc, list, 128, &count));
    cr_assert(count > 1 && count <= 128);
    desc.path = list[0].path;
    desc.tile = list[0].tile;
    desc.tile.key_tile = 3;
    EXPECT_FAILURE(vka_attention_prepare(c.device, &desc), VKA_UNSUPPORTED, "vka_attention.tile");
    desc.path = VKA_ATTENTION_PATH_AUTO;
    EXPECT_FAILURE(vka_attention_prepare(c.device, &desc), VKA_INVALID, "vka_attention.tile");
    attention_destroy(&p);
    context_close(&c);
}
