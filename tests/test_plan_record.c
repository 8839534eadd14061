/* Plans that are made once and recorded many times: what they must not depend on, and what they must not do.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/norm.h>

#include "attention_case.h"
#include "support/intercept.h"

/* Submits the recording twice: a plan's descriptor sets serve any number of submissions. */
static void compare_twice(context *c, attention_problem *p, const char *how) {
    for (int i = 0; i < 2; i++) {
        tensor_poison(&p->out);
        tensor_poison(&p->lse);
        context_finish(c);
        attention_compare(p, how);
    }
}

static void record_plan(context *c, attention_problem *p, vka_attention_desc *desc, const char *how) {
    vka_plan *plan;
    EXPECT_OK(vka_attention_plan(c->device, desc, &plan));
    EXPECT_OK(vka_recorder_begin(c->recorder));
    EXPECT_OK(vka_plan_record(c->recorder, plan));
    EXPECT_OK(vka_plan_record(c->recorder, plan));
    compare_twice(c, p, how);
    vka_plan_destroy(&plan);
    cr_expect_null(plan);
}

/* Keys split, with a workspace that the description names, and with the recorder's. */
Test(plan_record, workspaces) {
    context c;
    context_open(&c, &config_real);
    attention_case a = {.batch = 2, .q_heads = 4, .kv_heads = 2, .q_len = 3, .kv_len = 700, .head_dim = 20};
    attention_problem p = attention_make(&c, a, test_seed());
    vka_attention_desc desc = attention_desc(&p);
    vka_requirements need;
    desc.splits = 5;
    EXPECT_OK(vka_attention_requirements(c.device, &desc, &need));
    cr_assert_gt(need.workspace_bytes, 0);
    record_plan(&c, &p, &desc, "with the recorder's workspace");
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = need.workspace_bytes}, &desc.workspace.buffer));
    record_plan(&c, &p, &desc, "with a workspace");
    vka_buffer_destroy(&desc.workspace.buffer);
    attention_destroy(&p);
    context_close(&c);
}

/* Lists of the host are copied when the plan is made. */
Test(plan_record, host_values) {
    static const uint32_t splits[] = {1, 3};
    context c;
    context_open(&c, &config_real);
    attention_case a = {.batch = 3, .q_heads = 2, .kv_heads = 2, .q_len = 5, .kv_len = 77, .head_dim = 8};
    a.q_list.kind = a.kv_list.kind = LIST_LENGTHS;
    attention_problem p = attention_make(&c, a, test_seed());
    for (int i = 0; i < 2; i++) {
        int32_t q[3], kv[3];
        vka_attention_desc desc = attention_desc(&p);
        vka_plan *plan;
        cr_assert(desc.q_lengths.values && desc.kv_lengths.values);
        memcpy(q, desc.q_lengths.values, sizeof q);
        memcpy(kv, desc.kv_lengths.values, sizeof kv);
        desc.q_lengths.values = q;
        desc.kv_lengths.values = kv;
        desc.splits = splits[i];
        EXPECT_OK(vka_attention_plan(c.device, &desc, &plan));
        memset(q, 0x7f, sizeof q);
        memset(kv, 0x7f, sizeof kv);
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(vka_plan_record(c.recorder, plan));
        compare_twice(&c, &p, "after the lists are gone");
        vka_plan_destroy(&plan);
    }
    attention_destroy(&p);
    context_close(&c);
}

/* Numbers of workgroups that the device computes lie in memory of the recorder. */
Test(plan_record, indirect) {
    context c;
    context_open(&c, &config_real);
    attention_case a = {.batch = 8, .q_heads = 16, .kv_heads = 8, .q_len = 1, .kv_len = 77, .head_dim = 8};
    a.kv_list = (attention_list){LIST_LENGTHS, .tensor = true};
    attention_problem p = attention_make(&c, a, test_seed());
    vka_attention_desc desc = attention_desc(&p);
    vka_requirements need;
    char text[2048];
    desc.splits = 8;
    EXPECT_OK(vka_attention_requirements(c.device, &desc, &need));
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = need.workspace_bytes}, &desc.workspace.buffer));
    EXPECT_OK(vka_attention_explain(c.device, &desc, text, sizeof text, NULL));
    cr_assert(strstr(text, "indirect: yes"), "%s", text);
    record_plan(&c, &p, &desc, "with computed sizes");
    vka_buffer_destroy(&desc.workspace.buffer);
    attention_destroy(&p);
    context_close(&c);
}

static void one_group(void *user, vka_device_caps *caps) {
    (void)user;
    caps->max_groups[0] = caps->max_groups[1] = caps->max_groups[2] = 1;
}

/* More dispatches than a plan keeps: those of each row by themselves. */
Test(plan_record, many_dispatches) {
    static const device_config config = {"dispatches of a workgroup", one_group};
    enum { ROWS = 1100, COLS = 8 };
    static float x[ROWS * COLS], direct[ROWS * COLS], planned[ROWS * COLS];
    context c;
    context_open(&c, &config);
    vka_buffer *in, *out;
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = sizeof x}, &in));
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = sizeof x}, &out));
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < ROWS * COLS; i++) {
        x[i] = ref_rng_uniform(&rng, -1, 1);
    }
    EXPECT_OK(vka_buffer_write(in, 0, x, sizeof x));
    vka_layer_norm_desc desc = {.x = vka_tensor_2d(in, VKA_F32, ROWS, COLS),
                                .out = vka_tensor_2d(out, VKA_F32, ROWS, COLS),
                                .path = VKA_NORM_PATH_GROUP};
    vka_requirements need;
    vka_plan *plan;
    EXPECT_OK(vka_layer_norm_requirements(c.device, &desc, &need));
    cr_assert_eq(need.dispatches, ROWS);
    EXPECT_OK(vka_layer_norm_plan(c.device, &desc, &plan));
    for (int i = 0; i < 2; i++) {
        EXPECT_OK(vka_buffer_write(out, 0, x, sizeof x));
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(i ? vka_plan_record(c.recorder, plan) : vka_layer_norm(c.recorder, &desc));
        context_finish(&c);
        EXPECT_OK(vka_buffer_read(out, 0, i ? planned : direct, sizeof x));
    }
    cr_expect(!memcmp(direct, planned, sizeof x) && memcmp(direct, x, sizeof x));
    vka_plan_destroy(&plan);
    vka_buffer_destroy(&in);
    vka_buffer_destroy(&out);
    context_close(&c);
}

/* Recording a plan allocates nothing, not even in a recorder that has room for one dispatch. */
Test(plan_record, allocates_nothing) {
    context c;
    context_open(&c, &config_real);
    attention_problem p = attention_make(&c, (attention_case){.q_len = 5, .kv_len = 9, .head_dim = 8}, test_seed());
    vka_attention_desc desc = attention_desc(&p);
    vka_recorder *r;
    vka_plan *plan;
    EXPECT_OK(vka_attention_plan(c.device, &desc, &plan));
    EXPECT_OK(vka_recorder_create(c.device, &(vka_recorder_desc){.max_dispatches = 1}, &r));
    EXPECT_OK(vka_recorder_begin(r));
    uint64_t created = intercept_count(NULL), allocated = allocator_calls();
    uint64_t writes = intercept_count("vkUpdateDescriptorSetWithTemplate");
    for (int i = 0; i < 100; i++) {
        EXPECT_OK(vka_plan_record(r, plan));
    }
    cr_expect_eq(intercept_count(NULL), created);
    cr_expect_eq(allocator_calls(), allocated);
    cr_expect_eq(intercept_count("vkUpdateDescriptorSetWithTemplate"), writes);
    EXPECT_OK(vka_recorder_submit(r));
    EXPECT_OK(vka_recorder_wait(r, VKA_FOREVER));
    vka_recorder_destroy(&r);
    vka_plan_destroy(&plan);
    attention_destroy(&p);
    context_close(&c);
}

/* Nothing to do is a plan, too. */
Test(plan_record, no_rows) {
    context c;
    context_open(&c, &config_real);
    vka_buffer *buffer;
    vka_plan *plan;
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = 64}, &buffer));
    vka_tensor x = vka_tensor_2d(buffer, VKA_F32, 0, 8);
    vka_layer_norm_desc desc = {.x = x, .out = x};
    EXPECT_OK(vka_layer_norm_plan(c.device, &desc, &plan));
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_plan_record(c.recorder, plan));
    context_finish(&c);
    vka_plan_destroy(&plan);
    vka_buffer_destroy(&buffer);
    context_close(&c);
}

Test(plan_record, refusals) {
    context c;
    context_open(&c, &config_real);
    attention_problem p = attention_make(&c, (attention_case){.head_dim = 8}, test_seed());
    vka_attention_desc desc = attention_desc(&p);
    vka_device_desc other_desc = context_desc();
    vka_device *other;
    vka_recorder *foreign;
    vka_plan *plan;
    EXPECT_OK(vka_device_create(&other_desc, &other));
    EXPECT_OK(vka_recorder_create(other, NULL, &foreign));
    EXPECT_OK(vka_recorder_begin(foreign));
    EXPECT_OK(vka_attention_plan(c.device, &desc, &plan));
    EXPECT_FAILURE(vka_plan_record(c.recorder, plan), VKA_INVALID, "vka_attention");
    EXPECT_FAILURE(vka_plan_record(c.recorder, NULL), VKA_INVALID, "vka_plan_record.plan");
    EXPECT_FAILURE(vka_plan_record(foreign, plan), VKA_INVALID, "vka_plan_record.plan");
    cr_expect_eq(vka_plan_record(NULL, plan), VKA_INVALID);
    cr_expect_str_eq(vka_last_error(), "vka_plan_record.recorder: must not be NULL");
    vka_plan_destroy(NULL);
    vka_recorder_destroy(&foreign);
    vka_device_destroy(&other);
    /* Without its operation there is none. */
    desc.out.buffer = NULL;
    vka_plan *none = plan;
    EXPECT_FAILURE(vka_attention_plan(c.device, &desc, &none), VKA_INVALID, "vka_attention.out");
    cr_expect_null(none);
    vka_plan_destroy(&plan);
    attention_destroy(&p);
    context_close(&c);
}
