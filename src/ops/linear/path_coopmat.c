/* The coopmat path: subgroups own blocks of outputs and multiply cooperative matrices.
 * SPDX-License-Identifier: MIT */
#include "ops/linear/plan.h"
#include "op/matrix.h"

/* Blocks of a subgroup: rows, outputs. Subgroups of a workgroup: one above the other, side by side. Best first; the
 * last ones are only measured. */
static const uint32_t blocks[][2] = {{32, 64}, {32, 32}, {16, 32}, {16, 16}, {8, 16}, {64, 64}, {64, 32}, {8, 32}};
static const uint32_t groups[][2] = {{2, 2}, {1, 2}, {1, 1}, {4, 2}, {2, 1}, {1, 4}};
#define BLOCKS (sizeof blocks / sizeof *blocks)
#define GROUPS (sizeof groups / sizeof *groups)

static const vka_matrix_shape *shape_of(const vka_device_caps *caps, const vka__linear_problem *p) {
    return vka__matrix_shape(caps, p->view[VKA__LINEAR_X].dtype);
}

static const char *why_not(const vka_device_caps *caps, const void *problem) {
    const vka__linear_problem *p = problem;
    const vka__view *x = &p->view[VKA__LINEAR_X], *weight = &p->view[VKA__LINEAR_WEIGHT];
    if (x->dtype == VKA_F32)
        return "only f16 and bf16 tensors have cooperative matrices";
    if (weight->dtype != x->dtype && weight->block == 1)
        return "weights must have the type of x or be quantised";
    return vka__matrix_why_not(caps, x->dtype);
}

static bool tile_at(const vka_device_caps *caps, const void *problem, uint32_t index, vka__tile *tile) {
    if (index >= BLOCKS * GROUPS)
        return false;
    const uint32_t *block = blocks[index / GROUPS], *group = groups[index % GROUPS];
    *tile = (vka__tile){group[0] * block[0], group[1] * block[1], block[0] / shape_of(caps, problem)->m, group[1]};
    return true;
}

static uint32_t subgroups(const vka_device_caps *caps, const vka__linear_problem *p, const vka__tile *t) {
    return t->br / (t->rm * shape_of(caps, p)->m) * t->tc;
}

/* Bytes of shared memory that coopmat.comp declares: 32 columns of 16 bits, and a product of floats for each subgroup,
 * both with a vector of padding. */
static uint32_t shared_bytes(const vka_device_caps *caps, const vka__linear_problem *p, const vka__tile *t) {
    const vka_matrix_shape *s = shape_of(caps, p);
    return 16 * 5 * (t->br + t->bc) + subgroups(caps, p, t) * s->m * 16 * (s->n / 4 + 1);
}

static bool fits(const vka_device_caps *caps, const void *problem, const vka__tile *t) {
    const vka__linear_problem *p = problem;
    const vka_matrix_shape *s = shape_of(caps, p);
    if (!t->rm || t->bc % (t->tc * s->n) || t->br % (t->rm * s->m))
        return false;
    return subgroups(caps, p, t) * vka__matrix_width(caps) <= caps->max_invocations &&
           vka__matrix_compiles(caps, t->rm * s->m, t->bc / t->tc) && shared_bytes(caps, p, t) <= caps->shared_bytes;
}

/* 32-bit registers of sums that a lane keeps, beside operands and what is on its way. */
#define MAX_REGISTERS     64
#define MAX_LOW_REGISTERS 32

static bool is_small(const vka_device_caps *caps, const vka__linear_problem *p, const vka__tile *t) {
    uint32_t sums = t->rm * shape_of(caps, p)->m * (t->bc / t->tc) / vka__matrix_width(caps);
    return sums <= (vka__has_few_registers(caps) ? MAX_LOW_REGISTERS : MAX_REGISTERS);
}

/* The first tile that fits, of as few rows as hold all of them. */
static bool choose(const vka_device_caps *caps, const void *problem, vka__tile *tile) {
    const vka__linear_problem *p = problem;
    bool found = false;
    vka__tile t;
    for (uint32_t i = 0; tile_at(caps, problem, i, &t); ++i) {
        bool smaller = found && t.br >= p->choice_rows && t.br < tile->br && t.bc >= tile->bc / 2;
        if ((!found || smaller) && fits(caps, problem, &t) && is_small(caps, p, &t)) {
            *tile = t;
            found = true;
        }
    }
    return found;
}

static void fill(const vka_device_caps *caps, const vka__linear_problem *p, const vka__tile *tile,
                 vka__linear_plan *plan) {
    const vka_matrix_shape *s = shape_of(caps, p);
    uint32_t *spec = plan->main.spec;
    plan->shared_bytes = shared_bytes(caps, p, tile);
    plan->main.kernel = p->view[VKA__LINEAR_X].dtype == VKA_BF16 ? VKA__linear_coopmat_bf16 : VKA__linear_coopmat_f16;
    spec[VKA_SPEC_GROUP_SIZE] = subgroups(caps, p, tile) * vka__matrix_width(caps);
    spec[VKA_SPEC_SUBGROUP] = vka__matrix_width(caps);
    spec[VKA_SPEC_M] = s->m;
    spec[VKA_SPEC_N] = s->n;
    spec[VKA_SPEC_K] = s->k;
    spec[VKA_SPEC_LOW_REGISTER] = vka__has_few_registers(caps);
}

const vka__linear_path vka__linear_path_coopmat = {
    .path = {.name = "coopmat", .why_not = why_not, .tile = tile_at, .fits = fits, .choose = choose},
    .fill = fill,
};
