/* The tile path: a workgroup owns query rows and stages keys in shared memory.
 * SPDX-License-Identifier: MIT */
#include "ops/attention/paths.h"

/* Largest first: query rows, keys of a step, rows of an invocation, invocations of a row. Register tiles of 4 x 4 spill
 * on no known GPU; a row's invocations times four channels make one channel chunk. */
static const vka__tile tiles[] = {
    {64, 32, 4, 8},  {32, 32, 4, 8}, {16, 32, 2, 8},  {8, 32, 1, 8},   {4, 32, 1, 16}, {4, 16, 1, 8},
    {4, 8, 1, 4},    {64, 16, 4, 8}, {32, 16, 4, 8},  {64, 32, 4, 16}, {32, 32, 2, 8}, {32, 16, 2, 16},
    {16, 32, 1, 16}, {8, 32, 1, 16}, {32, 32, 2, 16}, {16, 16, 1, 16}, {8, 16, 1, 16}, {4, 16, 1, 16},
};
/* What is chosen without measurement comes from the first ones. */
#define DEFAULTS 7

/* Bytes that tile_products.glsl declares: a chunk of relative keys, and biases. */
static uint32_t product_bytes(const vka__attention_problem *p, const vka__tile *s) {
    if (!vka__has_products(p))
        return 0;
    uint32_t d4 = vka__div_up(p->q.shape[3], 4);
    return p->relative_keys.present ? 16 * ((s->br + s->bc - 1) * (s->tc + 1) + 2 * d4) : 32;
}

/* Bytes of shared memory that tile.comp declares for a shape: q, a chunk of k or v, probabilities, row reductions. */
static uint32_t shared_bytes(const vka__attention_problem *p, const vka__tile *s) {
    uint32_t d4 = vka__div_up(p->q.shape[3], 4);
    return product_bytes(p, s) + vka__list_bytes(p) + 16 * s->br * (d4 + 1) + 16 * s->bc * (s->tc + 1) +
           16 * s->br * (s->bc / 4 + 1) + 4 * s->br * s->tc;
}

/* Vectors of four outputs that an invocation keeps beside the scores: what every known GPU has registers for, but for
 * Apple's, whose 128 they would fill alone with what the code around them needs. */
static uint32_t most_out_vectors(const vka_device_caps *caps) {
    return vka__is_apple(caps) ? 8 : 16;
}

const char *vka__tile_why_not(const vka_device_caps *caps, const void *problem) {
    const vka__attention_problem *p = problem;
    (void)caps;
    if (p->relative_keys.present && (p->permutation.present || p->key_lists.present))
        return "it stages relative keys in the order of positions, which permutations and lists of keys do not keep";
    return p->options & VKA_FLAG_HARD ? "it shares a row's weights, and has no order among keys of equal score" : NULL;
}

static bool tile_at(const vka_device_caps *caps, const void *problem, uint32_t index, vka__tile *tile) {
    (void)caps, (void)problem;
    if (index >= sizeof tiles / sizeof *tiles)
        return false;
    *tile = tiles[index];
    return true;
}

/* Vectors of four outputs of an invocation. */
static uint32_t out_vectors(const vka__attention_problem *p, const vka__tile *s) {
    return s->rm * vka__div_up(vka__div_up(p->v.shape[3], 4), s->tc);
}

bool vka__tile_fits(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *s, uint32_t shared,
                    uint32_t most_vectors) {
    return vka__map_holds(p, s) && s->br / s->rm * s->tc <= caps->max_invocations && shared <= caps->shared_bytes &&
           out_vectors(p, s) <= most_vectors;
}

static bool fits(const vka_device_caps *caps, const void *problem, const vka__tile *s) {
    const vka__attention_problem *p = problem;
    return vka__tile_fits(caps, p, s, shared_bytes(p, s), most_out_vectors(caps));
}

uint32_t vka__tile_pack_rows(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *tile) {
    (void)caps, (void)p, (void)tile;
    return 16;
}

uint32_t vka__tile_rows(const vka__attention_problem *p) {
    return vka__rows_with_keys(p, vka__tile_pack_rows(NULL, p, NULL));
}

/* Where registers are few, compilers spill unless an invocation has few outputs. Intel has 4 KiB of registers for the
 * eight lanes that its compiler then takes, Kepler and Mali 63 and 64 a lane. One row an invocation is the least there
 * is. Tiles of few rows have few invocations to load keys, and each load in flight takes registers, too: hence fewer
 * keys a step, and on Mali no tile of four rows. */
static const struct low_register {
    vka__tile tiles[5];
    uint32_t out_vectors; /* of four outputs, of an invocation */
} intel = {{{64, 32, 4, 16}, {32, 16, 2, 16}, {16, 32, 1, 16}, {8, 32, 1, 16}, {4, 32, 1, 16}}, 4},
  kepler = {{{32, 32, 2, 16}, {32, 16, 2, 16}, {16, 32, 1, 16}, {8, 16, 1, 16}, {4, 16, 1, 16}}, 2},
  mali = {{{32, 32, 2, 16}, {32, 16, 2, 16}, {16, 16, 1, 16}, {8, 16, 1, 16}}, 2};

static bool choose_low_register(const struct low_register *f, const vka_device_caps *caps,
                                const vka__attention_problem *p, uint32_t rows, vka__tile *tile) {
    bool found = false;
    uint32_t most = p->relative_keys.present ? f->out_vectors / 2 : f->out_vectors; /* rows are two in registers */
    for (uint32_t i = 0; i < sizeof f->tiles / sizeof *f->tiles && f->tiles[i].br; ++i) {
        const vka__tile *t = &f->tiles[i];
        bool small = out_vectors(p, t) <= most || t->rm == 1;
        if (small && fits(caps, p, t) && (!found || (t->br >= rows && t->br < tile->br))) {
            *tile = *t;
            found = true;
        }
    }
    return found;
}

static bool choose(const vka_device_caps *caps, const void *problem, vka__tile *tile) {
    const vka__attention_problem *p = problem;
    uint32_t rows = vka__tile_rows(p);
    const struct low_register *f = caps->vendor_id == VKA_VENDOR_INTEL ? &intel
                                   : caps->vendor_id == VKA_VENDOR_ARM ? &mali
                                                                       : &kepler;
    if (vka__has_few_registers(caps) && choose_low_register(f, caps, p, rows, tile))
        return true;
    return vka__path_first_fitting(&vka__path_tile.path, caps, p, rows, DEFAULTS, tile);
}

static void fill(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *tile,
                 vka__attention_plan *plan) {
    (void)caps;
    plan->shared_bytes = shared_bytes(p, tile);
    plan->main.kernel = vka__attention_kernel(VKA__attention_tile, p);
    plan->main.spec[VKA_SPEC_GROUP_SIZE] = tile->br / tile->rm * tile->tc;
}

const vka__attention_path vka__path_tile = {
    .path =
        {
            .name = "tile",
            .why_not = vka__tile_why_not,
            .tile = tile_at,
            .fits = fits,
            .choose = choose,
        },
    .fill = fill,
    .pack_rows = vka__tile_pack_rows,
};
