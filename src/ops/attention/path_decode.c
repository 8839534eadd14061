/* The decode path: a subgroup owns few query rows, its lanes share each key.
 * SPDX-License-Identifier: MIT */
#include "ops/attention/paths.h"

/* Keys of a step, for each team of lanes. */
static const uint32_t steps[] = {4, 2, 8, 1};

/* Rows of heads that share keys are packed up to so many. */
#define PACK_ROWS 32

/* Rows of a subgroup at most: each costs every lane the arithmetic of its whole key. */
#define MAX_ROWS 8

static bool is_intel(const vka_device_caps *caps) {
    return caps->vendor_id == VKA_VENDOR_INTEL;
}

/* Vectors of a lane's rows and keys that fit: Intel's threads have 32 registers of four floats for each lane of their
 * narrowest subgroups, of which 20, or 16 with options, were seen not to spill. */
static uint32_t intel_vectors(const vka__attention_problem *p) {
    return vka__attention_has_options(p) ? 16 : 20;
}

/* Intel's lanes have twice the registers each time that a subgroup is half as wide. */
static uint32_t width_of(const vka_device_caps *caps) {
    return is_intel(caps) && caps->subgroup_size_control ? caps->subgroup_min : vka__subgroup_width(caps);
}

static const char *why_not(const vka_device_caps *caps, const void *problem) {
    (void)problem;
    if (width_of(caps) < 4 || !caps->subgroup_arithmetic || !caps->subgroup_shuffle)
        return "this device has no subgroups of known width with arithmetic and shuffles";
    return NULL;
}

/* Of few rows, lanes take two vectors of each key where elements are narrower than floats: halves are loaded by 16
 * bytes, and a sum over half as many lanes serves twice the keys. More rows have no registers for that. */
#define MAX_PAIRED_ROWS 6

static uint32_t lanes_of_a_key(const vka_device_caps *caps, const vka__attention_problem *p) {
    bool paired =
        p->k.dtype != VKA_F32 && p->v.dtype != VKA_F32 && vka__rows_with_keys(p, PACK_ROWS) <= MAX_PAIRED_ROWS;
    uint32_t lanes = 1, dim = vka__max_u32(p->q.shape[3], p->v.shape[3]), width = width_of(caps);
    while (lanes < width && lanes * (paired ? 8 : 4) < dim)
        lanes *= 2;
    return lanes;
}

/* Vectors of q and out that a lane keeps for each row. */
static uint32_t row_vectors(const vka__attention_problem *p, uint32_t lanes) {
    return vka__div_up(vka__div_up(p->q.shape[3], 4), lanes) + vka__div_up(vka__div_up(p->v.shape[3], 4), lanes);
}

static uint32_t pack_rows(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *tile) {
    (void)caps, (void)p, (void)tile;
    return PACK_ROWS;
}

/* As many rows as there are, or equal parts of them that leave room for the keys and values of a step. */
static uint32_t rows_of(const vka_device_caps *caps, const vka__attention_problem *p, uint32_t lanes) {
    uint32_t vectors = row_vectors(p, lanes), room = caps->type == VKA_DEVICE_CPU ? 64 : 24;
    if (is_intel(caps)) /* beside two keys, so that there is one to wait for */
        room = intel_vectors(p) - vka__min_u32(2 * vectors, intel_vectors(p));
    uint32_t most = vka__min_u32(MAX_ROWS, vka__max_u32(1, room / vectors));
    uint32_t rows = vka__rows_with_keys(p, PACK_ROWS);
    return vka__div_up(rows, vka__div_up(rows, most));
}

static bool tile_at(const vka_device_caps *caps, const void *problem, uint32_t index, vka__tile *tile) {
    const vka__attention_problem *p = problem;
    uint32_t lanes = lanes_of_a_key(caps, p), rows = rows_of(caps, p, lanes);
    if (index >= sizeof steps / sizeof *steps)
        return false;
    *tile = (vka__tile){rows, steps[index], rows, lanes};
    return true;
}

/* Its rows and keys, in registers. */
static bool fits_intel(const vka__attention_problem *p, const vka__tile *tile) {
    return (tile->br + tile->bc) * row_vectors(p, tile->tc) <= intel_vectors(p);
}

static bool fits(const vka_device_caps *caps, const void *problem, const vka__tile *tile) {
    const vka__attention_problem *p = problem;
    uint32_t room = (caps->type == VKA_DEVICE_CPU ? 64 : 32) / row_vectors(p, tile->tc);
    if (is_intel(caps) && tile->bc > 1) /* one key there must be */
        room = fits_intel(p, tile) ? tile->bc : 0;
    return vka__map_holds(p, tile) && tile->bc <= room;
}

/* Four keys a step, or two where wide rows fill registers, or conversions and options do (Apple). */
static bool choose(const vka_device_caps *caps, const void *problem, vka__tile *tile) {
    const vka__attention_problem *p = problem;
    bool wide = row_vectors(p, lanes_of_a_key(caps, p)) > 4;
    bool converts = p->k.dtype != VKA_F32 || vka__attention_has_options(p);
    for (uint32_t i = wide || (converts && vka__is_apple(caps)) ? 1 : 0; tile_at(caps, p, i, tile); ++i)
        if (fits(caps, p, tile))
            return true;
    return false;
}

static void fill(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *tile,
                 vka__attention_plan *plan) {
    (void)tile;
    plan->main.kernel = vka__attention_kernel(VKA__attention_decode, p);
    plan->main.spec[VKA_SPEC_GROUP_SIZE] = plan->main.spec[VKA_SPEC_SUBGROUP] = width_of(caps);
    /* A software driver loads each lane's part by itself, and has all lanes' in one line of its cache more often when
     * they take single vectors: 9 % less time at 4096 keys of 128 channels. */
    plan->main.spec[VKA_SPEC_N] = caps->type == VKA_DEVICE_CPU ? 1 : 2;
}

/* It keeps whole keys in registers, and was seen to spill hundreds where those are few. */
static bool is_profitable(const vka_device_caps *caps, const void *problem, const vka__tile *tile) {
    return is_intel(caps) ? fits_intel(problem, tile) : !vka__has_few_registers(caps);
}

const vka__attention_path vka__path_decode = {
    .path =
        {
            .name = "decode",
            .why_not = why_not,
            .tile = tile_at,
            .fits = fits,
            .choose = choose,
            .is_profitable = is_profitable,
            .rows_follow = true,
        },
    .fill = fill,
    .pack_rows = pack_rows,
};
