/* The recurrence: token by token.
 * SPDX-License-Identifier: MIT */
#include "ops/linear_attention/plan.h"

#define MAX_TOKENS   8
#define MAX_QUERIES  4
#define SHARED_BYTES 16384

/* Key channels of an invocation. Fewer sums to share where there are more, and more registers. */
static const uint32_t rows[] = {8, 16, 4};
#define TILES (sizeof rows / sizeof *rows)

static const char *why_not(const vka_device_caps *caps, const void *problem) {
    (void)caps, (void)problem;
    return NULL;
}

/* Does the kernel's shared memory hold that? */
static bool holds(const vka__linear_attention_problem *p, const vka__tile *t, uint32_t queries) {
    uint32_t group = t->tc * t->bc, words = vka__linear_attention_staged_words(p, t, queries);
    words += 4 * t->br * queries * group + (p->delta ? 8 * group : 4);
    return 4 * words <= SHARED_BYTES;
}

/* Queries that are staged together. */
static uint32_t lot_of(const vka__linear_attention_problem *p, const vka__tile *t) {
    vka__tile one = *t;
    uint32_t lot = vka__min_u32(p->queries, MAX_QUERIES);
    one.br = 1;
    while (lot > 1 && !holds(p, &one, lot))
        --lot;
    return lot;
}

static bool tile_at(const vka_device_caps *caps, const void *problem, uint32_t index, vka__tile *tile) {
    const vka__linear_attention_problem *p = problem;
    if (index >= TILES)
        return false;
    uint32_t quads = vka__div_up(p->value_dim, 4), parts = vka__linear_attention_parts(p, rows[index]);
    uint32_t most = vka__max_u32(vka__group_size(caps, caps->type == VKA_DEVICE_CPU ? 64 : 128), parts);
    vka__tile t = {.br = 1, .bc = 1, .rm = rows[index], .tc = parts};
    while (2 * t.bc * parts <= most && t.bc < quads)
        t.bc *= 2;
    while (t.bc > 1 && !holds(p, &t, 1))
        t.bc /= 2;
    uint32_t lot = lot_of(p, &t);
    for (*tile = t; lot == p->queries && t.br < MAX_TOKENS; *tile = t) {
        ++t.br;
        if (!holds(p, &t, lot))
            break;
    }
    return true;
}

static bool fits(const vka_device_caps *caps, const void *problem, const vka__tile *t) {
    return t->bc * t->tc <= caps->max_invocations && !vka__linear_attention_too_many_rows(problem, t->rm) &&
           holds(problem, t, 1);
}

/* An invocation keeps 32 elements of the state in registers, in software 64, so that fewer share a column; 16 where
 * compilers spill 32 (Intel, docs/portability.md). */
static bool choose(const vka_device_caps *caps, const void *problem, vka__tile *tile) {
    uint32_t want = caps->type == VKA_DEVICE_CPU ? 16 : vka__has_few_registers(caps) ? 4 : 8;
    while (vka__linear_attention_too_many_rows(problem, want))
        want /= 2;
    for (uint32_t i = 0; i < TILES; ++i)
        if (rows[i] == want)
            return tile_at(caps, problem, i, tile);
    return false;
}

static void fill(const vka_device_caps *caps, const vka__linear_attention_problem *p, const vka__tile *tile,
                 vka__pipeline_key *key) {
    (void)caps;
    key->kernel = VKA__linear_attention;
    key->spec[VKA_SPEC_BC] = lot_of(p, tile);
}

const vka__linear_attention_path vka__linear_attention_recurrent = {
    .path = {.name = "recurrent", .why_not = why_not, .tile = tile_at, .fits = fits, .choose = choose},
    .fill = fill,
};
