/* Does the harness see what it is there to see? Otherwise every other test would be worth less than it seems.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attention_case.h"
#include "support/app.h"
#include "support/intercept.h"
#include "support/tensor.h"

Test(harness, validation_layer) {
    context_require_device();
    if (!intercept_has_validation()) {
        cr_skip_test("SKIP: VK_LAYER_KHRONOS_validation is not installed, nothing here is validated");
    }
    app a;
    app_open(&a, VK_API_VERSION_1_1, false);
    cr_assert_eq(intercept_violations(), 0);
    VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = 0};
    VkBuffer buffer;
    a.vkCreateBuffer(a.device, &info, NULL, &buffer);
    cr_assert_gt(intercept_violations(), 0, "a buffer of size 0 was not noticed");
    a.vkDestroyBuffer(a.device, buffer, NULL);
    intercept_forgive();
    app_close(&a);
}

Test(harness, synchronization_validation) {
    context_require_device();
    if (!intercept_has_validation()) {
        cr_skip_test("SKIP: VK_LAYER_KHRONOS_validation is not installed, nothing here is validated");
    }
    const char *gpu = getenv("VKATTN_TEST_GPUAV");
    if (gpu && !strcmp(gpu, "1")) {
        cr_skip_test("SKIP: GPU-assisted validation runs in place of synchronization validation");
    }
    app a;
    app_open(&a, VK_API_VERSION_1_1, false);
    app_buffer b = app_buffer_create(&a, 64, VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT);
    VkBufferCopy copies[] = {{0, 16, 16}, {16, 32, 16}};
    app_begin(&a);
    a.vkCmdCopyBuffer(a.cmd, b.handle, b.handle, 1, &copies[0]);
    a.vkCmdCopyBuffer(a.cmd, b.handle, b.handle, 1, &copies[1]);
    app_submit_and_wait(&a);
    cr_assert_gt(intercept_violations(), 0, "a copy that reads what the one before writes was not noticed");
    intercept_forgive();
    app_buffer_destroy(&a, &b);
    app_close(&a);
}

Test(harness, leaks) {
    app a;
    app_open(&a, VK_API_VERSION_1_1, false);
    int64_t live = intercept_live();
    app_buffer b = app_buffer_create(&a, 64, VK_BUFFER_USAGE_TRANSFER_SRC_BIT);
    cr_assert_eq(intercept_live(), live + 2);
    app_buffer_destroy(&a, &b);
    cr_assert_eq(intercept_live(), live);
    vka_allocator memory = allocator_counted();
    void *block = memory.reallocate(memory.user, NULL, 10);
    block = memory.reallocate(memory.user, block, 20);
    cr_assert_eq(allocator_live(), 1);
    memory.release(memory.user, block);
    memory.release(memory.user, NULL);
    cr_assert_eq(allocator_live(), 0);
    app_close(&a);
}

Test(harness, faults) {
    app a;
    app_open(&a, VK_API_VERSION_1_1, false);
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = 16, .usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT};
    VkBuffer first, second;
    intercept_fail("vkCreateBuffer", 2, VK_ERROR_OUT_OF_HOST_MEMORY);
    cr_assert_eq(a.vkCreateBuffer(a.device, &info, NULL, &first), VK_SUCCESS);
    cr_assert_null(intercept_failed());
    cr_assert_eq(a.vkCreateBuffer(a.device, &info, NULL, &second), VK_ERROR_OUT_OF_HOST_MEMORY);
    cr_assert_eq(a.vkCreateBuffer(a.device, &info, NULL, &second), VK_ERROR_OUT_OF_HOST_MEMORY);
    cr_assert_str_eq(intercept_failed(), "vkCreateBuffer");
    cr_assert(second == VK_NULL_HANDLE);
    intercept_fail(NULL, 0, VK_SUCCESS);
    a.vkDestroyBuffer(a.device, first, NULL);
    app_close(&a);
}

/* A layout with padding: elements lie where the strides say, and a write between them is noticed. */
Test(harness, guards) {
    context c;
    context_open(&c, &config_real);
    tensor t = tensor_create(&c, VKA_F16, 2, (uint32_t[]){3, 5}, (layout){"10", 1, 1});
    cr_assert_eq(t.view.stride[0], 1);
    cr_assert_eq(t.view.stride[1], 4);
    for (size_t i = 0; i < 15; i++) {
        t.values[i] = (float)i;
    }
    tensor_upload(&t);
    cr_assert(tensor_download(&t));
    cr_assert_eq(t.values[7], 7);
    uint16_t half = 0;
    uint64_t element = t.view.offset + (1 * t.view.stride[0] + 2 * t.view.stride[1]) * 2;
    EXPECT_OK(vka_buffer_read(t.view.buffer, element, &half, 2));
    cr_assert_eq(ref_f32_from_f16(half), 7);
    EXPECT_OK(vka_buffer_write(t.view.buffer, t.view.offset + 3 * 2, &half, 2));
    cr_assert_not(tensor_download(&t), "a write into the padding was not noticed");
    tensor_destroy(&t);
    context_close(&c);
}

/* ---- the judge of attention ------------------------------------------------------------------------------------- */

/* Fills in what a kernel would: the naive computation, in the rows that exist. */
static void answer(attention_problem *p) {
    uint32_t dim = p->a.value_dim, keys = p->a.kv_len;
    tensor *outputs[] = {&p->out, &p->lse, &p->stats, &p->scores};
    for (int i = 0; i < 4; i++) { /* NaN of 0xff bytes where nothing is written */
        tensor_poison(outputs[i]);
        tensor_download(outputs[i]);
    }
    for (uint32_t n = 0; n < p->a.batch * p->a.q_heads * p->a.q_len; n++) {
        uint32_t i = n % p->a.q_len, h = n / p->a.q_len % p->a.q_heads, b = n / p->a.q_len / p->a.q_heads;
        float scratch[64];
        ref_softmax softmax;
        if (i >= p->sequences.q_len[b]) {
            continue;
        }
        size_t row = attention_q_row(p, b, h, i);
        ref_attention_naive_scores(&p->ref, p->a.score_stage, b, h, i, p->scores.values + (size_t)n * keys);
        ref_attention_naive_row(&p->ref, b, h, i, p->out.values + row * dim, &softmax, scratch);
        if (p->a.selection) {
            double score[64], out[64];
            ref_attention_row(&p->ref, b, h, i, out, &softmax, score);
            for (uint32_t c = 0; c < dim; c++) {
                p->out.values[row * dim + c] = (float)out[c];
            }
        }
        p->lse.values[row] = (float)softmax.lse;
        p->stats.values[2 * row] = (float)softmax.max;
        p->stats.values[2 * row + 1] = (float)softmax.sum;
    }
}

static bool judged(attention_problem *p) {
    char why[2048];
    tensor *outputs[] = {&p->out, &p->lse, &p->stats, &p->scores};
    for (int i = 0; i < 4; i++) {
        tensor_upload(outputs[i]);
    }
    return attention_judge(p, "answer", why, sizeof why);
}

/* Every kind of result, wrong in one element, in every sort of row. */
static void expect_every_mistake_noticed(context *c, attention_case a) {
    attention_problem p = attention_make(c, a, test_seed());
    tensor *outputs[] = {&p.out, &p.lse, &p.stats, &p.scores};
    answer(&p);
    cr_assert(judged(&p), "the right answer was refused");
    for (int t = 0; t < 4; t++) {
        for (size_t i = 0; i < outputs[t]->count; i += 1 + outputs[t]->count / 29) {
            answer(&p);
            float *x = &outputs[t]->values[i];
            *x = isfinite(*x) ? *x + 0.03f : 0;
            cr_assert(!judged(&p), "tensor %d, element %zu", t, i);
        }
    }
    attention_destroy(&p);
}

Test(harness, judge) {
    context c;
    context_open(&c, &config_real);
    const attention_case plain = {.batch = 3,
                                  .q_heads = 4,
                                  .kv_heads = 2,
                                  .q_len = 9,
                                  .kv_len = 21,
                                  .head_dim = 8,
                                  .stats = true,
                                  .scores = VKA_F32,
                                  .score_stage = VKA_SCORES_MASKED,
                                  .causal = true};
    attention_case a = plain;
    expect_every_mistake_noticed(&c, a);
    a.score_stage = VKA_SCORES_PROBABILITIES;
    a.q_list = (attention_list){.kind = LIST_OFFSETS, .tensor = true};
    a.kv_list = (attention_list){.kind = LIST_OFFSETS};
    a.sinks = true;
    a.poison_hidden = true;
    expect_every_mistake_noticed(&c, a);
    a = plain;
    a.q_list = a.kv_list = (attention_list){.kind = LIST_LENGTHS};
    a.page_size = 8;
    a.mask = VKA_U8;
    a.k_dtype = VKA_I8;
    a.poison_hidden = true;
    expect_every_mistake_noticed(&c, a);
    a = plain;
    a.selection = VKA_SELECTION_SAMPLE;
    expect_every_mistake_noticed(&c, a);
    context_close(&c);
}

/* A selection of the second best key is wrong, unless arithmetic can't tell them apart. */
Test(harness, judge_of_selections) {
    enum { DIM = 8, KEYS = 10 };
    context c;
    context_open(&c, &config_real);
    for (int close = 0; close < 2; close++) {
        attention_case a = {.kv_len = KEYS,
                            .head_dim = DIM,
                            .selection = VKA_SELECTION_ARGMAX,
                            .stats = true,
                            .scores = VKA_F32,
                            .score_stage = VKA_SCORES_MASKED};
        attention_problem p = attention_make(&c, a, test_seed());
        memset(p.k.values, 0, p.k.count * sizeof(float));
        memset(p.q.values, 0, p.q.count * sizeof(float));
        p.q.values[0] = 1;
        p.k.values[4 * DIM] = 1;
        p.k.values[7 * DIM] = close ? 0x1.fffffep-1f : 0.999f;
        attention_update(&p);
        answer(&p);
        cr_assert(judged(&p));
        memcpy(p.out.values, p.v.values + 7 * DIM, DIM * sizeof(float));
        p.lse.values[0] = p.stats.values[0] = p.k.values[7 * DIM] / sqrtf(DIM);
        cr_assert_eq(judged(&p), close == 1);
        attention_destroy(&p);
    }
    context_close(&c);
}

Test(harness, log) {
    vka_log log = log_capture();
    log_clear();
    log.fn(log.user, VKA_LOG_ERROR, "vka_attention.q", "one");
    log.fn(log.user, VKA_LOG_WARNING, "vka_attention", "two");
    cr_assert_eq(log_count(VKA_LOG_ERROR), 1);
    cr_assert_str_eq(log_last(VKA_LOG_ERROR).message, "one");
    cr_assert(log_item_matches("vka_attention.q", "vka_attention.q"));
    cr_assert(log_item_matches("vka_attention.q", "vka_attention"));
    cr_assert(log_item_matches("vka_attention.q", ".q"));
    cr_assert(log_item_matches("vka_attention", "vka_attention"));
    cr_assert_not(log_item_matches("vka_attention_prepare.q", "vka_attention"));
    cr_assert_not(log_item_matches("vka_attention.k", ".q"));
    cr_assert_not(log_item_matches("vka_attention.q2", "vka_attention.q"));
}
