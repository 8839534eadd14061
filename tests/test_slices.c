/* Plans recorded in slices: the bits of the whole, whatever the budgets, on every path; barriers, refusals, memory.
 * What every operation does in slices is in ops/contract.c. SPDX-License-Identifier: MIT */
#include "vk/vk.h" /* first: volk in place of prototypes */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/norm.h>

#include "attention_case.h"
#include "core/core.h"
#include "linear_case.h"
#include "slices.h"
#include "support/app.h"
#include "support/intercept.h"
#include "vk/plan.h"

/* ---- attention --------------------------------------------------------------------------------------------------- */

static uint8_t *bytes_of(const tensor *t) {
    uint8_t *bytes = malloc(t->size);
    cr_assert_not_null(bytes);
    EXPECT_OK(vka_buffer_read(t->view.buffer, 0, bytes, t->size));
    return bytes;
}

/* Runs the description whole, and in slices of each kind: the same bits of out, which are right. */
static slice_counts compare_attention(attention_problem *p, vka_attention_desc desc, const char *how) {
    context *c = p->c;
    vka_requirements need;
    vka_plan *plan;
    slice_counts smallest = {0};
    EXPECT_OK(vka_attention_requirements(c->device, &desc, &need));
    vka_buffer *workspace = slices_workspace(c, &need);
    desc.workspace.buffer = workspace;
    tensor_poison(&p->out);
    EXPECT_OK(vka_recorder_begin(c->recorder));
    EXPECT_OK(vka_attention(c->recorder, &desc));
    context_finish(c);
    uint8_t *whole = bytes_of(&p->out);
    EXPECT_OK(vka_attention_plan(c->device, &desc, &plan));
    for (slice_budgets budgets = SLICES_SMALLEST; budgets <= SLICES_WHOLE; budgets++) {
        tensor_poison(&p->out);
        tensor_poison(&p->lse);
        slice_counts n = slices_run(c, &plan, 1, budgets);
        smallest = budgets == SLICES_SMALLEST ? n : smallest;
        cr_expect(budgets != SLICES_WHOLE || n.slices == 1, "%u slices without a limit", n.slices);
        uint8_t *sliced = bytes_of(&p->out);
        cr_expect(!memcmp(whole, sliced, p->out.size), "%s: other bits with budgets %d", how, budgets);
        attention_compare(p, how);
        free(sliced);
    }
    vka_plan_destroy(&plan);
    vka_buffer_destroy(&workspace);
    free(whole);
    return smallest;
}

static void attention_on(const device_config *config, attention_case a, uint32_t splits) {
    static const char *const names[LAST_PATH + 1] = {"chosen",  "row",      "tile", "decode",
                                                     "coopmat", "coopmat2", "dot",  "coopmat registers"};
    context c;
    context_open(&c, config);
    attention_problem p = attention_make(&c, a, test_seed());
    for (vka_attention_path path = VKA_ATTENTION_PATH_ROW; path <= LAST_PATH; path++) {
        if (!attention_can(&p, path)) {
            continue;
        }
        vka_attention_desc desc = attention_desc(&p);
        desc.path = path;
        desc.splits = splits;
        slice_counts n = compare_attention(&p, desc, names[path]);
        fprintf(stderr, "%s: %u slices, %u submissions\n", names[path], n.slices, n.submissions);
        cr_expect_gt(n.slices, 1, "%s: never cut", names[path]);
    }
    attention_destroy(&p);
    context_close(&c);
}

Test(slices, attention) {
    attention_on(
        &config_real,
        (attention_case){.dtype = VKA_F16, .batch = 2, .q_heads = 3, .q_len = 70, .kv_len = 83, .head_dim = 16}, 1);
}

Test(slices, attention_with_splits) {
    attention_on(&config_real,
                 (attention_case){.dtype = VKA_F16,
                                  .q_heads = 4,
                                  .kv_heads = 2,
                                  .q_len = 35,
                                  .kv_len = 131,
                                  .head_dim = 16,
                                  .causal = true,
                                  .sinks = true},
                 3);
}

/* Dispatches of a few workgroups, which slices cut again. */
Test(slices, attention_of_many_dispatches) {
    attention_on(&config_few_groups,
                 (attention_case){.batch = 2, .q_heads = 2, .q_len = 45, .kv_len = 31, .head_dim = 8}, 2);
}

/* Numbers of workgroups that the device would compute. The plan records as before, too. */
Test(slices, attention_with_lengths) {
    context c;
    context_open(&c, &config_real);
    attention_case a = {.batch = 8, .q_heads = 16, .kv_heads = 8, .q_len = 1, .kv_len = 77, .head_dim = 8};
    a.kv_list = (attention_list){LIST_LENGTHS, .tensor = true};
    attention_problem p = attention_make(&c, a, test_seed());
    vka_attention_desc desc = attention_desc(&p);
    vka_requirements need;
    char text[2048];
    vka_plan *plan;
    desc.splits = 8;
    EXPECT_OK(vka_attention_explain(c.device, &desc, text, sizeof text, NULL));
    cr_assert(strstr(text, "indirect: yes"), "%s", text);
    compare_attention(&p, desc, "with lengths");
    EXPECT_OK(vka_attention_requirements(c.device, &desc, &need));
    desc.workspace.buffer = slices_workspace(&c, &need);
    EXPECT_OK(vka_attention_plan(c.device, &desc, &plan));
    EXPECT_OK(vka_plan_prepare_slices(plan));
    tensor_poison(&p.out);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_plan_record(c.recorder, plan));
    context_finish(&c);
    attention_compare(&p, "whole, once prepared");
    vka_plan_destroy(&plan);
    vka_buffer_destroy(&desc.workspace.buffer);
    attention_destroy(&p);
    context_close(&c);
}

/* ---- sequences --------------------------------------------------------------------------------------------------- */

enum { ROWS = 150, WIDTH = 96, OUTPUTS = 72 };

typedef struct chain {
    tensor x, normed, weight, y, out;
    vka_rms_norm_desc first, last;
    vka_linear_desc linear;
} chain;

/* out = norm(norm(x) W^T): each operation reads what the one before wrote. */
static chain make_chain(context *c) {
    ref_rng rng = ref_rng_seed(test_seed());
    chain h = {
        .x = tensor_create(c, VKA_F32, 2, (uint32_t[]){ROWS, WIDTH}, (layout){0}),
        .normed = tensor_create(c, VKA_F32, 2, (uint32_t[]){ROWS, WIDTH}, (layout){0}),
        .weight = tensor_create(c, VKA_F32, 2, (uint32_t[]){OUTPUTS, WIDTH}, (layout){0}),
        .y = tensor_create(c, VKA_F32, 2, (uint32_t[]){ROWS, OUTPUTS}, (layout){0}),
        .out = tensor_create(c, VKA_F32, 2, (uint32_t[]){ROWS, OUTPUTS}, (layout){0}),
    };
    tensor_fill_normal(&h.x, &rng, 0, 1);
    tensor_fill_normal(&h.weight, &rng, 0, 1);
    tensor_upload(&h.x);
    tensor_upload(&h.weight);
    h.first = (vka_rms_norm_desc){.x = h.x.view, .out = h.normed.view};
    h.linear = (vka_linear_desc){.x = h.normed.view, .weight = h.weight.view, .out = h.y.view, .splits = 3};
    h.last = (vka_rms_norm_desc){.x = h.y.view, .out = h.out.view};
    vka_requirements need;
    EXPECT_OK(vka_linear_requirements(c->device, &h.linear, &need));
    cr_assert_gt(need.workspace_bytes, 0);
    h.linear.workspace.buffer = slices_workspace(c, &need);
    return h;
}

static void destroy_chain(chain *h) {
    tensor *all[] = {&h->x, &h->normed, &h->weight, &h->y, &h->out};
    for (int i = 0; i < 5; i++) {
        tensor_destroy(all[i]);
    }
    vka_buffer_destroy(&h->linear.workspace.buffer);
}

static void poison_chain(chain *h) {
    tensor_poison(&h->normed);
    tensor_poison(&h->y);
    tensor_poison(&h->out);
}

static void plan_chain(context *c, const chain *h, vka_plan *plans[3]) {
    EXPECT_OK(vka_rms_norm_plan(c->device, &h->first, &plans[0]));
    EXPECT_OK(vka_linear_plan(c->device, &h->linear, &plans[1]));
    EXPECT_OK(vka_rms_norm_plan(c->device, &h->last, &plans[2]));
}

static uint8_t *run_whole(context *c, chain *h) {
    poison_chain(h);
    EXPECT_OK(vka_recorder_begin(c->recorder));
    EXPECT_OK(vka_rms_norm(c->recorder, &h->first));
    EXPECT_OK(vka_linear(c->recorder, &h->linear));
    EXPECT_OK(vka_rms_norm(c->recorder, &h->last));
    context_finish(c);
    return bytes_of(&h->out);
}

static void expect_chain(const chain *h, const uint8_t *whole, const char *how) {
    uint8_t *sliced = bytes_of(&h->out);
    float poison;
    memset(&poison, 0xff, sizeof poison);
    cr_expect(!memcmp(whole, sliced, h->out.size), "other bits: %s", how);
    cr_expect(memcmp(whole + (tensor_bytes(&h->out, 0) - h->out.image), &poison, sizeof poison),
              "nothing was written: %s", how);
    free(sliced);
}

Test(slices, sequence) {
    context c;
    context_open(&c, &config_real);
    chain h = make_chain(&c);
    vka_plan *plans[3];
    uint8_t *whole = run_whole(&c, &h);
    plan_chain(&c, &h, plans);
    cr_expect_eq(vka_plan_work(plans[1]), 0, "not prepared");
    for (slice_budgets budgets = SLICES_SMALLEST; budgets <= SLICES_WHOLE; budgets++) {
        poison_chain(&h);
        slice_counts n = slices_run(&c, plans, 3, budgets);
        cr_expect(budgets == SLICES_WHOLE ? n.slices == 1 : budgets == SLICES_RANDOM || n.slices > 3);
        expect_chain(&h, whole, "a sequence");
    }
    cr_expect_geq(vka_plan_work(plans[1]), (uint64_t)2 * ROWS * WIDTH * OUTPUTS);
    /* Prepared plans are still recorded whole. */
    poison_chain(&h);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(vka_plan_record(c.recorder, plans[i]));
    }
    context_finish(&c);
    expect_chain(&h, whole, "whole, once prepared");
    for (int i = 0; i < 3; i++) {
        vka_plan_destroy(&plans[i]);
    }
    free(whole);
    destroy_chain(&h);
    context_close(&c);
}

/* In the app's command buffer, with nothing of the app between the slices: the library has the barriers. The validation
 * layer would see that one is missing. */
Test(slices, wrapped) {
    static const device_config config = {"imported", NULL};
    app a;
    app_open(&a, VK_API_VERSION_1_1, true);
    vka_import_desc desc = app_import(&a);
    context c = {.config = &config};
    EXPECT_OK(vka_device_import(&desc, &c.device));
    EXPECT_OK(vka_recorder_create(c.device, NULL, &c.recorder));
    chain h = make_chain(&c);
    vka_plan *plans[3];
    vka_recorder *more[64];
    uint32_t used = 0;
    uint8_t *whole = run_whole(&c, &h);
    plan_chain(&c, &h, plans);
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(vka_plan_prepare_slices(plans[i]));
    }
    poison_chain(&h);
    app_begin(&a);
    app_barrier(&a);
    for (vka_slice slice = {0}; !slice.done; used++) {
        cr_assert_lt(used, 64);
        EXPECT_OK(vka_recorder_create(c.device, NULL, &more[used]));
        EXPECT_OK(vka_recorder_wrap(more[used], a.cmd));
        EXPECT_OK(vka_plan_record_slice(more[used], (const vka_plan *const *)plans, 3, 1 << 18, &slice));
        EXPECT_OK(vka_recorder_unwrap(more[used]));
    }
    app_barrier(&a);
    app_submit_and_wait(&a);
    cr_expect_gt(used, 5);
    expect_chain(&h, whole, "wrapped");
    for (uint32_t i = 0; i < used; i++) {
        vka_recorder_destroy(&more[i]);
    }
    for (int i = 0; i < 3; i++) {
        vka_plan_destroy(&plans[i]);
    }
    free(whole);
    destroy_chain(&h);
    vka_recorder_destroy(&c.recorder);
    vka_device_destroy(&c.device);
    cr_assert_eq(allocator_live(), 0);
    app_close(&a);
}

/* Kernels whose sources ask for gl_NumWorkGroups, and some that do not. */
Test(slices, kernels_that_are_not_cut) {
    static const vka__kernel whole[] = {VKA__norm_columns,   VKA__group_norm_columns, VKA__group_norm_runs,
                                        VKA__norm_reduce,    VKA__gradient_squares,   VKA__sum,
                                        VKA__capsule_routing};
    static const vka__kernel cut[] = {VKA__attention_row, VKA__attention_tile, VKA__attention_decode_options,
                                      VKA__linear_tile,   VKA__linear_vector,  VKA__linear_reduce};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        cr_expect(vka__kernel_counts_groups(whole[i]), "%s", vka__kernel_name(whole[i]));
    }
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        cr_expect(!vka__kernel_counts_groups(cut[i]), "%s", vka__kernel_name(cut[i]));
    }
}

/* ---- what it must not do ----------------------------------------------------------------------------------------- */

/* Allocate; and what is given up leaves nothing behind and can be begun again. */
Test(slices, given_up) {
    context c;
    context_open(&c, &config_real);
    chain h = make_chain(&c);
    vka_plan *plans[3];
    uint8_t *whole = run_whole(&c, &h);
    plan_chain(&c, &h, plans);
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(vka_plan_prepare_slices(plans[i]));
    }
    for (int n = 1; n < 12; n += 3) {
        EXPECT_OK(vka_recorder_begin(c.recorder));
        uint64_t created = intercept_count(NULL), allocated = allocator_calls();
        vka_slice slice = {0};
        for (int i = 0; i < n; i++) {
            EXPECT_OK(vka_plan_record_slice(c.recorder, (const vka_plan *const *)plans, 3, 0, &slice));
        }
        cr_expect(!slice.done);
        cr_expect_eq(intercept_count(NULL), created);
        cr_expect_eq(allocator_calls(), allocated);
        context_finish(&c);
    }
    poison_chain(&h);
    slices_run(&c, plans, 3, SLICES_RANDOM);
    expect_chain(&h, whole, "after runs that were given up");
    for (int i = 0; i < 3; i++) {
        vka_plan_destroy(&plans[i]);
    }
    free(whole);
    destroy_chain(&h);
    context_close(&c);
}

/* Preparation is whole, or not there: the plan records as before, and can be prepared later. */
Test(slices, preparation_fails) {
    context c;
    context_open(&c, &config_real);
    chain h = make_chain(&c);
    vka_plan *plans[3];
    uint8_t *whole = run_whole(&c, &h);
    plan_chain(&c, &h, plans);
    for (int i = 0; i < 3; i++) {
        intercept_fail("vkCreateComputePipelines", 1, VK_ERROR_OUT_OF_DEVICE_MEMORY);
        /* The second norm has its pipelines from the first one. */
        vka_status status = vka_plan_prepare_slices(plans[i]);
        intercept_fail(NULL, 0, VK_SUCCESS);
        cr_expect_eq(status, i == 2 ? VKA_OK : VKA_OUT_OF_MEMORY, "plan %d", i);
        if (status != VKA_OK) {
            cr_expect_eq(vka_plan_work(plans[i]), 0);
            EXPECT_OK(vka_plan_prepare_slices(plans[i]));
        }
        EXPECT_OK(vka_plan_prepare_slices(plans[i]));
    }
    poison_chain(&h);
    slices_run(&c, plans, 3, SLICES_RANDOM);
    expect_chain(&h, whole, "after failures");
    for (int i = 0; i < 3; i++) {
        vka_plan_destroy(&plans[i]);
    }
    free(whole);
    destroy_chain(&h);
    context_close(&c);
}

Test(slices, refusals) {
    static const char item[] = "vka_plan_record_slice";
    context c;
    context_open(&c, &config_real);
    chain h = make_chain(&c);
    vka_plan *plans[3], *unnamed;
    vka_slice slice = {0}, none = {0};
    plan_chain(&c, &h, plans);
    const vka_plan *const *list = (const vka_plan *const *)plans;
    vka_linear_desc desc = h.linear;
    desc.workspace.buffer = NULL;
    EXPECT_OK(vka_linear_plan(c.device, &desc, &unnamed));
    EXPECT_FAILURE(vka_plan_prepare_slices(unnamed), VKA_INVALID, "vka_linear.workspace");
    cr_expect_eq(vka_plan_prepare_slices(NULL), VKA_INVALID);
    cr_expect_str_eq(vka_last_error(), "vka_plan_prepare_slices.plan: must not be NULL");
    cr_expect_eq(vka_plan_work(NULL), 0);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_FAILURE(vka_plan_record_slice(c.recorder, list, 3, 0, &slice), VKA_INVALID, "vka_plan_record_slice.plans");
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(vka_plan_prepare_slices(plans[i]));
    }
    EXPECT_FAILURE(vka_plan_record_slice(c.recorder, NULL, 3, 0, &slice), VKA_INVALID, "vka_plan_record_slice.plans");
    EXPECT_FAILURE(vka_plan_record_slice(c.recorder, list, 3, 0, NULL), VKA_INVALID, "vka_plan_record_slice.slice");
    const vka_plan *with_null[] = {plans[0], NULL};
    EXPECT_FAILURE(vka_plan_record_slice(c.recorder, with_null, 2, 0, &slice), VKA_INVALID,
                   "vka_plan_record_slice.plans");
    const vka_slice wrong[] = {
        {.plan = 4}, {.plan = 3, .group = 1}, {.dispatch = 1}, {.group = 1 << 20}, {.plan = 1, .dispatch = 9}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        slice = wrong[i];
        EXPECT_FAILURE(vka_plan_record_slice(c.recorder, list, 3, 0, &slice), VKA_INVALID,
                       "vka_plan_record_slice.slice");
        cr_expect(!memcmp(&slice, &wrong[i], sizeof slice));
    }
    cr_expect_eq(vka_plan_record_slice(NULL, list, 3, 0, &none), VKA_INVALID);
    cr_expect_str_eq(vka_last_error(), "vka_plan_record_slice.recorder: must not be NULL");
    /* Nothing to do is done, and stays so. */
    EXPECT_OK(vka_plan_record_slice(c.recorder, NULL, 0, 0, &none));
    cr_expect(none.done && !none.work);
    slice = none;
    EXPECT_OK(vka_plan_record_slice(c.recorder, NULL, 0, 0, &slice));
    cr_expect(slice.done && !slice.work);
    context_finish(&c);
    slice = (vka_slice){0};
    EXPECT_FAILURE(vka_plan_record_slice(c.recorder, list, 3, 0, &slice), VKA_INVALID, item);
    for (int i = 0; i < 3; i++) {
        vka_plan_destroy(&plans[i]);
    }
    vka_plan_destroy(&unnamed);
    destroy_chain(&h);
    context_close(&c);
}

/* No slice ends in the middle of a dispatch that is never cut. */
Test(slices, not_cut_not_continued) {
    context c;
    context_open(&c, &config_real);
    chain h = make_chain(&c);
    tensor d_weight = tensor_create(&c, VKA_F32, 1, (uint32_t[]){WIDTH}, (layout){0});
    vka_rms_norm_backward_desc desc = {.x = h.x.view, .d_out = h.normed.view, .d_weight = d_weight.view};
    vka_requirements need;
    vka_plan *plan;
    uint32_t found = 0;
    EXPECT_OK(vka_rms_norm_backward_requirements(c.device, &desc, &need));
    desc.workspace.buffer = slices_workspace(&c, &need);
    EXPECT_OK(vka_rms_norm_backward_plan(c.device, &desc, &plan));
    EXPECT_OK(vka_plan_prepare_slices(plan));
    EXPECT_OK(vka_recorder_begin(c.recorder));
    for (uint32_t i = 0; i < plan->commands.dispatches; i++) {
        const vka__planned *d = &plan->dispatch[i];
        vka_slice slice = {.dispatch = i, .group = 1};
        if (plan->whole[d->key] && d->groups[0] * d->groups[1] * d->groups[2] > 1) {
            EXPECT_FAILURE(vka_plan_record_slice(c.recorder, (const vka_plan *const *)&plan, 1, 0, &slice), VKA_INVALID,
                           "vka_plan_record_slice.slice");
            found++;
        }
    }
    cr_expect_gt(found, 0, "nothing here is whole");
    context_finish(&c);
    vka_plan_destroy(&plan);
    vka_buffer_destroy(&desc.workspace.buffer);
    tensor_destroy(&d_weight);
    destroy_chain(&h);
    context_close(&c);
}
