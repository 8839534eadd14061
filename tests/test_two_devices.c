/* Two devices in one program, of the same physical device where there is only one: each computes as if it were alone,
 * whatever the other one does, and refuses what belongs to the other. Threads with a device each: threads.c.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "attention_case.h"

/* The first one, and one beside it: closed in the opposite order. */
typedef struct pair {
    context first, second;
} pair;

static void open_second(context *c) {
    vka_device_desc desc = context_desc();
    *c = (context){.config = &config_real};
    EXPECT_OK(vka_device_create(&desc, &c->device));
    EXPECT_OK(vka_recorder_create(c->device, NULL, &c->recorder));
}

static void open_both(pair *p) {
    context_open(&p->first, &config_real);
    open_second(&p->second);
}

static void close_second(context *c) {
    vka_recorder_destroy(&c->recorder);
    vka_device_destroy(&c->device);
    cr_assert_null(c->device, "something of it is left");
}

static void close_both(pair *p) {
    close_second(&p->second);
    context_close(&p->first);
}

static void record(attention_problem *p) {
    vka_attention_desc desc = attention_desc(p);
    tensor_poison(&p->out);
    tensor_poison(&p->lse);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_attention(p->c->recorder, &desc));
}

static void expect_same_bits(const attention_problem *a, const attention_problem *b) {
    char *bits[2] = {attention_must(malloc(a->out.size)), attention_must(malloc(a->out.size))};
    cr_assert_eq(a->out.size, b->out.size);
    EXPECT_OK(vka_buffer_read(a->out.view.buffer, 0, bits[0], a->out.size));
    EXPECT_OK(vka_buffer_read(b->out.view.buffer, 0, bits[1], b->out.size));
    cr_expect_eq(memcmp(bits[0], bits[1], a->out.size), 0, "the other device has other bits");
    free(bits[0]);
    free(bits[1]);
}

static const attention_case small = {
    .q_heads = 4, .kv_heads = 2, .q_len = 65, .kv_len = 63, .head_dim = 20, .causal = true};

/* ---- results ------------------------------------------------------------------------------------------------- */

/* Both record before either submits, and both submit before either waits. */
Test(two_devices, in_turns) {
    pair p;
    open_both(&p);
    attention_problem a = attention_make(&p.first, small, test_seed()),
                      b = attention_make(&p.second, small, test_seed());
    for (int round = 0; round < 3; round++) {
        record(&a);
        record(&b);
        EXPECT_OK(vka_recorder_submit(p.second.recorder));
        EXPECT_OK(vka_recorder_submit(p.first.recorder));
        EXPECT_OK(vka_recorder_wait(p.first.recorder, VKA_FOREVER));
        EXPECT_OK(vka_recorder_wait(p.second.recorder, VKA_FOREVER));
        attention_compare(&a, "on the first device");
        attention_compare(&b, "on the second device");
        expect_same_bits(&a, &b);
    }
    attention_destroy(&a);
    attention_destroy(&b);
    close_both(&p);
}

/* One goes while the other one stays, and a third comes. */
Test(two_devices, one_goes) {
    pair p;
    open_both(&p);
    attention_problem a = attention_make(&p.first, small, test_seed()),
                      b = attention_make(&p.second, small, test_seed());
    record(&a);
    record(&b);
    EXPECT_OK(vka_recorder_submit(p.first.recorder));
    context_finish(&p.second);
    attention_compare(&b, "on a device that goes");
    attention_destroy(&b);
    close_second(&p.second);
    EXPECT_OK(vka_recorder_wait(p.first.recorder, VKA_FOREVER));
    attention_compare(&a, "on a device that stays");
    open_second(&p.second);
    b = attention_make(&p.second, small, test_seed());
    record(&a);
    record(&b);
    context_finish(&p.first);
    context_finish(&p.second);
    attention_compare(&a, "on a device that stayed");
    expect_same_bits(&a, &b);
    attention_destroy(&a);
    attention_destroy(&b);
    close_both(&p);
}

/* ---- what is the other's ------------------------------------------------------------------------------------- */

static void refuse_in_attention(const attention_problem *a, const attention_problem *b, vka_pattern *foreign) {
    vka_recorder *r = a->c->recorder;
    vka_plan *plan = NULL;
    vka_attention_desc d = attention_desc(a);
    d.v = attention_desc(b).v;
    EXPECT_FAILURE(vka_attention(r, &d), VKA_INVALID, "vka_attention.v");
    EXPECT_FAILURE(vka_attention_plan(a->c->device, &d, &plan), VKA_INVALID, "vka_attention.v");
    d = attention_desc(a);
    d.workspace.buffer = b->out.view.buffer;
    EXPECT_FAILURE(vka_attention(r, &d), VKA_INVALID, "vka_attention.workspace");
    d = attention_desc(a);
    d.pattern = foreign;
    EXPECT_FAILURE(vka_attention(r, &d), VKA_INVALID, "vka_attention.pattern");
    d = attention_desc(a);
    EXPECT_FAILURE(vka_attention_plan(b->c->device, &d, &plan), VKA_INVALID, "vka_attention.q");
    EXPECT_OK(vka_attention_plan(a->c->device, &d, &plan));
    EXPECT_OK(vka_recorder_begin(b->c->recorder));
    EXPECT_FAILURE(vka_plan_record(b->c->recorder, plan), VKA_INVALID, "vka_plan_record.plan");
    vka_plan_destroy(&plan);
}

static void refuse_copies(vka_recorder *r, vka_buffer *own, vka_buffer *foreign) {
    EXPECT_FAILURE(vka_copy(r, own, 0, foreign, 0, 16), VKA_INVALID, "vka_copy.src");
    EXPECT_FAILURE(vka_copy(r, foreign, 0, own, 0, 16), VKA_INVALID, "vka_copy.dst");
    EXPECT_FAILURE(vka_fill(r, foreign, 0, 16, 0), VKA_INVALID, "vka_fill.buffer");
}

/* Refusals name what is wrong, nothing is recorded, and both go on. */
Test(two_devices, refuse_each_others) {
    pair p;
    open_both(&p);
    attention_problem a = attention_make(&p.first, small, test_seed()),
                      b = attention_make(&p.second, small, test_seed());
    vka_pattern_term window = {.kind = VKA_PATTERN_WINDOW, .window = {.left = 20, .right = 20}};
    vka_pattern *foreign;
    EXPECT_OK(vka_pattern_create(
        p.second.device, &(vka_pattern_desc){.queries = 65, .keys = 65, .terms = &window, .term_count = 1}, &foreign));
    record(&a);
    refuse_in_attention(&a, &b, foreign);
    refuse_copies(p.first.recorder, a.out.view.buffer, b.out.view.buffer);
    refuse_copies(p.second.recorder, b.out.view.buffer, a.out.view.buffer);
    context_finish(&p.first);
    context_finish(&p.second);
    attention_compare(&a, "after refusals");
    record(&b);
    context_finish(&p.second);
    attention_compare(&b, "after refusals");
    vka_pattern_destroy(&foreign);
    attention_destroy(&a);
    attention_destroy(&b);
    close_both(&p);
}
