/* The coopmat path: subgroups own query rows and multiply by cooperative matrices.
 * SPDX-License-Identifier: MIT */
#include "ops/attention/paths.h"
#include "op/matrix.h"

/* Workgroups, best first: blocks of rows, keys of a step. Up to 64 rows share what is staged; 32 keys keep a
 * workgroup's shared memory small enough for several of them on one core. The last ones are only measured. */
static const uint32_t groups[][2] = {{8, 32}, {4, 32}, {2, 32}, {1, 32}, {8, 16},
                                     {4, 16}, {2, 16}, {1, 16}, {4, 64}, {2, 64}};
#define GROUPS   (sizeof groups / sizeof *groups)
#define DEFAULTS 8
#define MAX_ROWS 64

/* Blocks that are measured: rows, subgroups that share them. Of the last ones these share channels. */
static const uint32_t blocks[][2] = {{16, 1}, {16, 2}, {32, 1}, {32, 2}, {8, 1},  {8, 2},  {8, 4},  {8, 8},
                                     {4, 1},  {4, 2},  {4, 4},  {4, 8},  {16, 4}, {16, 8}, {32, 4}, {32, 8}};
#define BLOCKS (sizeof blocks / sizeof *blocks)

static const vka_matrix_shape *shape_of(const vka_device_caps *caps, const vka__attention_problem *p) {
    return vka__matrix_shape(caps, p->q.dtype);
}

static const char *why_not(const vka_device_caps *caps, const void *problem) {
    const vka__attention_problem *p = problem;
    if (vka__has_products(p))
        return VKA__NO_PRODUCTS;
    if (p->q.dtype == VKA_F32)
        return "only f16 and bf16 tensors have cooperative matrices";
    if (!vka__is_convertible(&p->k, p->q.dtype) || !vka__is_convertible(&p->v, p->q.dtype))
        return "keys and values must have the type of q or be quantised";
    if (p->options & VKA_FLAG_HARD)
        return VKA__NO_ORDER;
    return vka__matrix_why_not(caps, p->q.dtype);
}

/* Are values taken from the keys' tile, where all of a subgroup's operands lie row by row? Intel's compiler loads those
 * element by element, and NVIDIA's cores transpose them after each load: a tile of values by channels costs less there,
 * if there is room. */
static bool has_values_of_keys(const vka_device_caps *caps, const vka__attention_problem *p) {
    return p->values_are_keys && !vka__has_few_registers(caps) && caps->vendor_id != VKA_VENDOR_NVIDIA;
}

static uint32_t block_rows(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *t) {
    return t->rm * shape_of(caps, p)->m;
}

/* Can scores lie key by key? A lane takes two or four rows of some pairs of keys. */
static bool can_lie_by_key(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *t) {
    uint32_t width = vka__matrix_width(caps), soft_rows = block_rows(caps, p, t) / t->tc; /* of a subgroup */
    uint32_t step = soft_rows < 4 ? 1 : soft_rows / 4; /* lanes that have other rows */
    return soft_rows >= 2 && step <= width && t->bc >= 2 * (width / step);
}

/* Above this head dimension no subgroup has registers for whole rows of queries and of outputs. */
#define MAX_WHOLE_DIM 256

/* Do subgroups share channels of queries and keys? Software drivers do where they share rows, so that tests run it. */
static bool shares_channels(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *t) {
    return p->values_are_keys && !vka__has_few_registers(caps) && t->tc > 1 &&
           (p->q.shape[3] > MAX_WHOLE_DIM || caps->type == VKA_DEVICE_CPU);
}

/* VKA_LEAN_*. Software drivers go the way of devices with few registers where subgroups share rows, so that tests run
 * it. Looking keys of lists up takes registers, too: NVK would spill. */
static uint32_t lean_flags(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *t) {
    bool software = caps->type == VKA_DEVICE_CPU && t->tc > 1;
    if (shares_channels(caps, p, t))
        return VKA_LEAN_KEY_VALUES | VKA_LEAN_BY_CHANNEL | (p->key_lists.present ? VKA_LEAN_STEPS : 0);
    if ((vka__has_few_registers(caps) || software) && can_lie_by_key(caps, p, t))
        return VKA_LEAN_STEPS | VKA_LEAN_BY_KEY;
    uint32_t values = has_values_of_keys(caps, p) ? VKA_LEAN_KEY_VALUES : 0;
    return values | (p->key_lists.present && p->q.shape[3] > 64 ? VKA_LEAN_STEPS | VKA_LEAN_QUERY_ROWS : 0);
}

/* Bytes of shared memory that coopmat.comp declares. */
static uint32_t shared_bytes(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *t) {
    const vka_matrix_shape *s = shape_of(caps, p);
    uint32_t lean = lean_flags(caps, p, t), rows = block_rows(caps, p, t), block_count = t->br / rows;
    uint32_t channels = vka__round_up(p->q.shape[3], s->k), k_bytes = 2 * channels + 16; /* of a row */
    uint32_t columns = vka__round_up(p->v.shape[3], s->n * t->tc), values = columns * (2 * t->bc + 16);
    uint32_t scores = t->br * (4 * t->bc + 16), weights = 16, queries = 16;
    if (lean & VKA_LEAN_KEY_VALUES) {
        k_bytes = 2 * vka__max_u32(channels, columns) + 16;
        values = 16;
    }
    if (lean & VKA_LEAN_BY_CHANNEL)
        scores *= t->tc;
    if (lean & VKA_LEAN_BY_KEY) {
        uint32_t by_key = block_count * (t->bc * (4 * rows + (rows > 8 ? 16 : 0)) + 16 * (t->bc / s->n));
        scores = by_key > scores ? by_key : scores;
        weights = t->br * 2 * t->bc;
        queries = t->br * 2 * channels;
    }
    uint32_t query_rows = lean & VKA_LEAN_QUERY_ROWS ? t->br * k_bytes : 16;
    return t->bc * k_bytes + values + scores + weights + 4 * t->br + 16 * block_count + 16 + queries + query_rows +
           vka__list_bytes(p);
}

static bool tile_at(const vka_device_caps *caps, const void *problem, uint32_t index, vka__tile *tile) {
    const vka__attention_problem *p = problem;
    if (index >= GROUPS * BLOCKS)
        return false;
    const uint32_t *group = groups[index % GROUPS], *block = blocks[index / GROUPS];
    *tile = (vka__tile){group[0] * block[0], group[1], block[0] / shape_of(caps, p)->m, block[1]};
    return true;
}

static bool compiles(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *t) {
    uint32_t operands = shares_channels(caps, p, t) ? vka__div_up(p->q.shape[3], t->tc) : p->q.shape[3];
    return vka__matrix_compiles(caps, block_rows(caps, p, t), operands + vka__div_up(p->v.shape[3], t->tc));
}

static bool fits(const vka_device_caps *caps, const void *problem, const vka__tile *t) {
    const vka__attention_problem *p = problem;
    const vka_matrix_shape *s = shape_of(caps, p);
    if (!t->rm || !vka__map_holds(p, t) || !compiles(caps, p, t))
        return false;
    if (block_rows(caps, p, t) >= 16 && t->tc >= 4 && !shares_channels(caps, p, t))
        return false;
    uint32_t rows = block_rows(caps, p, t), width = vka__matrix_width(caps);
    if (rows % t->tc)
        return false;
    bool team = t->br / rows * t->tc * width <= caps->max_invocations && shared_bytes(caps, p, t) <= caps->shared_bytes;
    if (shares_channels(caps, p, t))
        return team && t->bc % s->n == 0 && t->bc % s->k == 0 && rows * t->bc % (4 * width) == 0;
    uint32_t soft_rows = rows / t->tc; /* of a subgroup, whose lanes take four scores at least each */
    uint32_t lanes = soft_rows < width ? width / soft_rows : 1;
    if (vka__has_few_registers(caps) ? !can_lie_by_key(caps, p, t) : t->bc < 4 * lanes)
        return false;
    return team && t->bc % (s->n * t->tc) == 0 && t->bc % s->k == 0 && t->bc >= rows;
}

/* Up to this head dimension Intel's compiler was seen not to spill. */
#define MAX_LOW_REGISTER_DIM 128

/* Do all queries see all keys, with nothing added to scores and nothing converted or looked up? */
static bool is_plain(const vka__attention_problem *p) {
    bool biased = p->mask.present || p->relative.present || p->alibi.present || p->map.present;
    bool looked_up = p->permutation.present || p->pages.present || p->key_lists.present || p->device_lengths;
    return !p->options && !p->band && !biased && !looked_up && p->k.dtype == p->q.dtype && p->v.dtype == p->q.dtype;
}

/* Accumulators are a subgroup's part of the outputs, and of a step's scores. */
static bool is_low_register(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *t) {
    uint32_t columns = vka__round_up(p->v.shape[3], shape_of(caps, p)->n * t->tc) + t->bc;
    return vka__matrix_fits_few_registers(caps, block_rows(caps, p, t) * columns / t->tc, is_plain(p)) &&
           p->q.shape[3] <= MAX_LOW_REGISTER_DIM;
}

static uint32_t pack_rows(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *tile) {
    (void)caps, (void)p, (void)tile;
    return 32;
}

/* The first of the groups that fits with such a block, or one of as many keys that holds all rows and no more. */
static bool choose_group(const vka_device_caps *caps, const vka__attention_problem *p, uint32_t count,
                         vka__matrix_block block, vka__tile *tile) {
    uint32_t all = vka__rows_with_keys(p, 32);
    bool found = false;
    for (uint32_t i = 0; i < count; ++i) {
        vka__tile t = {groups[i][0] * block.rows, groups[i][1], block.rows / shape_of(caps, p)->m, block.subgroups};
        if (t.br > MAX_ROWS)
            continue;
        bool smaller = found && t.bc == tile->bc && t.br >= all && t.br < tile->br;
        if ((!found || smaller) && fits(caps, p, &t)) {
            *tile = t;
            found = true;
        }
    }
    return found;
}

/* The first block whose sums fit few registers: two products' rows, which share what they load, or one's and more
 * subgroups. */
static bool choose_low_register(const vka_device_caps *caps, const vka__attention_problem *p, vka__tile *tile) {
    static const uint32_t lean_blocks[][2] = {{2, 1}, {2, 2}, {1, 1}, {1, 2}, {1, 4}};
    for (uint32_t i = 0; i < sizeof lean_blocks / sizeof *lean_blocks; ++i) {
        vka__matrix_block block = {lean_blocks[i][0] * shape_of(caps, p)->m, lean_blocks[i][1]};
        if (choose_group(caps, p, DEFAULTS, block, tile) && is_low_register(caps, p, tile))
            return true;
    }
    return false;
}

/* Wide heads whose values are their keys: four subgroups share a block's channels, and blocks share what is staged. Of
 * AMD's registers 16 subgroups have as many as one of them can name; elsewhere there would be half of that. */
static bool choose_by_channel(const vka_device_caps *caps, const vka__attention_problem *p, vka__tile *tile) {
    const vka_matrix_shape *s = shape_of(caps, p);
    uint32_t all = vka__rows_with_keys(p, 32), rows = 16, keys = vka__max_u32(16, vka__max_u32(s->n, s->k));
    bool found = false;
    for (uint32_t most = caps->vendor_id == VKA_VENDOR_AMD ? 4 : 2; most; most /= 2) {
        vka__tile t = {most * rows, keys, rows / s->m, 4};
        if ((!found || t.br >= all) && fits(caps, p, &t)) {
            *tile = t;
            found = true;
        }
    }
    return found;
}

static bool choose(const vka_device_caps *caps, const void *problem, vka__tile *tile) {
    const vka__attention_problem *p = problem;
    if (vka__has_few_registers(caps))
        return choose_low_register(caps, p, tile);
    if (p->values_are_keys && p->q.shape[3] > MAX_WHOLE_DIM)
        return choose_by_channel(caps, p, tile);
    /* Out is summed up, q is an operand; of the subgroups that share a block each scores keys of its own. */
    vka__matrix_block block = vka__matrix_choose_block(caps, shape_of(caps, p), p->v.shape[3], p->q.shape[3]);
    return choose_group(caps, p, DEFAULTS, block, tile);
}

static bool is_profitable(const vka_device_caps *caps, const void *problem, const vka__tile *tile) {
    return !vka__has_few_registers(caps) || is_low_register(caps, problem, tile);
}

static void fill(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *tile,
                 vka__attention_plan *plan) {
    const vka_matrix_shape *s = shape_of(caps, p);
    uint32_t *spec = plan->main.spec, width = vka__matrix_width(caps);
    plan->shared_bytes = shared_bytes(caps, p, tile);
    plan->main.kernel =
        vka__attention_kernel(p->q.dtype == VKA_BF16 ? VKA__attention_coopmat_bf16 : VKA__attention_coopmat_f16, p);
    spec[VKA_SPEC_GROUP_SIZE] = tile->br / block_rows(caps, p, tile) * tile->tc * width;
    spec[VKA_SPEC_SUBGROUP] = width;
    spec[VKA_SPEC_M] = s->m;
    spec[VKA_SPEC_N] = s->n;
    spec[VKA_SPEC_K] = s->k;
    spec[VKA_SPEC_LOW_REGISTER] = lean_flags(caps, p, tile);
}

const vka__attention_path vka__path_coopmat = {
    .path =
        {
            .name = "coopmat",
            .why_not = why_not,
            .tile = tile_at,
            .fits = fits,
            .choose = choose,
            .is_profitable = is_profitable,
        },
    .fill = fill,
    .pack_rows = pack_rows,
};
