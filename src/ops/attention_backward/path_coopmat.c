/* The coopmat path of attention's backward: subgroups own rows and multiply by cooperative matrices.
 * SPDX-License-Identifier: MIT */
#include "op/matrix.h"
#include "ops/attention_backward/attention_backward.h"

/* Best first: blocks of a workgroup, partners of a step. Rows that share what is staged are worth more than steps are,
 * but only as far as a core's shared memory holds several workgroups. */
static const uint32_t groups[][2] = {{4, 32}, {4, 16}, {2, 32}, {2, 16}, {1, 32}, {1, 16}};
#define GROUPS   (sizeof groups / sizeof *groups)
#define MAX_TEAM 8

/* 32-bit registers of accumulators, operands and what is on its way that a lane keeps: with 160 RDNA 3 was seen to
 * spill, with 144 not. Of Intel's narrow subgroups, floats of accumulators a lane; with 40 they spill. */
#define MAX_REGISTERS 144
#define NARROW_FLOATS 24

/* Software drivers compile every copy of a loop that is unrolled: above that they go the way of devices with few
 * registers, so that tests run it. */
#define UNROLLED_DIM 32

/* What a pass is cut by. Channels are counted whole products at a time. */
typedef struct shape {
    const vka_matrix_shape *matrix;
    uint32_t width, block_rows;
    bool keys; /* the pass that owns keys has gradients of both vectors */
    uint32_t d, dv;
} shape;

static uint32_t operand_columns(const shape *s) {
    return vka__round_up(s->d, s->matrix->k) + vka__round_up(s->dv, s->matrix->k);
}

/* Of a subgroup of the `team` that shares a block. */
static uint32_t gradient_columns(const shape *s, uint32_t team) {
    uint32_t columns = vka__round_up(s->d, s->matrix->n * team);
    return (columns + (s->keys ? vka__round_up(s->dv, s->matrix->n * team) : 0)) / team;
}

/* VKA_LEAN_*. */
static uint32_t lean_flags(const vka_device_caps *caps, const shape *s, const vka__tile *t) {
    uint32_t threads = t->br / s->block_rows * t->tc * s->width;
    if (vka__has_few_registers(caps))
        return VKA_LEAN_STEPS | VKA_LEAN_QUERY_ROWS;
    if (caps->type == VKA_DEVICE_CPU && vka__max_u32(s->d, s->dv) > UNROLLED_DIM)
        return VKA_LEAN_STEPS | VKA_LEAN_QUERY_ROWS;
    return threads < t->bc ? VKA_LEAN_STEPS : 0;
}

/* Bytes of shared memory that backward_coopmat.comp declares. */
static uint32_t shared_bytes(const vka_device_caps *caps, const shape *s, const vka__tile *t) {
    uint32_t rows = 2 * operand_columns(s) + 32; /* both vectors of a row */
    uint32_t products = 2 * t->br * (4 * t->bc + 16), own = 32;
    uint32_t columns = gradient_columns(s, t->tc) * t->tc * (2 * t->bc + 16), states = s->keys ? 8 * t->bc : 0;
    if (lean_flags(caps, s, t) & VKA_LEAN_QUERY_ROWS)
        own = t->br * rows;
    return t->bc * rows + columns + states + products + 4 * t->br + 16 * (t->br / s->block_rows) + 16 + own;
}

static bool fits_registers(const vka_device_caps *caps, const shape *s, const vka__tile *t) {
    uint32_t sums = s->block_rows * gradient_columns(s, t->tc), products = t->rm * s->matrix->m * s->matrix->n;
    uint32_t lean = lean_flags(caps, s, t), subgroups = t->br / s->block_rows * t->tc;
    if (vka__has_few_registers(caps))
        return vka__matrix_fits_few_registers(caps, sums + products, false) &&
               (s->width >= 16 || sums + products <= NARROW_FLOATS * s->width);
    if (!(lean & VKA_LEAN_QUERY_ROWS))
        sums += s->block_rows * operand_columns(s) / 2;
    if (!(lean & VKA_LEAN_STEPS))
        sums += t->bc * operand_columns(s) / 2 / subgroups;
    return sums / s->width <= MAX_REGISTERS;
}

static bool fits(const vka_device_caps *caps, const shape *s, const vka__tile *t) {
    const vka_matrix_shape *m = s->matrix;
    if (s->block_rows % t->tc)
        return false;
    uint32_t lane_rows = s->block_rows / t->tc, lanes = lane_rows < s->width ? s->width / lane_rows : 1;
    return t->br / s->block_rows * t->tc * s->width <= caps->max_invocations && t->bc % (m->n * t->tc) == 0 &&
           t->bc % m->k == 0 && t->bc >= 4 * lanes && (lane_rows <= s->width || lane_rows % s->width == 0) &&
           fits_registers(caps, s, t) &&
           vka__matrix_compiles(caps, s->block_rows, operand_columns(s) + gradient_columns(s, t->tc)) &&
           shared_bytes(caps, s, t) <= caps->shared_bytes;
}

/* The fewest subgroups a block, as all of them read all operands, and the first of the groups that fits and is not half
 * empty. */
static bool choose(const vka_device_caps *caps, const shape *s, uint32_t rows, vka__tile *tile) {
    for (uint32_t team = 1; team <= MAX_TEAM; team *= 2)
        for (uint32_t i = 0; i < GROUPS; ++i) {
            *tile = (vka__tile){groups[i][0] * s->block_rows, groups[i][1], s->block_rows / s->matrix->m, team};
            if ((groups[i][0] == 1 || tile->br / 2 < rows) && fits(caps, s, tile))
                return true;
        }
    return false;
}

/* 16 rows or as many as a product has; software drivers compile no more than that. */
static uint32_t rows_of_block(const vka_device_caps *caps, const vka_matrix_shape *m) {
    uint32_t rows = m->m;
    while (rows < 16 && caps->type != VKA_DEVICE_CPU && !vka__has_few_registers(caps))
        rows *= 2;
    return rows;
}

/* A matrix of half the columns, for tiles of fewer partners and channels. NULL: there is none. */
static const vka_matrix_shape *narrower(const vka_device_caps *caps, const vka_matrix_shape *m) {
    for (uint32_t i = 0; i < caps->matrix_shape_count; ++i) {
        const vka_matrix_shape *s = &caps->matrix_shapes[i];
        if (s->dtype == m->dtype && s->m == m->m && s->k == m->k && s->n == m->n / 2 && s->n >= 8)
            return s;
    }
    return NULL;
}

static bool take_pass(vka__call *c, vka__backward_pass pass) {
    static const vka__kernel kernels[2][2] = {
        {VKA__attention_backward_queries_coopmat_f16, VKA__attention_backward_queries_coopmat_bf16},
        {VKA__attention_backward_keys_coopmat_f16, VKA__attention_backward_keys_coopmat_bf16}};
    const vka_device_caps *caps = c->caps;
    const vka__attention_problem *p = VKA__STATE(c, vka__attention_problem);
    const vka_matrix_shape *m = vka__matrix_shape(caps, p->q.dtype);
    bool keys = pass == VKA__PASS_KEYS;
    shape s = {m, vka__matrix_width(caps), rows_of_block(caps, m), keys, p->q.shape[3], p->v.shape[3]};
    vka__tile t;
    bool found = choose(caps, &s, keys ? p->k.shape[2] : p->q.shape[2], &t);
    if (!found && (m = narrower(caps, m))) {
        s.matrix = m;
        found = choose(caps, &s, keys ? p->k.shape[2] : p->q.shape[2], &t);
    }
    if (!found)
        return false;
    vka__backward_take(c, pass, kernels[keys][p->q.dtype == VKA_BF16], &t, t.br / s.block_rows * t.tc * s.width);
    uint32_t *spec = c->key[pass].spec;
    spec[VKA_SPEC_SUBGROUP] = s.width;
    spec[VKA_SPEC_M] = m->m;
    spec[VKA_SPEC_N] = m->n;
    spec[VKA_SPEC_K] = m->k;
    spec[VKA_SPEC_LOW_REGISTER] = lean_flags(caps, &s, &t);
    VKA__STATE(c, vka__backward_state)->plan.shared_bytes[pass] = shared_bytes(caps, &s, &t);
    return true;
}

const char *vka__backward_take_coopmat(vka__call *c) {
    const vka__backward_state *state = VKA__STATE(c, vka__backward_state);
    const vka__attention_problem *p = &state->problem;
    const vka__view *d_out = &c->view[VKA__BACKWARD_D_OUT];
    if (p->q.dtype == VKA_F32)
        return "only f16 and bf16 tensors have cooperative matrices";
    if (p->k.dtype != p->q.dtype || p->v.dtype != p->q.dtype || d_out->dtype != p->q.dtype)
        return "k, v and d_out must have the type of q for cooperative matrices";
    if (state->plan.options)
        return "it has causal attention and windows, but no other options";
    const char *why_not = vka__matrix_why_not(c->caps, p->q.dtype);
    if (why_not)
        return why_not;
    return take_pass(c, VKA__PASS_QUERIES) && take_pass(c, VKA__PASS_KEYS)
               ? NULL
               : "no tile of cooperative matrices fits this device's registers and shared memory";
}
