/* The paths of attention: what each needs, its tiles, and which one a problem takes.
 * SPDX-License-Identifier: MIT */
#include "plan/attention_paths.h"

#include <stdio.h>
#include <string.h>

#include <vkattn/attention.h>

uint32_t vka__group_of(const vka__attention_problem *p) {
    return p->q.shape[1] / p->k.shape[1];
}

/* Shapes of the tile kernel, largest first: query rows, keys of a step, rows of an invocation, invocations of a row.
 * Register tiles of 4 x 4 spill on no known GPU; a row's invocations times four channels make one channel chunk. */
static const struct tile_shape {
    uint32_t br, bc, rm, tc;
} tile_shapes[] = {
    {64, 32, 4, 8}, {32, 32, 4, 8}, {16, 32, 2, 8}, {8, 32, 1, 8}, {4, 32, 1, 16}, {4, 16, 1, 8}, {4, 8, 1, 4},
};

/* Bytes of shared memory that tile.comp declares for a shape: q, a chunk of k or v, probabilities, row reductions. */
static uint32_t tile_shared_bytes(const struct tile_shape *s, uint32_t d) {
    uint32_t d4 = vka__div_up(d, 4);
    return 16 * s->br * (d4 + 1) + 16 * s->bc * (s->tc + 1) + 16 * s->br * (s->bc / 4 + 1) + 4 * s->br * s->tc;
}

/* Sixteen vectors of four outputs an invocation, beside the scores, are what every known GPU has registers for. */
#define MAX_OUT_VECTORS 16

static bool tile_fits(const vka_device_caps *caps, const struct tile_shape *s, uint32_t d, uint32_t dv) {
    uint32_t out_vectors = s->rm * vka__div_up(vka__div_up(dv, 4), s->tc);
    return s->br / s->rm * s->tc <= caps->max_invocations && tile_shared_bytes(s, d) <= caps->shared_bytes &&
           out_vectors <= MAX_OUT_VECTORS;
}

static bool is_power_of_two(uint32_t x) {
    return x && !(x & (x - 1));
}

static uint32_t flags_of(const vka__attention_problem *p, bool pack) {
    uint32_t flags = 0;
    flags |= p->band ? VKA_FLAG_BAND : 0;
    flags |= p->lse.present ? VKA_FLAG_LSE : 0;
    flags |= pack ? VKA_FLAG_PACK : 0;
    flags |= vka__view_vec4(&p->q) && vka__view_vec4(&p->k) ? VKA_FLAG_VEC4_QK : 0;
    flags |= vka__view_vec4(&p->v) ? VKA_FLAG_VEC4_V : 0;
    flags |= vka__view_vec4(&p->out) ? VKA_FLAG_VEC4_OUT : 0;
    return flags;
}

/* Few queries: the query heads that share a key head share its tile too, and its keys are read once. */
static bool wants_pack(const vka__attention_problem *p, uint32_t full_tile_rows) {
    return vka__group_of(p) > 1 && p->q.shape[2] * 2 <= full_tile_rows;
}

/* The width that a workgroup of one subgroup is made for; 0: nobody knows how wide subgroups are here. Of a choice, 32
 * or what comes nearest: narrower ones share less, wider ones leave lanes idle. */
static uint32_t subgroup_width(const vka_device_caps *caps) {
    uint32_t width = caps->subgroup_size;
    if (caps->subgroup_min != caps->subgroup_max) {
        if (!caps->subgroup_size_control)
            return 0;
        width = vka__min_u32(vka__max_u32(32, caps->subgroup_min), caps->subgroup_max);
    }
    return width <= caps->max_invocations ? width : 0;
}

/* Mesa's software driver before 26.1 compiles every load into a loop over lanes, and takes minutes over large tiles. */
static bool is_slow_compiler(const vka_device_caps *caps) {
    enum { LLVMPIPE = 13 }; /* VK_DRIVER_ID_MESA_LLVMPIPE */
    return caps->driver_id == LLVMPIPE && caps->driver_version < (26u << 22 | 1u << 12);
}

/* Rows in registers: q and out of RM rows, in vectors of four. Four rows use each key four times; beyond 128 channels
 * they no longer fit the first-level cache, which is where software drivers keep registers. */
static void plan_row_tile(const vka_device_caps *caps, uint32_t d, bool broadcast, uint32_t *rm, uint32_t *bc) {
    if (is_slow_compiler(caps) || !broadcast) {
        *rm = 1;
        *bc = d <= 128 ? 2 : 1;
    } else {
        *rm = d <= 128 ? 4 : 2;
        *bc = d <= 128 ? 4 : 2;
    }
}

static bool plan_row(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan,
                     vka__refusal *refusal) {
    (void)refusal;
    uint32_t width = caps->subgroup_shuffle ? subgroup_width(caps) : 0, rm, bc;
    bool broadcast = width >= 4;
    uint32_t t = broadcast ? width : vka__min_u32(8, caps->max_invocations);
    plan_row_tile(caps, vka__max_u32(p->q.shape[3], p->v.shape[3]), broadcast, &rm, &bc);
    bool pack = wants_pack(p, t * rm);
    plan->rows = pack ? p->q.shape[2] * vka__group_of(p) : p->q.shape[2];
    while (rm > 1 && plan->rows <= t * rm / 2)
        rm /= 2;
    vka__kernel f32 = broadcast ? VKA__attention_row_f32_sg : VKA__attention_row_f32;
    plan->main.kernel = vka__kernel_for_storage(f32, p->q.dtype, caps);
    plan->main.spec[VKA_SPEC_GROUP_SIZE] = t;
    plan->main.spec[VKA_SPEC_BR] = t * rm;
    plan->main.spec[VKA_SPEC_BC] = bc;
    plan->main.spec[VKA_SPEC_RM] = rm;
    plan->main.spec[VKA_SPEC_TC] = 1;
    plan->main.spec[VKA_SPEC_SUBGROUP] = broadcast ? t : 0;
    plan->main.spec[VKA_SPEC_FLAGS] = flags_of(p, pack);
    return true;
}

static bool plan_tile(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan,
                      vka__refusal *refusal) {
    uint32_t d = p->q.shape[3], count = sizeof tile_shapes / sizeof *tile_shapes;
    bool pack = wants_pack(p, 16);
    uint32_t rows = pack ? p->q.shape[2] * vka__group_of(p) : p->q.shape[2];
    const struct tile_shape *best = NULL;
    for (uint32_t i = 0; i < count; ++i) {
        const struct tile_shape *s = &tile_shapes[i];
        if (!tile_fits(caps, s, d, p->v.shape[3]))
            continue;
        /* The smallest that holds all rows, or the largest there is; of equals the first. */
        if (!best || (s->br >= rows && s->br < best->br))
            best = s;
    }
    if (!best) {
        snprintf(refusal->reason, sizeof refusal->reason,
                 "is TILE, but no tile for head dimension %u fits %u bytes of shared memory and %u invocations", d,
                 caps->shared_bytes, caps->max_invocations);
        return false;
    }
    plan->rows = rows;
    plan->shared_bytes = tile_shared_bytes(best, d);
    plan->main.kernel = vka__kernel_for_storage(VKA__attention_tile_f32, p->q.dtype, caps);
    plan->main.spec[VKA_SPEC_GROUP_SIZE] = best->br / best->rm * best->tc;
    plan->main.spec[VKA_SPEC_BR] = best->br;
    plan->main.spec[VKA_SPEC_BC] = best->bc;
    plan->main.spec[VKA_SPEC_RM] = best->rm;
    plan->main.spec[VKA_SPEC_TC] = best->tc;
    plan->main.spec[VKA_SPEC_FLAGS] = flags_of(p, pack);
    return true;
}

/* ---- decode --------------------------------------------------------------------------------------------------- */

/* Rows of a subgroup at most: each costs every lane the arithmetic of its whole key. */
#define MAX_DECODE_ROWS 8

static uint32_t lanes_of_a_key(uint32_t d, uint32_t dv, uint32_t width) {
    uint32_t lanes = 1;
    while (lanes < width && lanes * 4 < vka__max_u32(d, dv))
        lanes *= 2;
    return lanes;
}

static bool plan_decode(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan,
                        vka__refusal *refusal) {
    uint32_t width = subgroup_width(caps), d = p->q.shape[3], dv = p->v.shape[3];
    if (width < 4 || !caps->subgroup_arithmetic || !caps->subgroup_shuffle) {
        snprintf(refusal->reason, sizeof refusal->reason,
                 "is DECODE, but this device has no subgroups of known width with arithmetic and shuffles");
        return false;
    }
    bool pack = vka__group_of(p) > 1 && p->q.shape[2] <= 16;
    plan->rows = pack ? p->q.shape[2] * vka__group_of(p) : p->q.shape[2];
    uint32_t lanes = lanes_of_a_key(d, dv, width);
    uint32_t vectors = vka__div_up(vka__div_up(d, 4), lanes) + vka__div_up(vka__div_up(dv, 4), lanes);
    /* Vectors of q and out that an invocation keeps beside the keys and values of a step. */
    uint32_t most = vka__min_u32(MAX_DECODE_ROWS, vka__max_u32(1, (caps->type == VKA_DEVICE_CPU ? 64 : 24) / vectors));
    uint32_t rm = vka__div_up(plan->rows, vka__div_up(plan->rows, most));
    plan->main.kernel = vka__kernel_for_storage(VKA__attention_decode_f32, p->q.dtype, caps);
    plan->main.spec[VKA_SPEC_GROUP_SIZE] = width;
    plan->main.spec[VKA_SPEC_SUBGROUP] = width;
    plan->main.spec[VKA_SPEC_BR] = rm;
    plan->main.spec[VKA_SPEC_RM] = rm;
    plan->main.spec[VKA_SPEC_BC] = vectors > 4 ? 2 : 4;
    plan->main.spec[VKA_SPEC_TC] = lanes;
    plan->main.spec[VKA_SPEC_FLAGS] = flags_of(p, pack);
    return true;
}

/* ---- cooperative matrices ------------------------------------------------------------------------------------- */

/* Workgroups of the matrix kernel, best first: blocks of rows, keys of a step. Four blocks share what is staged; 32
 * keys keep a workgroup's shared memory small enough for several of them on one core. */
static const struct matrix_tile {
    uint32_t blocks, bc;
} matrix_tiles[] = {{4, 32}, {2, 32}, {1, 32}, {4, 16}, {2, 16}, {1, 16}};

/* How a block of rows is shared: the products' shape, rows of a block, subgroups of a block, lanes of a subgroup. */
typedef struct matrix_block {
    vka_matrix_shape shape;
    uint32_t rows, subgroups, width;
} matrix_block;

/* 32-bit registers of q and out that a lane keeps, beside the scores, operands and what is on its way. Above that the
 * compilers of every vendor were seen to spill, or to leave one workgroup a core. */
#define MATRIX_REGISTERS 96

/* The largest product: the most arithmetic for one load of its operands. */
static const vka_matrix_shape *matrix_shape(const vka_device_caps *caps) {
    const vka_matrix_shape *best = NULL;
    for (uint32_t i = 0; i < caps->matrix_shape_count; ++i) {
        const vka_matrix_shape *s = &caps->matrix_shapes[i];
        bool usable = is_power_of_two(s->m) && is_power_of_two(s->n) && is_power_of_two(s->k) && s->m <= 32 &&
                      s->n >= 4 && s->n <= 32 && s->k >= 8 && s->k <= 32;
        if (usable && (!best || s->m * s->n * s->k > best->m * best->n * best->k))
            best = s;
    }
    return best;
}

/* Bytes of shared memory that coopmat.comp declares. */
static uint32_t matrix_shared_bytes(const matrix_block *b, const struct matrix_tile *t, uint32_t d, uint32_t dv) {
    uint32_t share = b->shape.n * b->subgroups, br = t->blocks * b->rows;
    uint32_t k_stride = vka__round_up(d, b->shape.k) / 4 + 2;
    uint32_t v_stride = vka__round_up(dv, share) / 4 + 2;
    return 8 * t->bc * (k_stride + v_stride) + br * (16 * (t->bc / 4 + 1) + 8 * (t->bc / 4 + 2) + 4) + 4 * t->blocks +
           4;
}

/* Intel's matrices are made for the narrowest subgroups, AMD's lose registers and speed there. */
static uint32_t matrix_width(const vka_device_caps *caps) {
    enum { INTEL = 0x8086 };
    if (caps->subgroup_min == caps->subgroup_max || !caps->subgroup_size_control)
        return caps->subgroup_min == caps->subgroup_max ? caps->subgroup_size : 0;
    return caps->vendor_id == INTEL ? caps->subgroup_min : caps->subgroup_size;
}

static uint32_t matrix_registers(const matrix_block *b, uint32_t d, uint32_t dv) {
    return b->rows * (dv / b->subgroups + d / 2) / b->width;
}

/* 16 rows a block, or as many as a product has; as few subgroups as its registers need, up to two, as each scores keys
 * of its own. Software drivers compile every product into hundreds of instructions: no more rows than one product. */
static matrix_block share_block(const vka_device_caps *caps, const vka_matrix_shape *s, uint32_t d, uint32_t dv) {
    matrix_block b = {.shape = *s, .rows = s->m, .subgroups = 1, .width = matrix_width(caps)};
    while (b.rows < 16 && caps->type != VKA_DEVICE_CPU && b.width)
        b.rows *= 2;
    if (b.width && matrix_registers(&b, d, dv) > MATRIX_REGISTERS && b.rows > s->m)
        b.rows /= 2;
    if (b.width && matrix_registers(&b, d, dv) > MATRIX_REGISTERS)
        b.subgroups = 2;
    return b;
}

static bool matrix_tile_fits(const vka_device_caps *caps, const matrix_block *b, const struct matrix_tile *t,
                             uint32_t d, uint32_t dv) {
    uint32_t soft_rows = b->rows / b->subgroups; /* of a subgroup, whose lanes take four scores at least each */
    uint32_t lanes = soft_rows < b->width ? b->width / soft_rows : 1;
    return t->blocks * b->subgroups * b->width <= caps->max_invocations && t->bc % (b->shape.n * b->subgroups) == 0 &&
           t->bc % b->shape.k == 0 && t->bc >= b->rows && t->bc >= 4 * lanes &&
           matrix_shared_bytes(b, t, d, dv) <= caps->shared_bytes;
}

static const struct matrix_tile *matrix_tile(const vka_device_caps *caps, const matrix_block *b, uint32_t rows,
                                             uint32_t d, uint32_t dv) {
    const struct matrix_tile *best = NULL;
    for (uint32_t i = 0; i < sizeof matrix_tiles / sizeof *matrix_tiles; ++i) {
        const struct matrix_tile *t = &matrix_tiles[i];
        bool smaller = best && t->bc == best->bc && t->blocks * b->rows >= rows;
        if ((!best || smaller) && matrix_tile_fits(caps, b, t, d, dv))
            best = t;
    }
    return best;
}

static const char *why_no_matrices(const vka_device_caps *caps, const vka__attention_problem *p) {
    if (p->q.dtype != VKA_F16)
        return "only f16 tensors have cooperative matrices";
    if (!matrix_shape(caps) || !caps->f16_storage)
        return "this device has no cooperative matrices that sum products of f16 in f32";
    if (matrix_width(caps) < 4 || !caps->subgroup_arithmetic || !caps->subgroup_shuffle)
        return "this device has no subgroups of known width with arithmetic and shuffles";
    return NULL;
}

static bool plan_coopmat(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan,
                         vka__refusal *refusal) {
    const char *why = why_no_matrices(caps, p);
    uint32_t d = p->q.shape[3], dv = p->v.shape[3], *spec = plan->main.spec;
    if (why) {
        snprintf(refusal->reason, sizeof refusal->reason, "is COOPMAT, but %s", why);
        return false;
    }
    matrix_block b = share_block(caps, matrix_shape(caps), d, dv);
    bool pack = wants_pack(p, 32);
    plan->rows = pack ? p->q.shape[2] * vka__group_of(p) : p->q.shape[2];
    const struct matrix_tile *t = matrix_tile(caps, &b, plan->rows, d, dv);
    if (!t) {
        snprintf(refusal->reason, sizeof refusal->reason,
                 "is COOPMAT, but no tile for head dimensions %u and %u fits %u bytes of shared memory", d, dv,
                 caps->shared_bytes);
        return false;
    }
    plan->shared_bytes = matrix_shared_bytes(&b, t, d, dv);
    plan->main.kernel = VKA__attention_coopmat_f16;
    spec[VKA_SPEC_GROUP_SIZE] = t->blocks * b.subgroups * b.width;
    spec[VKA_SPEC_SUBGROUP] = b.width;
    spec[VKA_SPEC_BR] = t->blocks * b.rows;
    spec[VKA_SPEC_BC] = t->bc;
    spec[VKA_SPEC_RM] = b.rows / b.shape.m;
    spec[VKA_SPEC_TC] = b.subgroups;
    spec[VKA_SPEC_M] = b.shape.m;
    spec[VKA_SPEC_N] = b.shape.n;
    spec[VKA_SPEC_K] = b.shape.k;
    spec[VKA_SPEC_FLAGS] = flags_of(p, pack);
    return true;
}

/* ---- matrices of a tile's rows --------------------------------------------------------------------------------- */

/* Who holds the matrices: a workgroup where it can, else a subgroup. */
typedef struct matrix2_holder {
    vka__kernel kernel;
    vka_matrix_shape grain;
    uint32_t threads, br, bc;
    uint32_t shared; /* bytes left */
} matrix2_holder;

static bool choose_holder(const vka_device_caps *caps, matrix2_holder *h) {
    if (caps->matrix_workgroup_grain.m) {
        *h = (matrix2_holder){VKA__attention_coopmat2_f16,
                              caps->matrix_workgroup_grain,
                              caps->matrix_workgroup_size,
                              64,
                              64,
                              caps->shared_bytes - vka__min_u32(caps->matrix_reserved_bytes, caps->shared_bytes)};
        return true;
    }
    /* A software driver compiles every element's operation: small matrices. */
    bool cpu = caps->type == VKA_DEVICE_CPU;
    *h = (matrix2_holder){VKA__attention_coopmat2_f16_sg,
                          caps->matrix_grain,
                          matrix_width(caps),
                          cpu ? 8 : 16,
                          cpu ? 16 : 32,
                          caps->shared_bytes};
    return h->grain.m && h->threads;
}

static uint32_t matrix2_shared_bytes(const matrix2_holder *h, uint32_t d, uint32_t dv) {
    uint32_t k_stride = vka__round_up(d, h->grain.k) / 4 + 2, v_stride = vka__round_up(dv, h->grain.n) / 4 + 2;
    bool staged = h->kernel == VKA__attention_coopmat2_f16_sg;
    return 8 * vka__max_u32(h->bc, h->br) * k_stride + (staged ? 8 * h->bc * v_stride : 0) + 4;
}

static bool plan_coopmat2(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan,
                          vka__refusal *refusal) {
    matrix2_holder h;
    uint32_t d = p->q.shape[3], dv = p->v.shape[3], *spec = plan->main.spec;
    const char *why = p->q.dtype != VKA_F16 ? "only f16 tensors have cooperative matrices"
                      : !caps->matrix_operations || !choose_holder(caps, &h)
                          ? "this device has no matrices of any size with reductions"
                          : NULL;
    if (!why) {
        h.br = vka__round_up(h.br, h.grain.m);
        h.bc = vka__round_up(vka__round_up(h.bc, h.grain.n), h.grain.k);
        while (matrix2_shared_bytes(&h, d, dv) > h.shared && h.bc % (2 * h.grain.n) == 0 && h.bc % (2 * h.grain.k) == 0)
            h.bc /= 2;
        if (matrix2_shared_bytes(&h, d, dv) > h.shared || h.threads > caps->max_invocations)
            why = "no tile of this head dimension fits the shared memory";
    }
    if (why) {
        snprintf(refusal->reason, sizeof refusal->reason, "is COOPMAT2, but %s", why);
        return false;
    }
    bool pack = wants_pack(p, h.br);
    plan->rows = pack ? p->q.shape[2] * vka__group_of(p) : p->q.shape[2];
    plan->shared_bytes = matrix2_shared_bytes(&h, d, dv);
    plan->main.kernel = h.kernel;
    spec[VKA_SPEC_GROUP_SIZE] = h.threads;
    spec[VKA_SPEC_SUBGROUP] = h.kernel == VKA__attention_coopmat2_f16_sg ? h.threads : 0;
    spec[VKA_SPEC_BR] = h.br;
    spec[VKA_SPEC_BC] = h.bc;
    spec[VKA_SPEC_RM] = spec[VKA_SPEC_TC] = 1;
    spec[VKA_SPEC_M] = h.grain.m;
    spec[VKA_SPEC_N] = h.grain.n;
    spec[VKA_SPEC_K] = h.grain.k;
    spec[VKA_SPEC_FLAGS] = flags_of(p, pack);
    return true;
}

/* ---- choice --------------------------------------------------------------------------------------------------- */

typedef bool (*plan_function)(const vka_device_caps *, const vka__attention_problem *, vka__attention_plan *,
                              vka__refusal *);

static const struct path {
    const char *name;
    plan_function plan;
} paths[] = {
    [VKA_PATH_ROW] = {"row", plan_row},
    [VKA_PATH_TILE] = {"tile", plan_tile},
    [VKA_PATH_DECODE] = {"decode", plan_decode},
    [VKA_PATH_COOPMAT] = {"coopmat", plan_coopmat},
    [VKA_PATH_COOPMAT2] = {"coopmat2", plan_coopmat2},
};

const char *vka__path_name(uint32_t path) {
    return paths[path].name;
}

static bool try_path(const vka_device_caps *caps, const vka__attention_problem *p, uint32_t path, const char *why,
                     vka__attention_plan *plan, vka__refusal *refusal) {
    if (!paths[path].plan(caps, p, plan, refusal)) {
        memset(plan, 0, sizeof *plan);
        return false;
    }
    plan->path = path;
    plan->why = why;
    return true;
}

bool vka__choose_path(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan,
                      vka__refusal *refusal) {
    bool cpu = caps->type == VKA_DEVICE_CPU;
    refusal->field = "path";
    if (p->path)
        return try_path(caps, p, p->path, "the description asks for it", plan, refusal);
    uint32_t rows = p->q.shape[2] * vka__group_of(p);
    if (rows <= (cpu ? 4 : MAX_DECODE_ROWS) &&
        try_path(caps, p, VKA_PATH_DECODE, "few query rows: the lanes of a subgroup share each key", plan, refusal))
        return true;
    if (cpu)
        return try_path(caps, p, VKA_PATH_ROW, "software driver: uniform loads, no barriers", plan, refusal);
    if (caps->matrix_workgroup_grain.m &&
        try_path(caps, p, VKA_PATH_COOPMAT2, "f16 and matrices of a workgroup", plan, refusal))
        return true;
    if (try_path(caps, p, VKA_PATH_COOPMAT, "f16 and cooperative matrices", plan, refusal))
        return true;
    return try_path(caps, p, VKA_PATH_TILE, "GPU: keys staged in shared memory", plan, refusal) ||
           try_path(caps, p, VKA_PATH_ROW, "no tile fits this device's shared memory", plan, refusal);
}
