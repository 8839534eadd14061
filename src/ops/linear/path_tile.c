/* The tile path: a workgroup owns a tile of outputs and stages operands in shared memory as floats.
 * SPDX-License-Identifier: MIT */
#include "ops/linear/plan.h"

/* Rows, outputs, rows of an invocation, invocations side by side. */
static const vka__tile tiles[] = {
    {64, 64, 4, 16},   {32, 64, 4, 16},  {32, 32, 4, 8},   {16, 64, 2, 16}, {16, 32, 2, 8},
    {16, 16, 4, 4},    {32, 64, 2, 16},  {128, 64, 8, 16}, {64, 64, 8, 8},  {64, 32, 4, 8},
    {128, 128, 8, 16}, {64, 128, 8, 16}, {32, 128, 4, 16},
};
/* What is chosen without measurement comes from the first ones. */
#define DEFAULTS 6

static const char *why_not(const vka_device_caps *caps, const void *problem) {
    (void)caps, (void)problem;
    return NULL;
}

static bool tile_at(const vka_device_caps *caps, const void *problem, uint32_t index, vka__tile *tile) {
    (void)caps, (void)problem;
    if (index >= sizeof tiles / sizeof *tiles)
        return false;
    *tile = tiles[index];
    return true;
}

/* Bytes of shared memory that tile.comp declares: 16 columns, a vector of padding. */
static uint32_t shared_bytes(const vka__tile *t) {
    return 16 * 5 * (t->br + t->bc);
}

static uint32_t invocations(const vka__tile *t) {
    return t->br / t->rm * t->tc;
}

static bool fits(const vka_device_caps *caps, const void *problem, const vka__tile *t) {
    (void)problem;
    return invocations(t) <= caps->max_invocations && shared_bytes(t) <= caps->shared_bytes;
}

static bool choose(const vka_device_caps *caps, const void *problem, vka__tile *tile) {
    const vka__linear_problem *p = problem;
    if (!vka__has_few_registers(caps))
        return vka__path_first_fitting(&vka__linear_path_tile.path, caps, p, p->choice_rows, DEFAULTS, tile);
    /* 63 registers suffice for two rows of four outputs: of four rows Kepler's compiler spilled 24. */
    static const vka__tile few[] = {{32, 64, 2, 16}, {16, 64, 2, 16}, {16, 32, 2, 8}};
    bool found = false;
    for (size_t i = 0; i < sizeof few / sizeof *few; ++i)
        if (fits(caps, p, &few[i]) && (!found || few[i].br >= p->choice_rows)) {
            *tile = few[i];
            found = true;
        }
    return found;
}

static void fill(const vka_device_caps *caps, const vka__linear_problem *p, const vka__tile *tile,
                 vka__linear_plan *plan) {
    (void)caps, (void)p;
    plan->shared_bytes = shared_bytes(tile);
    plan->main.kernel = VKA__linear_tile;
    plan->main.spec[VKA_SPEC_GROUP_SIZE] = invocations(tile);
}

const vka__linear_path vka__linear_path_tile = {
    .path = {.name = "tile", .why_not = why_not, .tile = tile_at, .fits = fits, .choose = choose},
    .fill = fill,
};
