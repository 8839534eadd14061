/* The coopmat path with scores that stay in registers: each block of rows has one subgroup, whose matrices are reduced,
 * converted and changed element by element (VK_EXT_cooperative_matrix_maintenance1, VK_NV_cooperative_matrix2).
 * SPDX-License-Identifier: MIT */
#include "ops/attention/paths.h"
#include "op/matrix.h"

/* Blocks of a workgroup, keys of a step, products that a block stacks; best first. */
static const uint32_t tiles[][3] = {{4, 32, 1}, {2, 32, 1}, {1, 32, 1}, {8, 32, 1}, {4, 16, 1}, {2, 16, 1}, {1, 16, 1},
                                    {4, 64, 1}, {2, 64, 1}, {1, 64, 1}, {4, 32, 2}, {2, 32, 2}, {1, 32, 2}, {2, 16, 2}};
#define TILES (sizeof tiles / sizeof *tiles)

/* Rows that share what is staged. */
#define MAX_ROWS 64

static const vka_matrix_shape *shape_of(const vka_device_caps *caps) {
    return vka__matrix_shape(caps, VKA_F16);
}

static const char *why_not(const vka_device_caps *caps, const void *problem) {
    const vka__attention_problem *p = problem;
    if (vka__has_products(p))
        return VKA__NO_PRODUCTS;
    if (p->q.dtype != VKA_F16)
        return "only f16 tensors have matrices whose scores stay in registers";
    if (!vka__is_convertible(&p->k, VKA_F16) || !vka__is_convertible(&p->v, VKA_F16))
        return "keys and values must be f16 or quantised";
    if (p->options & VKA_FLAG_HARD)
        return VKA__NO_ORDER;
    const char *why = vka__matrix_why_not(caps, VKA_F16);
    if (why)
        return why;
    if (!caps->matrix_functions)
        return "this device's matrices of a subgroup have no reductions, conversions and functions of elements";
    const vka_matrix_shape *s = shape_of(caps);
    return s->m == s->n && s->n == s->k ? NULL : "a product's scores are no operand of another product here";
}

/* Looking keys of lists up takes registers. */
static uint32_t lean_flags(const vka__attention_problem *p) {
    return p->key_lists.present && p->q.shape[3] > 64 ? VKA_LEAN_STEPS | VKA_LEAN_QUERY_ROWS : 0;
}

/* Bytes of shared memory that coopmat.comp declares. */
static uint32_t shared_bytes(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *t) {
    uint32_t size = shape_of(caps)->m, blocks = t->br / (t->rm * size);
    uint32_t k_bytes = 2 * vka__round_up(p->q.shape[3], size) + 16; /* of a row */
    uint32_t values = vka__round_up(p->v.shape[3], size) * (2 * t->bc + 16), scores = t->br * (4 * size + 16);
    uint32_t query_rows = lean_flags(p) & VKA_LEAN_QUERY_ROWS ? t->br * k_bytes : 16;
    return t->bc * k_bytes + values + scores + 16 + 4 * t->br + 16 * blocks + 16 + 16 + query_rows + vka__list_bytes(p);
}

static bool tile_at(const vka_device_caps *caps, const void *problem, uint32_t index, vka__tile *tile) {
    (void)problem;
    if (index >= TILES)
        return false;
    const uint32_t *t = tiles[index];
    *tile = (vka__tile){t[0] * t[2] * shape_of(caps)->m, t[1], t[2], 1};
    return true;
}

static bool fits(const vka_device_caps *caps, const void *problem, const vka__tile *t) {
    const vka__attention_problem *p = problem;
    uint32_t size = shape_of(caps)->m, rows = t->rm * size, width = vka__matrix_width(caps);
    return t->rm && t->tc == 1 && vka__map_holds(p, t) && t->br % rows == 0 && t->bc % size == 0 &&
           vka__matrix_compiles(caps, rows, p->q.shape[3] + p->v.shape[3]) &&
           t->br / rows * width <= caps->max_invocations && shared_bytes(caps, p, t) <= caps->shared_bytes;
}

static uint32_t pack_rows(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *tile) {
    (void)caps, (void)p, (void)tile;
    return 32;
}

/* The first tile that fits, or one of as many keys that holds all rows and no more. */
static bool choose(const vka_device_caps *caps, const void *problem, vka__tile *tile) {
    const vka__attention_problem *p = problem;
    uint32_t all = vka__rows_with_keys(p, 32);
    bool found = false;
    for (uint32_t i = 0; i < TILES; ++i) {
        vka__tile t;
        tile_at(caps, p, i, &t);
        bool smaller = found && t.bc == tile->bc && t.rm == tile->rm && t.br >= all && t.br < tile->br;
        if (t.br <= MAX_ROWS && (!found || smaller) && fits(caps, p, &t)) {
            *tile = t;
            found = true;
        }
    }
    return found;
}

/* On AMD's matrix cores, where a lane holds scores of one query, as far as one subgroup has registers for whole rows.
 * The coopmat path reads keys once that are values, too. */
static bool is_profitable(const vka_device_caps *caps, const void *problem, const vka__tile *tile) {
    (void)tile;
    const vka__attention_problem *p = problem;
    uint32_t subgroups = vka__matrix_choose_block(caps, shape_of(caps), p->v.shape[3], p->q.shape[3]).subgroups;
    return caps->vendor_id == VKA_VENDOR_AMD && subgroups == 1 && !p->values_are_keys;
}

static void fill(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *tile,
                 vka__attention_plan *plan) {
    const vka_matrix_shape *s = shape_of(caps);
    uint32_t *spec = plan->main.spec, width = vka__matrix_width(caps);
    plan->shared_bytes = shared_bytes(caps, p, tile);
    plan->main.kernel =
        vka__attention_kernel(caps->matrix_functions == VKA_MATRIX_FUNCTIONS_EXT ? VKA__attention_coopmat_registers_ext
                                                                                 : VKA__attention_coopmat_registers_nv,
                              p);
    spec[VKA_SPEC_GROUP_SIZE] = tile->br / (tile->rm * s->m) * width;
    spec[VKA_SPEC_SUBGROUP] = width;
    spec[VKA_SPEC_M] = s->m;
    spec[VKA_SPEC_N] = s->n;
    spec[VKA_SPEC_K] = s->k;
    spec[VKA_SPEC_LOW_REGISTER] = lean_flags(p);
}

const vka__attention_path vka__path_coopmat_registers = {
    .path =
        {
            .name = "coopmat_registers",
            .why_not = why_not,
            .tile = tile_at,
            .fits = fits,
            .choose = choose,
            .is_profitable = is_profitable,
        },
    .fill = fill,
    .pack_rows = pack_rows,
};
