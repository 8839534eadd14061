/* The vector path: few rows, whose time is that of reading the weights.
 * SPDX-License-Identifier: MIT */
#include "ops/linear/plan.h"

/* Outputs of a workgroup, eights of a row of weights that an invocation takes at a step, invocations that share the
 * columns. One eight leaves registers for as many workgroups as a core holds, on every GPU; four are a block of
 * quantised weights, and nothing else takes so many. */
static const uint32_t groups[][3] = {{4, 1, 64}, {4, 1, 32}, {4, 1, 16}, {4, 1, 8}, {4, 1, 128}, {4, 2, 32}, {4, 2, 64},
                                     {8, 1, 32}, {8, 1, 64}, {4, 2, 8},  {4, 4, 8}, {4, 4, 32},  {4, 4, 64}};
#define GROUPS (sizeof groups / sizeof *groups)

/* Behind them: outputs of an invocation of lane.comp, which shares no columns. */
static const uint32_t lanes[] = {4, 8};
#define LANES (sizeof lanes / sizeof *lanes)

/* Sums of an invocation, beside the elements of as many rows of weights as it has outputs. */
#define MAX_SUMS            32
#define MAX_LOW_SUMS        8
#define MAX_KEPLER_SUMS     4
#define MAX_OLD_ADRENO_SUMS 16 /* of those that read halves as words */
#define MAX_ROWS            8

static const char *why_not(const vka_device_caps *caps, const void *problem) {
    (void)caps, (void)problem;
    return NULL;
}

/* The smallest power of two that holds all rows, or the largest there is. */
static uint32_t rows_of(const vka_device_caps *caps, const vka__linear_problem *p, uint32_t outputs) {
    uint32_t most = MAX_SUMS, rows = 1;
    if (vka__has_few_registers(caps))
        most = caps->vendor_id == VKA_VENDOR_NVIDIA ? MAX_KEPLER_SUMS : MAX_LOW_SUMS;
    else if (vka__is_old_adreno(caps) && !caps->f16_storage)
        most = MAX_OLD_ADRENO_SUMS;
    while (rows < p->rows && rows < MAX_ROWS && 2 * rows * outputs <= most)
        rows *= 2;
    return rows;
}

static bool tile_at(const vka_device_caps *caps, const void *problem, uint32_t index, vka__tile *tile) {
    if (index >= GROUPS + LANES)
        return false;
    if (index < GROUPS) {
        const uint32_t *g = groups[index];
        *tile = (vka__tile){rows_of(caps, problem, g[0]), g[0], g[1], g[2]};
    } else {
        uint32_t outputs = lanes[index - GROUPS];
        *tile = (vka__tile){rows_of(caps, problem, outputs), outputs * vka__subgroup_width(caps), 4, 1};
    }
    return true;
}

static bool by_subgroups(const vka_device_caps *caps) {
    return caps->subgroup_arithmetic && caps->subgroup_min >= 4;
}

static bool is_lane(const vka__tile *t) {
    return t->tc == 1;
}

/* Invocations read rows that lie apart, and a subgroup is a workgroup: as in the row path. */
static bool has_lanes(const vka_device_caps *caps) {
    uint32_t width = vka__subgroup_width(caps);
    return caps->type == VKA_DEVICE_CPU && caps->subgroup_shuffle && width >= 2 && width <= caps->max_invocations;
}

static uint32_t shared_bytes(const vka_device_caps *caps, const vka__tile *t) {
    if (is_lane(t))
        return 0;
    return 4 * t->br * t->bc * (by_subgroups(caps) ? vka__div_up(t->tc, 4) : t->tc);
}

static bool fits(const vka_device_caps *caps, const void *problem, const vka__tile *t) {
    const vka__linear_problem *p = problem;
    if (is_lane(t))
        return has_lanes(caps);
    if (t->rm == 4 && (p->view[VKA__LINEAR_WEIGHT].block == 1 || vka__has_few_registers(caps)))
        return false;
    return t->tc <= caps->max_invocations && shared_bytes(caps, t) <= caps->shared_bytes;
}

/* Software drivers pay for each load: the subgroup's loads of x serve all outputs, and a block's words are read once.
 * Of f32 there are too many in a step for compilers that make a loop of each. */
static bool choose_software(const vka_device_caps *caps, const vka__linear_problem *p, vka__tile *tile) {
    if (has_lanes(caps) && !(vka__is_slow_compiler(caps) && p->view[VKA__LINEAR_WEIGHT].dtype == VKA_F32))
        return tile_at(caps, p, GROUPS, tile);
    *tile = (vka__tile){rows_of(caps, p, 4), 4, p->view[VKA__LINEAR_WEIGHT].block == 1 ? 1 : 4, 8};
    return fits(caps, p, tile);
}

/* As many invocations as have something to do in one step, but at least 32. */
static bool choose(const vka_device_caps *caps, const void *problem, vka__tile *tile) {
    const vka__linear_problem *p = problem;
    if (caps->type == VKA_DEVICE_CPU)
        return choose_software(caps, p, tile);
    uint32_t team = 64, least = 32;
    while (team > least && team * 8 > p->columns)
        team /= 2;
    for (; team >= 8; team /= 2) {
        *tile = (vka__tile){rows_of(caps, p, 4), 4, 1, team};
        if (fits(caps, problem, tile))
            return true;
    }
    return false;
}

/* Where registers are few, a tile reads the weights once that this would read for every other row. */
static bool is_profitable(const vka_device_caps *caps, const void *problem, const vka__tile *tile) {
    const vka__linear_problem *p = problem;
    return !vka__has_few_registers(caps) || p->choice_rows <= tile->br || p->choice_rows > MAX_ROWS;
}

static void fill(const vka_device_caps *caps, const vka__linear_problem *p, const vka__tile *tile,
                 vka__linear_plan *plan) {
    (void)p;
    plan->shared_bytes = shared_bytes(caps, tile);
    plan->main.kernel = is_lane(tile)        ? VKA__linear_lane
                        : by_subgroups(caps) ? VKA__linear_vector_sg
                                             : VKA__linear_vector;
    plan->main.spec[VKA_SPEC_GROUP_SIZE] = is_lane(tile) ? vka__subgroup_width(caps) : tile->tc;
    plan->main.spec[VKA_SPEC_SUBGROUP] = is_lane(tile) ? vka__subgroup_width(caps) : 0;
}

const vka__linear_path vka__linear_path_vector = {
    .path = {.name = "vector",
             .why_not = why_not,
             .tile = tile_at,
             .fits = fits,
             .choose = choose,
             .is_profitable = is_profitable},
    .fill = fill,
};
