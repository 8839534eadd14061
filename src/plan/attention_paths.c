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
    return try_path(caps, p, VKA_PATH_TILE, "GPU: keys staged in shared memory", plan, refusal) ||
           try_path(caps, p, VKA_PATH_ROW, "no tile fits this device's shared memory", plan, refusal);
}
