/* The coopmat2 path: matrices span all rows of a tile (VK_NV_cooperative_matrix2).
 * SPDX-License-Identifier: MIT */
#include "ops/attention/paths.h"
#include "ops/attention/slices.h"
#include "op/known_drivers.h"
#include "op/matrix.h"

typedef struct tile_list {
    uint32_t count, tiles[7][2];
} tile_list;

/* Query rows, keys of a step. Of a workgroup, whose registers hold outputs of wide heads, too; of a subgroup; of a
 * subgroup on a software driver, which compiles every element's operation. */
static const tile_list workgroup_tiles = {7, {{64, 64}, {64, 32}, {32, 64}, {32, 32}, {128, 64}, {128, 32}, {16, 64}}};
static const tile_list wide_tiles = {6, {{64, 32}, {32, 32}, {16, 32}, {64, 64}, {32, 64}, {16, 64}}};
static const tile_list widest_tiles = {5, {{32, 32}, {16, 32}, {64, 32}, {32, 64}, {16, 64}}};
static const tile_list subgroup_tiles = {5, {{16, 32}, {16, 16}, {32, 32}, {8, 32}, {8, 16}}};
static const tile_list software_tiles = {3, {{8, 16}, {8, 8}, {16, 16}}};
#define MAX_ROWS 128
#define WIDE     256
#define WIDEST   512

/* Software drivers compile every element of a matrix, and need memory for each: Mesa's 26.1 peaks at 2.2 GiB for a head
 * dimension of 32, with options at 2.6 for 16, and at several times that for wider ones. */
#define MAX_SOFTWARE_DIM         24
#define MAX_SOFTWARE_DIM_OPTIONS 8

/* Tensor layouts address f16 keys and values in one place each: anything else is decoded, element by element. */
static bool decodes(const vka__attention_problem *p) {
    return p->k.dtype != VKA_F16 || p->v.dtype != VKA_F16 || p->pages.present || p->permutation.present ||
           p->key_lists.present;
}

static uint32_t most_software_dim(const vka__attention_problem *p) {
    bool with_options = vka__attention_kernel(VKA__attention_coopmat2_sg, p) != VKA__attention_coopmat2_sg;
    return with_options ? MAX_SOFTWARE_DIM_OPTIONS : MAX_SOFTWARE_DIM;
}

static const char *why_not(const vka_device_caps *caps, const void *problem) {
    const vka__attention_problem *p = problem;
    if (vka__has_products(p))
        return VKA__NO_PRODUCTS;
    if (p->q.dtype != VKA_F16)
        return "only f16 tensors have matrices of any size";
    if (vka__matrix_by_workgroup(caps) && decodes(p) && !caps->matrix_block_loads)
        return "this device's matrices of a workgroup load f16 keys and values from one place";
    if (vka__matrix_by_workgroup(caps) && !decodes(p) && vka__has_key_parts(caps, p))
        return "this device's matrices of a workgroup load keys from one binding, which does not see them all";
    if (!vka__is_convertible(&p->k, VKA_F16) || !vka__is_convertible(&p->v, VKA_F16))
        return "keys and values must be f16 or quantised";
    if (p->options & VKA_FLAG_HARD)
        return VKA__NO_ORDER;
    if (!vka__matrix_by_workgroup(caps) && vka__max_u32(p->q.shape[3], p->v.shape[3]) > VKA__MAX_SUBGROUP_MATRIX)
        return "Mesa keeps a matrix's dimensions in eight bits";
    if (caps->type == VKA_DEVICE_CPU && vka__max_u32(p->q.shape[3], p->v.shape[3]) > most_software_dim(p))
        return "compiling matrices of such wide heads takes a software driver gigabytes of memory";
    return vka__matrix_any_size_why_not(caps);
}

static const tile_list *tiles_of(const vka_device_caps *caps, const vka__attention_problem *p) {
    if (!vka__matrix_by_workgroup(caps))
        return caps->type == VKA_DEVICE_CPU ? &software_tiles : &subgroup_tiles;
    uint32_t dim = vka__max_u32(p->q.shape[3], p->v.shape[3]);
    return dim >= WIDEST ? &widest_tiles : dim >= WIDE ? &wide_tiles : &workgroup_tiles;
}

static bool tile_at(const vka_device_caps *caps, const void *problem, uint32_t index, vka__tile *tile) {
    const tile_list *list = tiles_of(caps, problem);
    if (index >= list->count)
        return false;
    const vka_matrix_shape *grain = vka__matrix_grain(caps);
    *tile = (vka__tile){vka__round_up(list->tiles[index][0], grain->m),
                        vka__round_up(vka__round_up(list->tiles[index][1], grain->n), grain->k), 1, 1};
    return true;
}

/* Bytes of shared memory that coopmat2.comp declares. */
static uint32_t shared_bytes(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *t) {
    const vka_matrix_shape *grain = vka__matrix_grain(caps);
    uint32_t k_bytes = 2 * vka__round_up(p->q.shape[3], grain->k) + 16, v_bytes = 2 * t->bc + 16;
    uint32_t channels = vka__matrix_by_workgroup(caps) ? 0 : vka__round_up(p->v.shape[3], grain->n);
    return vka__max_u32(t->bc, t->br) * k_bytes + channels * v_bytes + 16 + vka__list_bytes(p);
}

/* Are the reductions over a tile's scores right? */
static bool reduces(const vka_device_caps *caps, const vka__tile *t) {
    const vka_matrix_shape *grain = vka__matrix_grain(caps);
    return t->br <= grain->m || t->bc <= grain->n || !vka__known_fault(caps, VKA__AVOID_BLOCK_REDUCTIONS);
}

static bool fits(const vka_device_caps *caps, const void *problem, const vka__tile *t) {
    const vka__attention_problem *p = problem;
    const vka_matrix_shape *grain = vka__matrix_grain(caps);
    uint32_t reserved = vka__matrix_by_workgroup(caps) ? caps->matrix_reserved_bytes : 0;
    return vka__map_holds(p, t) && reduces(caps, t) && t->br % grain->m == 0 && t->bc % grain->n == 0 &&
           t->bc % grain->k == 0 && shared_bytes(caps, p, t) + reserved <= caps->shared_bytes;
}

static uint32_t pack_rows(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *tile) {
    (void)caps, (void)p;
    return tile->br;
}

static bool choose(const vka_device_caps *caps, const void *problem, vka__tile *tile) {
    const vka__attention_problem *p = problem;
    /* Few rows take a tile that holds no more; of a subgroup tiles are small anyway. */
    uint32_t rows = vka__matrix_by_workgroup(caps) ? vka__rows_with_keys(p, MAX_ROWS) : UINT32_MAX;
    return vka__path_first_fitting(&vka__path_coopmat2.path, caps, p, rows, UINT32_MAX, tile);
}

static void fill(const vka_device_caps *caps, const vka__attention_problem *p, const vka__tile *tile,
                 vka__attention_plan *plan) {
    const vka_matrix_shape *grain = vka__matrix_grain(caps);
    uint32_t *spec = plan->main.spec;
    plan->shared_bytes = shared_bytes(caps, p, tile);
    vka__kernel kernel = !vka__matrix_by_workgroup(caps) ? VKA__attention_coopmat2_sg
                         : decodes(p)                    ? VKA__attention_coopmat2_decode
                                                         : VKA__attention_coopmat2;
    plan->main.kernel = vka__attention_kernel(kernel, p);
    spec[VKA_SPEC_GROUP_SIZE] = vka__matrix_invocations(caps);
    spec[VKA_SPEC_SUBGROUP] = vka__matrix_by_workgroup(caps) ? 0 : vka__matrix_invocations(caps);
    spec[VKA_SPEC_M] = grain->m;
    spec[VKA_SPEC_N] = grain->n;
    spec[VKA_SPEC_K] = grain->k;
}

/* Of a subgroup, or of elements that are decoded, it has nothing over plain matrices. */
static bool is_profitable(const vka_device_caps *caps, const void *problem, const vka__tile *tile) {
    (void)tile;
    return vka__matrix_by_workgroup(caps) && !decodes(problem);
}

const vka__attention_path vka__path_coopmat2 = {
    .path =
        {
            .name = "coopmat2",
            .why_not = why_not,
            .tile = tile_at,
            .fits = fits,
            .choose = choose,
            .is_profitable = is_profitable,
        },
    .fill = fill,
    .pack_rows = pack_rows,
};
