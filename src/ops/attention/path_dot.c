/* The dot path: the tile path with f16 in shared memory, multiplied in pairs whose products are summed in f32.
 * SPDX-License-Identifier: MIT */
#include "ops/attention/paths.h"

/* As the tile path's, but that an invocation owns keys by twos. */
static const vka__tile tiles[] = {
    {64, 32, 4, 8}, {32, 32, 4, 8}, {16, 32, 2, 8},  {8, 32, 1, 8},  {4, 32, 1, 16},  {4, 16, 1, 8},
    {4, 8, 1, 4},   {64, 64, 4, 8}, {64, 64, 4, 16}, {64, 16, 4, 8}, {64, 32, 4, 16}, {32, 32, 2, 16},
};
/* What is chosen without measurement comes from the first ones. */
#define DEFAULTS 7

/* Vectors of four outputs of an invocation, as in the tile path. */
#define MAX_OUT_VECTORS 16

static const char *why_not(const vka_device_caps *caps, const void *problem) {
    const vka__attention_problem *p = problem;
    if (vka__has_products(p))
        return VKA__NO_PRODUCTS;
    if (p->q.dtype != VKA_F16 || !vka__is_convertible(&p->k, VKA_F16) || !vka__is_convertible(&p->v, VKA_F16))
        return "it multiplies pairs of f16: queries must be f16, keys and values f16 or quantised";
    return vka__tile_why_not(caps, p);
}

static bool tile_at(const vka_device_caps *caps, const void *problem, uint32_t index, vka__tile *tile) {
    (void)caps, (void)problem;
    if (index >= sizeof tiles / sizeof *tiles)
        return false;
    *tile = tiles[index];
    return true;
}

/* Bytes of shared memory that tile.comp and tile_f16.glsl declare. */
static uint32_t shared_bytes(const vka__attention_problem *p, const vka__tile *s) {
    uint32_t d8 = vka__div_up(p->q.shape[3], 8);
    return vka__list_bytes(p) + 16 * s->br * (d8 + 1) + 16 * s->bc * (s->tc + 1) + 16 * s->br * (s->bc / 8 + 1) +
           4 * s->br * s->tc;
}

static bool fits(const vka_device_caps *caps, const void *problem, const vka__tile *s) {
    const vka__attention_problem *p = problem;
    return vka__tile_fits(caps, p, s, shared_bytes(p, s), MAX_OUT_VECTORS);
}

static bool choose(const vka_device_caps *caps, const void *problem, vka__tile *tile) {
    const vka__attention_problem *p = problem;
    return vka__path_first_fitting(&vka__path_dot.path, caps, p, vka__tile_rows(p), DEFAULTS, tile);
}

static void fill(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *tile,
                 vka__attention_plan *plan) {
    plan->shared_bytes = shared_bytes(p, tile);
    plan->main.kernel = vka__attention_kernel(caps->f16_mixed_dot ? VKA__attention_dot_mixed : VKA__attention_dot, p);
    plan->main.spec[VKA_SPEC_GROUP_SIZE] = tile->br / tile->rm * tile->tc;
}

/* Without its instruction it is the tile path with conversions. */
static bool is_profitable(const vka_device_caps *caps, const void *problem, const vka__tile *tile) {
    (void)problem, (void)tile;
    return caps->f16_mixed_dot;
}

const vka__attention_path vka__path_dot = {
    .path =
        {
            .name = "dot",
            .why_not = why_not,
            .tile = tile_at,
            .fits = fits,
            .choose = choose,
            .is_profitable = is_profitable,
        },
    .fill = fill,
    .pack_rows = vka__tile_pack_rows,
};
