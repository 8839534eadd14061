/* The row path: an invocation owns rows of x, a subgroup loads weights and broadcasts them. Software drivers.
 * SPDX-License-Identifier: MIT */
#include "ops/linear/plan.h"

#include "op/known_drivers.h"

/* Outputs, rows of an invocation. */
static const uint32_t groups[][2] = {{32, 4}, {32, 2}, {32, 1}, {16, 4}, {16, 2}, {16, 1}, {24, 4}, {8, 4}};
#define GROUPS (sizeof groups / sizeof *groups)

static const char *why_not(const vka_device_caps *caps, const void *problem) {
    (void)problem;
    uint32_t width = vka__subgroup_width(caps);
    if (caps->type != VKA_DEVICE_CPU)
        return "invocations read rows that lie apart: for software drivers alone";
    if (!caps->subgroup_shuffle || width < 2 || width > caps->max_invocations)
        return "this device has no subgroups of known width with shuffles";
    return NULL;
}

static bool tile_at(const vka_device_caps *caps, const void *problem, uint32_t index, vka__tile *tile) {
    (void)problem;
    if (index >= GROUPS)
        return false;
    *tile = (vka__tile){groups[index][1] * vka__subgroup_width(caps), groups[index][0], groups[index][1], 1};
    return true;
}

static bool fits(const vka_device_caps *caps, const void *problem, const vka__tile *tile) {
    (void)caps, (void)problem, (void)tile;
    return true;
}

/* Four rows an invocation, or as few as hold all. */
static bool choose(const vka_device_caps *caps, const void *problem, vka__tile *tile) {
    const vka__linear_problem *p = problem;
    uint32_t width = vka__subgroup_width(caps);
    return tile_at(caps, problem, p->choice_rows <= width ? 2 : p->choice_rows <= 2 * width ? 1 : 0, tile);
}

/* Mesa's software driver loads once what all lanes load from one address, since 26.1. It checks the bounds of every
 * load: where weights are quantised or lie apart, these are more than broadcasts cost. */
static bool is_uniform(const vka_device_caps *caps, const vka__view *weight) {
    return caps->driver_id == VKA__DRIVER_LLVMPIPE && !vka__is_slow_compiler(caps) && weight->block == 1 &&
           vka__linear_is_wide(weight);
}

static void fill(const vka_device_caps *caps, const vka__linear_problem *p, const vka__tile *tile,
                 vka__linear_plan *plan) {
    (void)tile;
    plan->main.kernel = VKA__linear_row;
    plan->main.spec[VKA_SPEC_FLAGS] = is_uniform(caps, &p->view[VKA__LINEAR_WEIGHT]) ? VKA_LINEAR_UNIFORM : 0;
    plan->main.spec[VKA_SPEC_GROUP_SIZE] = plan->main.spec[VKA_SPEC_SUBGROUP] = vka__subgroup_width(caps);
}

const vka__linear_path vka__linear_path_row = {
    .path = {.name = "row", .why_not = why_not, .tile = tile_at, .fits = fits, .choose = choose},
    .fill = fill,
};
