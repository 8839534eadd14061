/* The dot path: the tile path with f16 in shared memory, multiplied in pairs whose products are summed in f32.
 * SPDX-License-Identifier: MIT */
#include "ops/linear/plan.h"

static const char *why_not(const vka_device_caps *caps, const void *problem) {
    const vka__linear_problem *p = problem;
    const vka__view *x = &p->view[VKA__LINEAR_X], *weight = &p->view[VKA__LINEAR_WEIGHT];
    (void)caps;
    if (x->dtype != VKA_F16 || (weight->dtype != VKA_F16 && weight->block == 1))
        return "it multiplies pairs of f16: x must be f16, weights f16 or quantised";
    return NULL;
}

/* As many bytes as a tile of floats, for twice the columns a step. */
static bool tile_at(const vka_device_caps *caps, const void *problem, uint32_t index, vka__tile *tile) {
    return vka__linear_path_tile.path.tile(caps, problem, index, tile);
}

static bool fits(const vka_device_caps *caps, const void *problem, const vka__tile *tile) {
    return vka__linear_path_tile.path.fits(caps, problem, tile);
}

static bool choose(const vka_device_caps *caps, const void *problem, vka__tile *tile) {
    return vka__linear_path_tile.path.choose(caps, problem, tile);
}

/* Without its instruction it is the tile path with conversions. */
static bool is_profitable(const vka_device_caps *caps, const void *problem, const vka__tile *tile) {
    (void)problem, (void)tile;
    return caps->f16_mixed_dot;
}

static void fill(const vka_device_caps *caps, const vka__linear_problem *p, const vka__tile *tile,
                 vka__linear_plan *plan) {
    vka__linear_path_tile.fill(caps, p, tile, plan);
    plan->main.kernel = caps->f16_mixed_dot ? VKA__linear_dot_mixed : VKA__linear_dot;
}

const vka__linear_path vka__linear_path_dot = {
    .path = {.name = "dot",
             .why_not = why_not,
             .tile = tile_at,
             .fits = fits,
             .choose = choose,
             .is_profitable = is_profitable},
    .fill = fill,
};
