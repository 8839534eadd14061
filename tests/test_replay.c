/* Recordings that stay valid while lengths, or the number of a step, change in device memory.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/cache.h>

#include "attention_case.h"

/* Submits one recording again and again with other lengths, in place of recording each anew. */
static void replay(attention_case a, uint32_t splits, bool indirect) {
    context c;
    context_open(&c, &config_real);
    attention_problem p = attention_make(&c, a, test_seed());
    vka_attention_desc desc = attention_desc(&p);
    desc.splits = splits;
    char text[2048];
    EXPECT_OK(vka_attention_explain(c.device, &desc, text, sizeof text, NULL));
    cr_assert_eq(strstr(text, "indirect: yes") != NULL, indirect, "%s", text);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_attention(c.recorder, &desc));
    ref_rng rng = ref_rng_seed(test_seed());
    for (int n = 0; n < 6; n++) {
        for (uint32_t b = 0; b < a.batch; b++) {
            uint32_t most = n == 0 ? 0 : n == 1 ? a.kv_len : n == 2 ? 3 : ref_rng_below(&rng, a.kv_len + 1);
            p.kv_values[b] = (int32_t)most;
            if (p.q_values) {
                p.q_values[b] = n == 3 ? 0 : (int32_t)ref_rng_below(&rng, a.q_len + 1);
            }
        }
        attention_update(&p);
        tensor_poison(&p.out);
        tensor_poison(&p.lse);
        context_finish(&c);
        attention_compare(&p, "replayed");
    }
    attention_destroy(&p);
    context_close(&c);
}

Test(replay, lengths_of_few_groups) {
    replay((attention_case){.batch = 3,
                            .q_heads = 4,
                            .kv_heads = 2,
                            .q_len = 1,
                            .kv_len = 77,
                            .head_dim = 8,
                            .kv_list = {LIST_LENGTHS, .tensor = true}},
           3, false);
}

/* Long enough for keys to be shared by a number of workgroups that follows the length. */
Test(replay, lengths_of_many_keys) {
    replay((attention_case){.batch = 2,
                            .q_heads = 4,
                            .kv_heads = 2,
                            .q_len = 1,
                            .kv_len = 5000,
                            .head_dim = 8,
                            .sinks = true,
                            .kv_list = {LIST_LENGTHS, .tensor = true}},
           5, false);
}

Test(replay, sizes_computed_on_the_device) {
    replay((attention_case){.batch = 8,
                            .q_heads = 16,
                            .kv_heads = 8,
                            .q_len = 1,
                            .kv_len = 77,
                            .head_dim = 8,
                            .kv_list = {LIST_LENGTHS, .tensor = true}},
           8, true);
}

Test(replay, both_lengths_and_a_band) {
    replay((attention_case){.dtype = VKA_F16,
                            .batch = 9,
                            .q_heads = 20,
                            .q_len = 45,
                            .kv_len = 60,
                            .head_dim = 8,
                            .causal = true,
                            .q_list = {LIST_LENGTHS, .tensor = true},
                            .kv_list = {LIST_LENGTHS, .tensor = true}},
           4, true);
}

/* ---- random numbers --------------------------------------------------------------------------------------------- */

/* By each path, one recording with one step, with another one, and with the first again. */
static void replay_random_steps(attention_case a) {
    context c;
    context_open(&c, &config_real);
    attention_problem p = attention_make(&c, a, test_seed());
    float *number = p.random_step.values;
    const float numbers[] = {number[0], number[0] + 1, number[0]};
    unsigned char *out[3];
    for (int i = 0; i < 3; i++) {
        out[i] = attention_must(malloc(p.out.size));
    }
    for (int path = VKA_ATTENTION_PATH_ROW; path <= LAST_PATH; path++) {
        if (!attention_can(&p, (vka_attention_path)path) || context_leaves_out(&c, 5)) {
            continue;
        }
        vka_attention_desc desc = attention_desc(&p);
        desc.path = (vka_attention_path)path;
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(vka_attention(c.recorder, &desc));
        for (int i = 0; i < 3; i++) {
            *number = numbers[i];
            attention_update(&p);
            tensor_poison(&p.out);
            tensor_poison(&p.lse);
            context_finish(&c);
            attention_compare(&p, "with another step");
            memcpy(out[i], p.out.image, p.out.size);
        }
        cr_assert(memcmp(out[0], out[1], p.out.size) != 0, "path %d: another step draws the same", path);
        cr_assert(memcmp(out[0], out[2], p.out.size) == 0, "path %d: the first step again gives other bits", path);
    }
    for (int i = 0; i < 3; i++) {
        free(out[i]);
    }
    attention_destroy(&p);
    context_close(&c);
}

#define RANDOM_STEPS                                                                                                   \
    .batch = 2, .q_heads = 4, .kv_heads = 2, .q_len = 9, .kv_len = 77, .head_dim = 8, .random_seed = 5,                \
    .random_offset = 0xfffffff0, .random_step = true

Test(replay, steps_of_dropout) {
    replay_random_steps((attention_case){RANDOM_STEPS, .dropout = 0.3f});
}

Test(replay, steps_of_samples) {
    replay_random_steps((attention_case){RANDOM_STEPS, .selection = VKA_SELECTION_SAMPLE});
}

/* ---- a decode step, recorded once ------------------------------------------------------------------------------ */

/* A step appends one token of each sequence to a cache and attends to what the cache then holds. */
enum { BATCH = 2, Q_HEADS = 4, KV_HEADS = 2, DIM = 32, TOKENS = 256, PAGE = 16 };

typedef struct step {
    context *c;
    vka_recorder *recorder;
    tensor q, k, v, out, k_cache, v_cache, pages;
    tensor held, holds; /* lengths before and after the step */
} step;

static step make_step(context *c, vka_dtype cache, bool paged) {
    step s = {.c = c};
    EXPECT_OK(vka_recorder_create(c->device, NULL, &s.recorder));
    uint32_t columns = TOKENS / PAGE, contiguous[] = {BATCH, KV_HEADS, TOKENS, DIM};
    uint32_t in_pages[] = {BATCH * columns, KV_HEADS, PAGE, DIM}, *shape = paged ? in_pages : contiguous;
    layout dense = {0};
    s.q = tensor_create(s.c, VKA_F32, 4, (uint32_t[]){BATCH, Q_HEADS, 1, DIM}, dense);
    s.k = tensor_create(s.c, VKA_F32, 4, (uint32_t[]){BATCH, KV_HEADS, 1, DIM}, dense);
    s.v = tensor_create(s.c, VKA_F32, 4, (uint32_t[]){BATCH, KV_HEADS, 1, DIM}, dense);
    s.out = tensor_create(s.c, VKA_F32, 4, (uint32_t[]){BATCH, Q_HEADS, 1, DIM}, dense);
    s.k_cache = tensor_create(s.c, cache, 4, shape, dense);
    s.v_cache = tensor_create(s.c, cache, 4, shape, dense);
    s.pages = tensor_create(s.c, VKA_I32, 2, (uint32_t[]){BATCH, columns}, dense);
    s.held = tensor_create(s.c, VKA_I32, 1, (uint32_t[]){BATCH}, dense);
    s.holds = tensor_create(s.c, VKA_I32, 1, (uint32_t[]){BATCH}, dense);
    for (uint32_t i = 0; i < BATCH * columns; i++) {
        s.pages.values[i] = (float)(BATCH * columns - 1 - i);
    }
    tensor_upload(&s.pages);
    s.held.values[0] = 0;
    s.held.values[1] = 0;
    tensor_upload(&s.held);
    if (!paged) {
        vka_buffer_destroy(&s.pages.view.buffer);
    }
    return s;
}

static void destroy_step(step *s) {
    tensor *all[] = {&s->q, &s->k, &s->v, &s->out, &s->k_cache, &s->v_cache, &s->pages, &s->held, &s->holds};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        tensor_destroy(all[i]);
    }
    vka_recorder_destroy(&s->recorder);
}

static void record_step(step *s, vka_integers held, vka_integers holds, bool advance) {
    vka_cache_append_desc append = {.k = s->k.view,
                                    .v = s->v.view,
                                    .k_cache = s->k_cache.view,
                                    .v_cache = s->v_cache.view,
                                    .page_table = s->pages.view,
                                    .lengths = held,
                                    .rotate = true,
                                    .rope = {.dims = DIM}};
    vka_attention_desc attend = {.q = s->q.view,
                                 .k = s->k_cache.view,
                                 .v = s->v_cache.view,
                                 .out = s->out.view,
                                 .page_table = s->pages.view,
                                 .kv_lengths = holds,
                                 .causal = true};
    if (!s->pages.view.buffer) {
        append.page_table = attend.page_table = (vka_tensor){0};
    }
    append.new_lengths = advance ? s->holds.view : (vka_tensor){0};
    EXPECT_OK(vka_recorder_begin(s->recorder));
    EXPECT_OK(vka_cache_append(s->recorder, &append));
    EXPECT_OK(vka_attention(s->recorder, &attend));
    if (advance) {
        EXPECT_OK(vka_copy(s->recorder, s->held.view.buffer, s->held.view.offset, s->holds.view.buffer,
                           s->holds.view.offset, BATCH * sizeof(int32_t)));
    }
}

static void finish_step(step *s) {
    EXPECT_OK(vka_recorder_submit(s->recorder));
    EXPECT_OK(vka_recorder_wait(s->recorder, VKA_FOREVER));
}

static void next_token(step *s, ref_rng *rng) {
    tensor *inputs[] = {&s->q, &s->k, &s->v};
    for (int i = 0; i < 3; i++) {
        tensor_fill_normal(inputs[i], rng, 0, 1);
        tensor_upload(inputs[i]);
    }
    tensor_poison(&s->out);
}

/* One recording submitted for every token gives, bit for bit, what recording every step anew gives. */
static void decode(vka_dtype cache, bool paged) {
    context c;
    context_open(&c, &config_real);
    step replayed = make_step(&c, cache, paged), fresh = make_step(&c, cache, paged);
    ref_rng rng = ref_rng_seed(test_seed()), again = rng;
    record_step(&replayed, (vka_integers){.tensor = replayed.held.view}, (vka_integers){.tensor = replayed.holds.view},
                true);
    for (int32_t t = 0; t < TOKENS; t++) {
        next_token(&replayed, &rng);
        finish_step(&replayed);
        next_token(&fresh, &again);
        record_step(&fresh, (vka_integers){.values = (int32_t[BATCH]){t, t}},
                    (vka_integers){.values = (int32_t[BATCH]){t + 1, t + 1}}, false);
        finish_step(&fresh);
        cr_assert(tensor_download(&replayed.out) && tensor_download(&fresh.out));
        cr_assert(!memcmp(replayed.out.image, fresh.out.image, fresh.out.size), "token %d differs, VKATTN_SEED=%llu", t,
                  (unsigned long long)test_seed());
        cr_assert(!isnan(fresh.out.values[0]));
    }
    destroy_step(&replayed);
    destroy_step(&fresh);
    context_close(&c);
}

Test(replay, decode_steps_f16) {
    decode(VKA_F16, false);
}

Test(replay, decode_steps_q8_0_in_pages) {
    decode(VKA_Q8_0, true);
}

Test(replay, decode_steps_q4_0) {
    decode(VKA_Q4_0, false);
}
