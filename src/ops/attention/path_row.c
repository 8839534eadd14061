/* The row path: an invocation owns query rows.
 * SPDX-License-Identifier: MIT */
#include "ops/attention/paths.h"
#include "op/known_drivers.h"

/* Rows of an invocation, keys of a step. */
static const uint32_t shapes[][2] = {{4, 4}, {2, 4}, {1, 4}, {8, 4}, {4, 2}, {2, 2}, {1, 2}, {1, 1}, {4, 1}, {2, 1}};

/* Keys of a block of steps. */
#define BLOCK_KEYS 32

bool vka__row_broadcasts(const vka_device_caps *caps) {
    return caps->subgroup_shuffle && vka__subgroup_width(caps) >= 4;
}

uint32_t vka__row_threads(const vka_device_caps *caps) {
    return vka__row_broadcasts(caps) ? vka__subgroup_width(caps) : vka__min_u32(8, caps->max_invocations);
}

static bool tile_at(const vka_device_caps *caps, const void *problem, uint32_t index, vka__tile *tile) {
    (void)problem;
    if (index >= sizeof shapes / sizeof *shapes)
        return false;
    *tile = (vka__tile){shapes[index][0] * vka__row_threads(caps), shapes[index][1], shapes[index][0], 1};
    return true;
}

static uint32_t wider_dim(const vka__attention_problem *p) {
    return vka__max_u32(p->q.shape[3], p->v.shape[3]);
}

static const char *why_not(const vka_device_caps *caps, const void *problem) {
    const vka__attention_problem *p = problem;
    if (vka__is_slow_compiler(caps) && wider_dim(p) > 256)
        return "Mesa's software driver before 26.1 takes minutes to compile it for head dimensions above 256";
    return NULL;
}

/* Do steps come in blocks? Where the code of a step does not fit a first-level cache of instructions, loops over keys
 * and over values by themselves do; of drivers that access shared memory by whole vectors. Relative keys make long code
 * of their own. */
static bool has_blocks(const vka_device_caps *caps, const vka__attention_problem *p) {
    return caps->driver_id == VKA__DRIVER_LLVMPIPE && !vka__is_slow_compiler(caps) && vka__row_broadcasts(caps) &&
           wider_dim(p) > 64 && !(p->options & VKA_FLAG_HARD) && !vka__has_products(p);
}

/* Several rows and a single key, which has little to share a rescaling of the rows with, are for blocks. */
static bool fits(const vka_device_caps *caps, const void *problem, const vka__tile *tile) {
    const vka__attention_problem *p = problem;
    bool small = tile->rm * tile->bc <= 4, relative = p->relative_keys.present;
    bool one_key = tile->bc == 1 && tile->rm > 1;
    return vka__map_holds(p, tile) && (!one_key || has_blocks(caps, p)) &&
           (small || !(vka__is_slow_compiler(caps) || relative));
}

/* Keys of a step, in blocks: these loops are unrolled, 60 bytes a multiply-add, and the one over values must stay well
 * below 32 KiB. */
static uint32_t block_step_keys(uint32_t rm, uint32_t dim) {
    uint32_t keys = 512 / (rm * dim);
    return keys >= 4 ? 4 : keys >= 2 ? 2 : 1;
}

static uint32_t block_step_bytes(const vka__tile *tile) {
    return 4 * tile->br * tile->bc;
}

/* Up to as many keys as are worth a rescaling of the rows. */
static uint32_t block_steps(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *tile) {
    if (!has_blocks(caps, p))
        return 1;
    return vka__min_u32(BLOCK_KEYS / tile->bc, caps->shared_bytes / block_step_bytes(tile));
}

/* Rows in registers: q and out of RM rows, in vectors of four. With relative keys each product is a loop of its own.
 * Four rows use each key four times; beyond 128 channels they no longer fit the first-level cache, which is where
 * software drivers keep registers. */
static bool choose(const vka_device_caps *caps, const void *problem, vka__tile *tile) {
    const vka__attention_problem *p = problem;
    uint32_t dim = wider_dim(p);
    bool slow = vka__is_slow_compiler(caps) || !vka__row_broadcasts(caps), small = dim <= 128,
         one = p->relative_keys.present;
    uint32_t rm = slow || one || dim > 256 ? 1
                  : small                  ? 4
                                           : 2,
             bc = slow    ? (small ? 2 : 1)
                  : small ? 4
                          : 2,
             t = vka__row_threads(caps);
    uint32_t rows = vka__rows_with_keys(p, t * rm);
    while (rm > 1 && rows <= t * rm / 2)
        rm /= 2;
    if (has_blocks(caps, p))
        bc = block_step_keys(rm, dim);
    *tile = (vka__tile){t * rm, bc, rm, 1};
    while (!vka__map_holds(p, tile) && tile->rm > 1)
        *tile = (vka__tile){tile->br / 2, bc, tile->rm / 2, 1};
    return vka__map_holds(p, tile);
}

static uint32_t pack_rows(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *tile) {
    (void)p, (void)tile;
    return vka__row_threads(caps) * 4;
}

static void fill(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *tile,
                 vka__attention_plan *plan) {
    uint32_t steps = block_steps(caps, p, tile);
    plan->shared_bytes = steps > 1 ? steps * block_step_bytes(tile) : 0;
    plan->main.spec[VKA_SPEC_COLS] = steps;
    plan->main.kernel =
        vka__attention_kernel(vka__row_broadcasts(caps) ? VKA__attention_row_sg : VKA__attention_row, p);
    plan->main.spec[VKA_SPEC_GROUP_SIZE] = vka__row_threads(caps);
    plan->main.spec[VKA_SPEC_SUBGROUP] = vka__row_broadcasts(caps) ? vka__row_threads(caps) : 0;
}

const vka__attention_path vka__path_row = {
    .path =
        {
            .name = "row",
            .why_not = why_not,
            .tile = tile_at,
            .fits = fits,
            .choose = choose,
        },
    .fill = fill,
    .pack_rows = pack_rows,
};
