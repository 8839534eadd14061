/* The coopmat2 path: matrices span a whole tile (VK_NV_cooperative_matrix2).
 * SPDX-License-Identifier: MIT */
#include "ops/linear/plan.h"
#include "op/matrix.h"

/* Rows, outputs, columns of a step. Of a workgroup; of a subgroup; of a subgroup on a software driver, which compiles
 * every product of two elements. */
static const uint32_t workgroup_tiles[][3] = {{128, 128, 64}, {64, 128, 64}, {64, 64, 64},   {32, 64, 64},
                                              {128, 256, 64}, {32, 128, 64}, {128, 128, 32}, {64, 128, 32}};
static const uint32_t subgroup_tiles[][3] = {{32, 64, 32}, {32, 32, 32}, {16, 32, 32}, {16, 16, 32}, {64, 64, 32}};
static const uint32_t software_tiles[][3] = {{16, 32, 16}, {16, 16, 16}, {8, 16, 16}, {8, 16, 32}};

/* Tensor layouts address f16 weights: quantised ones are decoded, element by element. */
static bool decodes(const vka__linear_problem *p) {
    return p->view[VKA__LINEAR_WEIGHT].block > 1;
}

static const char *why_not(const vka_device_caps *caps, const void *problem) {
    const vka__linear_problem *p = problem;
    if (p->view[VKA__LINEAR_X].dtype != VKA_F16)
        return "only f16 tensors have matrices of any size";
    if (p->view[VKA__LINEAR_WEIGHT].dtype != VKA_F16 && !decodes(p))
        return "weights must be f16 or quantised";
    if (vka__matrix_by_workgroup(caps) && decodes(p) && !caps->matrix_block_loads)
        return "this device's matrices of a workgroup load f16 weights";
    return vka__matrix_any_size_why_not(caps);
}

static bool tile_at(const vka_device_caps *caps, const void *problem, uint32_t index, vka__tile *tile) {
    (void)problem;
    bool by_workgroup = vka__matrix_by_workgroup(caps), cpu = caps->type == VKA_DEVICE_CPU;
    const uint32_t(*list)[3] = by_workgroup ? workgroup_tiles : cpu ? software_tiles : subgroup_tiles;
    uint32_t count = by_workgroup ? sizeof workgroup_tiles : cpu ? sizeof software_tiles : sizeof subgroup_tiles;
    if (index >= count / sizeof *list)
        return false;
    const vka_matrix_shape *grain = vka__matrix_grain(caps);
    *tile = (vka__tile){vka__round_up(list[index][0], grain->m), vka__round_up(list[index][1], grain->n),
                        vka__div_up(list[index][2], grain->k), 1};
    return true;
}

static uint32_t step_of(const vka_device_caps *caps, const vka__tile *t) {
    return t->rm * vka__matrix_grain(caps)->k;
}

/* Bytes of shared memory that linear_stage.glsl declares. */
static uint32_t shared_bytes(const vka_device_caps *caps, const vka__tile *t) {
    return vka__matrix_by_workgroup(caps) ? 0 : 16 * (step_of(caps, t) / 8 + 1) * (t->br + t->bc);
}

/* Sums that an invocation keeps, in registers of 32 bits. */
#define MAX_SUMS 128

static bool fits(const vka_device_caps *caps, const void *problem, const vka__tile *t) {
    (void)problem;
    bool by_workgroup = vka__matrix_by_workgroup(caps);
    uint32_t widest = vka__max_u32(vka__max_u32(t->br, t->bc), step_of(caps, t));
    uint32_t reserved = by_workgroup ? caps->matrix_reserved_bytes : 0;
    return t->br * t->bc <= MAX_SUMS * vka__matrix_invocations(caps) && step_of(caps, t) % 8 == 0 &&
           (by_workgroup || widest <= VKA__MAX_SUBGROUP_MATRIX) && vka__matrix_compiles(caps, t->br, t->bc) &&
           shared_bytes(caps, t) + reserved <= caps->shared_bytes;
}

static bool choose(const vka_device_caps *caps, const void *problem, vka__tile *tile) {
    const vka__linear_problem *p = problem;
    return vka__path_first_fitting(&vka__linear_path_coopmat2.path, caps, p, p->choice_rows, UINT32_MAX, tile);
}

static void fill(const vka_device_caps *caps, const vka__linear_problem *p, const vka__tile *tile,
                 vka__linear_plan *plan) {
    uint32_t *spec = plan->main.spec;
    plan->shared_bytes = shared_bytes(caps, tile);
    plan->main.kernel = !vka__matrix_by_workgroup(caps) ? VKA__linear_coopmat2_sg
                        : decodes(p)                    ? VKA__linear_coopmat2_decode
                                                        : VKA__linear_coopmat2;
    spec[VKA_SPEC_GROUP_SIZE] = vka__matrix_invocations(caps);
    spec[VKA_SPEC_SUBGROUP] = vka__matrix_by_workgroup(caps) ? 0 : vka__matrix_invocations(caps);
    spec[VKA_SPEC_K] = vka__matrix_grain(caps)->k;
}

/* Of a subgroup, or of elements that are decoded, it has nothing over plain matrices. */
static bool is_profitable(const vka_device_caps *caps, const void *problem, const vka__tile *tile) {
    (void)tile;
    return vka__matrix_by_workgroup(caps) && !decodes(problem);
}

const vka__linear_path vka__linear_path_coopmat2 = {
    .path = {.name = "coopmat2",
             .why_not = why_not,
             .tile = tile_at,
             .fits = fits,
             .choose = choose,
             .is_profitable = is_profitable},
    .fill = fill,
};
