/* VKA_DETERMINISM_BATCH: a sequence has the same bits alone as in a batch, by every path.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attention_case.h"

#define BATCH 4

/* Single steps and prompts; few keys, and so many that all drivers split them. */
static const int32_t q_lens[BATCH] = {40, 1, 17, 3}, kv_lens[BATCH] = {61, 2311, 1025, 3};
static const int32_t q_offsets[BATCH + 1] = {0, 40, 41, 58, 61}, kv_offsets[BATCH + 1] = {0, 61, 2372, 3397, 3400};

/* Rows first .. first + rows - 1 of an entry, as a tensor with a batch of 1. */
static vka_tensor part_of(vka_tensor t, uint32_t entry, uint32_t first, uint32_t rows) {
    t = vka_tensor_transpose(t, 0, 0);
    uint64_t elements = (t.shape[0] > 1 ? entry * t.stride[0] : 0) + first * t.stride[2];
    t.offset += elements / vka_dtype_block(t.dtype) * vka_dtype_size(t.dtype);
    t.shape[0] = 1;
    t.shape[2] = rows;
    return t;
}

/* A sequence without any list, and with no other. */
static vka_attention_desc alone(const attention_problem *p, vka_attention_desc d, uint32_t b) {
    const attention_sequences *s = &p->sequences;
    vka_tensor *of_queries[] = {&d.q, &d.out, &d.lse}, *of_keys[] = {&d.k, &d.v};
    for (int i = 0; i < 3; i++) {
        *of_queries[i] = part_of(*of_queries[i], b, s->q_first[b], s->q_len[b]);
    }
    for (int i = 0; i < 2; i++) {
        *of_keys[i] = part_of(*of_keys[i], b, s->kv_first[b], s->kv_len[b]);
    }
    d.q_lengths = d.kv_lengths = d.q_offsets = d.kv_offsets = (vka_integers){0};
    d.sequences = d.max_q_len = d.max_kv_len = 0;
    return d;
}

static float *copy_of(const tensor *t) {
    float *copy = attention_must(malloc(t->count * sizeof *copy));
    memcpy(copy, t->values, t->count * sizeof *copy);
    return copy;
}

static void expect_same_bits(const attention_problem *p, tensor *t, const float *batch, size_t width, const char *how) {
    char text[1024];
    cr_assert(tensor_download(t));
    for (size_t i = 0; i < t->count; i++) {
        bool same = !p->written[i / width] || !memcmp(&t->values[i], &batch[i], sizeof *batch);
        cr_assert(same, "%s: element %zu is %.9g alone and %.9g in the batch; %s", how, i, (double)t->values[i],
                  (double)batch[i], attention_describe(p, text, sizeof text));
    }
}

static void compare(attention_problem *p, vka_attention_path path, uint32_t splits) {
    char how[64], why[2048] = "";
    snprintf(how, sizeof how, "path %d, %u splits", path, splits);
    cr_assert(attention_try(p, path, splits, why, sizeof why), "%s", why);
    float *out = copy_of(&p->out), *lse = copy_of(&p->lse);
    tensor_poison(&p->out);
    tensor_poison(&p->lse);
    vka_attention_desc desc = attention_desc(p);
    desc.path = path;
    desc.splits = splits;
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    for (uint32_t b = 0; b < p->a.batch; b++) {
        vka_attention_desc one = alone(p, desc, b);
        EXPECT_OK(vka_attention(p->c->recorder, &one));
    }
    context_finish(p->c);
    expect_same_bits(p, &p->out, out, p->a.value_dim, how);
    expect_same_bits(p, &p->lse, lse, 1, how);
    free(out);
    free(lse);
}

/* By the path that is chosen and, where drivers compile fast, by all others; with keys split, and not. */
static void run(context *c, attention_case a) {
    a.batch = BATCH;
    a.q_heads = 4;
    a.kv_heads = 2;
    a.head_dim = a.k_dtype == VKA_Q8_0 ? 32 : 8;
    a.batch_invariant = true;
    attention_problem p = attention_make(c, a, test_seed());
    for (int path = VKA_ATTENTION_PATH_AUTO; path <= LAST_PATH; path++) {
        bool runs = !path || (!context_compiles_slowly(c) && attention_can(&p, (vka_attention_path)path));
        for (uint32_t splits = 0; runs && splits <= 5; splits += 5) {
            compare(&p, (vka_attention_path)path, splits);
        }
    }
    attention_destroy(&p);
}

static attention_case in_rows_of_a_batch(attention_case a) {
    a.q_len = 40;
    a.kv_len = 2311;
    a.q_list = (attention_list){LIST_LENGTHS, .tensor = true, .values = q_lens};
    a.kv_list = (attention_list){LIST_LENGTHS, .values = kv_lens};
    return a;
}

static attention_case one_after_the_other(attention_case a) {
    a.q_len = 61;
    a.kv_len = 3400;
    a.q_list = (attention_list){LIST_OFFSETS, .values = q_offsets};
    a.kv_list = (attention_list){LIST_OFFSETS, .tensor = true, .values = kv_offsets};
    return a;
}

Test(batch_invariance, lengths) {
    context c;
    context_open(&c, &config_real);
    run(&c, in_rows_of_a_batch((attention_case){0}));
    run(&c, in_rows_of_a_batch((attention_case){.dtype = VKA_F16, .causal = true}));
    context_close(&c);
}

Test(batch_invariance, offsets) {
    context c;
    context_open(&c, &config_real);
    run(&c, one_after_the_other((attention_case){.causal = true}));
    run(&c, one_after_the_other((attention_case){.dtype = VKA_F16, .sinks = true}));
    context_close(&c);
}

Test(batch_invariance, window_and_quantised_keys) {
    context c;
    context_open(&c, &config_real);
    attention_case a = {.window = {true, 700, 0}, .k_dtype = VKA_Q8_0, .v_dtype = VKA_F16, .softcap = 20};
    run(&c, in_rows_of_a_batch(a));
    context_close(&c);
}

/* Nothing is chosen by how many queries and keys there are. */
Test(batch_invariance, choice) {
    context c;
    context_open(&c, &config_real);
    char few[2048], many[2048];
    vka_attention_desc desc = {.q = vka_tensor_4d(NULL, VKA_F16, 1, 8, 1, 64),
                               .k = vka_tensor_4d(NULL, VKA_F16, 1, 2, 9000, 64),
                               .v = vka_tensor_4d(NULL, VKA_F16, 1, 2, 9000, 64),
                               .out = vka_tensor_4d(NULL, VKA_F16, 1, 8, 1, 64),
                               .determinism = VKA_DETERMINISM_BATCH};
    EXPECT_OK(vka_attention_explain(c.device, &desc, few, sizeof few, NULL));
    desc.q.shape[0] = desc.k.shape[0] = desc.v.shape[0] = desc.out.shape[0] = 4;
    desc.q.shape[2] = desc.out.shape[2] = 4096;
    desc.k.shape[2] = desc.v.shape[2] = 4096;
    EXPECT_OK(vka_attention_explain(c.device, &desc, many, sizeof many, NULL));
    cr_assert_str_eq(few, many);
    cr_assert(strstr(few, "splits: 1\n"), "%s", few);
    context_close(&c);
}
