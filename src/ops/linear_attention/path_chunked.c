/* Chunks: what tokens do to each other apart from the state that they begin with.
 * SPDX-License-Identifier: MIT */
#include "ops/linear_attention/plan.h"

/* Tokens of a chunk, a multiple of 4; key channels of an invocation. */
static const uint32_t shapes[][2] = {{16, 16}, {16, 8}, {8, 16}, {8, 8},   {32, 16},
                                     {32, 8},  {16, 4}, {8, 4},  {16, 32}, {8, 32}};
#define TILES       (sizeof shapes / sizeof *shapes)

#define MAX_QUERIES 4
#define MAX_LOT     8
/* Two workgroups of the largest devices, and what most others have. */
#define SHARED_BYTES 32768

static const char *why_not(const vka_device_caps *caps, const void *problem) {
    const vka__linear_attention_problem *p = problem;
    (void)caps;
    return p->queries > MAX_QUERIES ? "more than four query heads read a state: their rows are not staged together"
                                    : NULL;
}

static uint32_t kinds_of(const vka__linear_attention_problem *p) {
    return p->queries + (p->delta ? 1 : 0);
}

/* `lot`: tokens whose sums are added up together. */
static bool holds(const vka_device_caps *caps, const vka__linear_attention_problem *p, const vka__tile *t,
                  uint32_t lot) {
    uint64_t words = vka__linear_attention_staged_words(p, t, p->queries);
    words += (uint64_t)8 * lot * kinds_of(p) * t->tc * t->bc + 4 * t->br * p->queries * t->bc;
    words += (uint64_t)t->br * t->br * p->queries + (p->delta ? t->br * t->br : 1) + 2;
    return 4 * words <= vka__min_u32(caps->shared_bytes, SHARED_BYTES);
}

static bool tile_at(const vka_device_caps *caps, const void *problem, uint32_t index, vka__tile *tile) {
    const vka__linear_attention_problem *p = problem;
    if (index >= TILES)
        return false;
    uint32_t quads = vka__div_up(p->value_dim, 4), parts = vka__linear_attention_parts(p, shapes[index][1]);
    uint32_t most = vka__max_u32(vka__group_size(caps, 64), parts);
    *tile = (vka__tile){shapes[index][0], 1, shapes[index][1], parts};
    while (2 * tile->bc * parts <= most && tile->bc < quads)
        tile->bc *= 2;
    while (tile->bc > 1 && !holds(caps, p, tile, 1))
        tile->bc /= 2;
    return true;
}

static bool fits(const vka_device_caps *caps, const void *problem, const vka__tile *t) {
    return t->bc * t->tc <= caps->max_invocations && !vka__linear_attention_too_many_rows(problem, t->rm) &&
           holds(caps, problem, t, 1);
}

/* The first one whose shared memory has room for workgroups as large as they would be. On software drivers, where this
 * path is for tests and measurements, kernels that are short to compile. */
static bool choose(const vka_device_caps *caps, const void *problem, vka__tile *tile) {
    const vka__linear_attention_problem *p = problem;
    uint32_t quads = vka__div_up(p->value_dim, 4);
    bool found = false;
    for (uint32_t i = 0; i < TILES; ++i) {
        vka__tile t;
        uint32_t most = caps->type == VKA_DEVICE_CPU ? 4 : vka__has_few_registers(caps) ? 8 : 16;
        if (shapes[i][1] > most || !tile_at(caps, problem, i, &t) || !fits(caps, problem, &t))
            continue;
        if (!found)
            *tile = t;
        found = true;
        if (t.bc >= quads || t.bc >= 4) {
            *tile = t;
            return true;
        }
    }
    return found;
}

/* Without the delta rule the recurrence does not wait for the token before either. */
static bool is_profitable(const vka_device_caps *caps, const void *problem, const vka__tile *tile) {
    const vka__linear_attention_problem *p = problem;
    (void)caps, (void)tile;
    return p->delta;
}

static void fill(const vka_device_caps *caps, const vka__linear_attention_problem *p, const vka__tile *tile,
                 vka__pipeline_key *key) {
    uint32_t lot = 1;
    while (2 * lot <= vka__min_u32(tile->br, MAX_LOT) && holds(caps, p, tile, 2 * lot))
        lot *= 2;
    key->kernel = VKA__linear_attention_chunked;
    key->spec[VKA_SPEC_BC] = p->queries;
    key->spec[VKA_SPEC_M] = lot;
}

const vka__linear_attention_path vka__linear_attention_chunked = {
    .path = {.name = "chunked",
             .why_not = why_not,
             .tile = tile_at,
             .fits = fits,
             .choose = choose,
             .is_profitable = is_profitable},
    .fill = fill,
};
