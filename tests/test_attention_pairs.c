/* Every two options of attention together.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "attention_case.h"

/* Options do not depend on the head dimension: a small one compiles quickly. */
#define DIM 8

#define LENGTHS(...)                                                                                                   \
    { .kind = LIST_LENGTHS, __VA_ARGS__ }
#define OFFSETS(...)                                                                                                   \
    { .kind = LIST_OFFSETS, __VA_ARGS__ }

/* What an option takes up: two that share a bit exclude each other. */
enum {
    Q_LIST = 1,
    KV_LIST = 2,
    PLACES = 4,
    TYPES = 8,
    MASK = 16,
    SELECTION = 32,
    SINKS = 64,
    DROPOUT = 128,
    ALIBI_PLACE = 256,
    RELATIVE_PLACE = 512,
    SINKS_PLACE = 1024,
};

typedef struct option {
    const char *name;
    uint32_t takes;
    attention_case a; /* fields that are not zero are taken over */
} option;

static const option options[] = {
    {"softcap", 0, {.softcap = 3}},
    {"boolean mask", MASK, {.mask = VKA_U8, .mask_rank = 3}},
    {"additive mask", MASK, {.mask = VKA_F16, .mask_broadcast = 2}},
    {"alibi", ALIBI_PLACE, {.alibi = true}},
    {"relative bias", RELATIVE_PLACE, {.relative_len = 9, .relative_zero = 5, .relative_masks = true}},
    {"sinks", SINKS | SINKS_PLACE, {.sinks = true}},
    {"causal", 0, {.causal = true}},
    {"window", 0, {.window = {true, 11, 4}}},
    {"explicit diagonal", 0, {.diagonal = VKA_DIAGONAL_EXPLICIT, .offset = -3}},
    {"query lengths", Q_LIST, {.q_list = LENGTHS(.tensor = true)}},
    {"query offsets", Q_LIST, {.q_list = OFFSETS(.values = (const int32_t[]){2, 9, 9, 19})}},
    {"key lengths", KV_LIST, {.kv_list = LENGTHS(.values = (const int32_t[]){30, 0, 37})}},
    {"replayed key lengths", KV_LIST, {.kv_list = LENGTHS(.tensor = true), .max_kv_len = 32}},
    {"key offsets", KV_LIST | PLACES, {.kv_list = OFFSETS(.tensor = true)}},
    {"pages", PLACES, {.page_size = 8}},
    {"shared keys", PLACES, {.k_shared = true, .v_shared = true}},
    {"i8", TYPES, {.k_dtype = VKA_I8, .v_dtype = VKA_I8}},
    {"q4_0", TYPES, {.k_dtype = VKA_Q4_0, .v_dtype = VKA_Q4_0, .head_dim = 32}},
    {"q8_0", TYPES, {.k_dtype = VKA_Q8_0, .v_dtype = VKA_Q8_0, .head_dim = 32}},
    {"mixed types", TYPES, {.dtype = VKA_F16, .k_dtype = VKA_F32, .v_dtype = VKA_BF16, .out_dtype = VKA_F32}},
    {"layout", 0, {.layout = {"0213", 1, 1}}},
    {"argmax", SELECTION | SINKS | DROPOUT, {.selection = VKA_SELECTION_ARGMAX}},
    {"sample", SELECTION | SINKS | DROPOUT, {.selection = VKA_SELECTION_SAMPLE, .random_seed = 5}},
    {"dropout", DROPOUT, {.dropout = 0.4f, .random_seed = 6}},
    {"stats", 0, {.stats = true}},
    {"cosine", ALIBI_PLACE, {.cosine = true}},
    {"relative keys",
     ALIBI_PLACE | RELATIVE_PLACE | SINKS_PLACE,
     {.relative_keys_len = 29, .relative_keys_zero = 5, .relative_keys_dtype = VKA_F16, .bias_dtype = VKA_BF16}},
    {"scores", 0, {.scores = VKA_F32, .score_stage = VKA_SCORES_MASKED}},
};
#define OPTIONS (sizeof options / sizeof *options)

/* Both at once: no two options that go together set the same field, so their bytes can be joined. */
static attention_case join(const option *x, const option *y) {
    attention_case a = x->a;
    const unsigned char *from = (const unsigned char *)&y->a;
    unsigned char *to = (unsigned char *)&a;
    for (size_t i = 0; i < sizeof a; i++) {
        to[i] = to[i] ? to[i] : from[i];
    }
    a.batch = 3;
    a.q_heads = 4;
    a.kv_heads = 2;
    a.q_len = 19;
    a.kv_len = 37;
    a.head_dim = a.head_dim ? a.head_dim : DIM;
    a.poison_hidden = true;
    return a;
}

static void run_pair(context *c, const option *x, const option *y, uint32_t number) {
    attention_problem p = attention_make(c, join(x, y), test_seed() + number);
    fprintf(stderr, "%s, %s\n", x->name, y->name);
    if (number % 2 || !context_is_software(c)) {
        attention_run(&p, VKA_ATTENTION_PATH_AUTO, number % 4 == 1 ? 3 : 0);
    }
    for (uint32_t i = 0; i < LAST_PATH; i++) {
        vka_attention_path path = (vka_attention_path)(1 + (number + i) % LAST_PATH);
        if (attention_can(&p, path)) {
            attention_run(&p, path, number / 2 % 2 ? 3 : 0);
            break;
        }
    }
    attention_destroy(&p);
}

/* Of the pairs one in `parts`, so that parts can run at the same time; where drivers compile for seconds, a fortieth.
 */
static void run_pairs(uint32_t part, uint32_t parts) {
    context c;
    context_open(&c, &config_real);
    uint32_t number = 0, every = context_compiles_slowly(&c) ? 41 * parts : parts;
    for (size_t x = 0; x < OPTIONS; x++) {
        for (size_t y = x + 1; y < OPTIONS; y++) {
            bool together = !(options[x].takes & options[y].takes);
            if (together && number++ % every == part) {
                run_pair(&c, &options[x], &options[y], number);
            }
        }
    }
    context_close(&c);
}

Test(attention_pairs, part_1) {
    run_pairs(0, 4);
}

Test(attention_pairs, part_2) {
    run_pairs(1, 4);
}

Test(attention_pairs, part_3) {
    run_pairs(2, 4);
}

Test(attention_pairs, part_4) {
    run_pairs(3, 4);
}
