/* Every tile of every path that vka_attention_candidates lists, against the reference.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#ifndef _WIN32
#    include <sys/resource.h>
#endif

#include "attention_case.h"
#include "ops/attention/paths.h"

/* Sizes that leave parts of tiles, and keys of several steps. Head dimensions are small: they decide how long a
 * compiler takes, and not what a tile does. */
static const attention_case plain_heads = {.q_heads = 2, .kv_heads = 1, .q_len = 35, .kv_len = 71, .head_dim = 8};
static const attention_case causal = {
    .q_len = 67, .kv_len = 83, .head_dim = 16, .value_dim = 9, .causal = true, .poison_hidden = true};
static const attention_case options = {.q_heads = 2,
                                       .kv_heads = 2,
                                       .q_len = 19,
                                       .kv_len = 75,
                                       .head_dim = 8,
                                       .softcap = 5,
                                       .mask = VKA_F32,
                                       .alibi = true,
                                       .sinks = true,
                                       .stats = true,
                                       .causal = true,
                                       .poison_hidden = true};
static const attention_case decode = {
    .batch = 2, .q_heads = 8, .kv_heads = 2, .q_len = 1, .kv_len = 131, .head_dim = 16};

#define MAX_LISTED 256

/* One tile of so many is tried where compilers take seconds for every kernel, and of matrices where they take seconds
 * for those; but software drivers try all matrices in the problems that are for them. */
enum { ONE_OF_SLOW = 31, ONE_OF_MATRICES = 8 };

typedef struct tally {
    uint32_t listed[LAST_PATH + 1], tried[LAST_PATH + 1];
} tally;

static void try_candidate(attention_problem *p, const vka_attention_candidate *candidate) {
    char how[96];
    vka_attention_desc desc = attention_desc(p);
    desc.path = candidate->path;
    desc.tile = candidate->tile;
    tensor *outputs[] = {&p->out, &p->lse, &p->stats};
    for (int i = 0; i < 3; i++) {
        if (outputs[i]->view.buffer) {
            tensor_poison(outputs[i]);
        }
    }
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_attention(p->c->recorder, &desc));
    context_finish(p->c);
    snprintf(how, sizeof how, "%s %ux%u, %u, %u:", vka__path_name(&vka__attention_paths, desc.path),
             desc.tile.query_tile, desc.tile.key_tile, desc.tile.rows_per_invocation, desc.tile.team);
    attention_compare(p, how);
}

static bool is_tried(const vka_device_caps *caps, bool slow, const vka_attention_candidate *candidate, uint32_t turn,
                     bool all_matrices) {
    bool software = caps->type == VKA_DEVICE_CPU;
    bool matrices = attention_has_matrices(candidate->path);
    if (slow) {
        return turn % ONE_OF_SLOW == 0;
    }
    return !software || !matrices || all_matrices || turn % ONE_OF_MATRICES == 0 || getenv("VKATTN_TEST_ALL");
}

static void report(context *c, const tally *t) {
    uint32_t listed = 0, tried = 0;
    fprintf(stderr, "%s:", vka_device_get_caps(c->device)->name);
    for (uint32_t path = VKA_ATTENTION_PATH_ROW; path <= LAST_PATH; path++) {
        listed += t->listed[path];
        tried += t->tried[path];
        fprintf(stderr, " %s %u of %u%s", vka__path_name(&vka__attention_paths, path), t->tried[path], t->listed[path],
                path < LAST_PATH ? "," : "\n");
    }
    if (tried < listed) {
        fprintf(stderr,
                "SKIP: %u of %u tiles: this driver takes seconds to compile one (VKATTN_TEST_ALL=1 runs them)\n",
                listed - tried, listed);
    }
}

static void try_all(attention_case a, vka_dtype dtype, bool all_matrices) {
    static vka_attention_candidate list[MAX_LISTED];
    context c;
    tally t = {0};
    uint32_t count = 0;
    context_open(&c, &config_real);
    bool slow = context_compiles_slowly(&c);
    a.dtype = dtype;
    attention_problem p = attention_make(&c, a, test_seed());
    vka_attention_desc desc = attention_desc(&p);
    EXPECT_OK(vka_attention_candidates(c.device, &desc, list, MAX_LISTED, &count));
    cr_assert(count > 1 && count <= MAX_LISTED);
    for (uint32_t i = 0; i < count; i++) {
        t.listed[list[i].path]++;
        if (is_tried(vka_device_get_caps(c.device), slow, &list[i], i + 5 * (uint32_t)dtype + a.q_len, all_matrices)) {
            t.tried[list[i].path]++;
            try_candidate(&p, &list[i]);
        }
    }
    report(&c, &t);
    attention_destroy(&p);
    context_close(&c);
}

#ifndef _WIN32 /* which does not say what a process used at most in that way */
/* Matrices of the widest heads that are listed: a compiler that needs gigabytes for one would take a small machine
 * down. Sanitizers need memory of their own. */
Test(candidates, memory_of_software_compilers) {
    static const attention_case widest[] = {
        {.dtype = VKA_F16, .q_len = 9, .kv_len = 17, .head_dim = 24},
        {.dtype = VKA_F16, .q_len = 9, .kv_len = 17, .head_dim = 8, .softcap = 5, .mask = VKA_F32, .sinks = true},
    };
    context c;
    context_open(&c, &config_real);
    const vka_device_caps *caps = vka_device_get_caps(c.device);
    if (caps->type != VKA_DEVICE_CPU || !caps->matrix_operations) {
        context_close(&c);
        cr_skip_test("SKIP: no software driver with matrices of any size");
    }
    for (int i = 0; i < 2; i++) {
        struct rusage usage;
        attention_problem p = attention_make(&c, widest[i], test_seed());
        attention_run(&p, VKA_ATTENTION_PATH_COOPMAT2, 0);
        attention_destroy(&p);
        cr_assert_eq(getrusage(RUSAGE_SELF, &usage), 0);
        cr_assert_lt(usage.ru_maxrss, 2L << 20, "case %d: %ld KiB", i, usage.ru_maxrss);
    }
    context_close(&c);
}
#endif

#define TRY(problem, type, dtype, all_matrices)                                                                        \
    Test(candidates, problem##_##type) {                                                                               \
        try_all(problem, dtype, all_matrices);                                                                         \
    }

TRY(plain_heads, f32, VKA_F32, false)
TRY(plain_heads, f16, VKA_F16, true)
TRY(plain_heads, bf16, VKA_BF16, true)
TRY(causal, f32, VKA_F32, false)
TRY(causal, f16, VKA_F16, false)
TRY(options, f32, VKA_F32, false)
TRY(options, f16, VKA_F16, false)
TRY(options, bf16, VKA_BF16, false)
TRY(decode, f32, VKA_F32, false)
TRY(decode, f16, VKA_F16, false)
