/* Plans for devices that are not here: whatever the problem, every dispatch keeps to the device's limits, sees all of
 * its tensors, and together they do every piece of work exactly once.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/attention.h>
#include <vkattn/norm.h>

#include "plan/pattern.h"
#include "plan/plan.h"
#include "reference.h"
#include "support/tensor.h"

/* ---- devices ------------------------------------------------------------------------------------------------- */

typedef struct device {
    const char *name;
    vka_device_caps caps;
} device;

#define CAPS(type_, subgroup, least, most, shared, invocations, range, align, f16)                                     \
    .type = type_, .subgroup_size = subgroup, .subgroup_min = least, .subgroup_max = most, .shared_bytes = shared,     \
    .max_invocations = invocations, .max_groups = {65535, 65535, 65535}, .storage_range = range,                       \
    .storage_buffers = 64, .storage_align = align, .memory_bytes = UINT64_C(1) << 32,                                  \
    .subgroup_arithmetic = subgroup > 1, .subgroup_shuffle = subgroup > 1, .subgroup_size_control = most > least,      \
    .f16_storage = f16, .f16_arithmetic = f16
#define MIB (UINT64_C(1) << 20)
#define F16(m, n, k)                                                                                                   \
    { m, n, k, VKA_F16 }
#define BF16(m, n, k)                                                                                                  \
    { m, n, k, VKA_BF16 }
#define MATRICES(...)                                                                                                  \
    .matrix_shapes = {__VA_ARGS__},                                                                                    \
    .matrix_shape_count = sizeof(vka_matrix_shape[]){__VA_ARGS__} / sizeof(vka_matrix_shape)

static const device devices[] = {
    {"software", {CAPS(VKA_DEVICE_CPU, 8, 8, 8, 32768, 1024, 128 * MIB, 16, true)}},
    {"swiftshader", {CAPS(VKA_DEVICE_CPU, 4, 4, 4, 32768, 256, 1024 * MIB, 256, false)}},
    {"powervr", {CAPS(VKA_DEVICE_INTEGRATED, 1, 1, 1, 16384, 128, 128 * MIB, 64, false)}},
    {"mali g52", {CAPS(VKA_DEVICE_INTEGRATED, 8, 8, 8, 32768, 256, 4096 * MIB - 1, 64, false)}},
    {"adreno 618", {CAPS(VKA_DEVICE_INTEGRATED, 64, 64, 128, 32768, 1024, 128 * MIB, 64, false)}},
    {"intel", {CAPS(VKA_DEVICE_INTEGRATED, 32, 8, 32, 49152, 1024, 2048 * MIB - 1, 64, true)}},
    {"nvidia", {CAPS(VKA_DEVICE_DISCRETE, 32, 32, 32, 49152, 1024, 4096 * MIB - 1, 16, true)}},
    {"kepler",
     {CAPS(VKA_DEVICE_DISCRETE, 32, 32, 32, 49152, 1024, 2048 * MIB - 1, 32, false), .vendor_id = 0x10de,
      .device_id = 0x1004, .api_version = 1u << 22 | 2u << 12}},
    {"amd", {CAPS(VKA_DEVICE_DISCRETE, 64, 32, 64, 65536, 1024, 4096 * MIB - 1, 4, true)}},
    {"smallest", {CAPS(VKA_DEVICE_OTHER, 1, 1, 1, 16384, 128, 65536, 256, false)}},
    {"nvidia with matrices",
     {CAPS(VKA_DEVICE_DISCRETE, 32, 32, 32, 49152, 1024, 4096 * MIB - 1, 16, true),
      MATRICES(F16(16, 16, 16), F16(16, 8, 16), F16(16, 8, 8))}},
    {"nvidia with matrices of workgroups",
     {CAPS(VKA_DEVICE_DISCRETE, 32, 32, 32, 49152, 1024, 4096 * MIB - 1, 16, true), MATRICES(F16(16, 16, 16)),
      .matrix_grain = F16(16, 16, 16), .matrix_workgroup_grain = F16(32, 16, 16), .matrix_workgroup_size = 128,
      .matrix_reserved_bytes = 4096, .matrix_operations = true, .matrix_block_loads = true}},
    {"rdna2", {CAPS(VKA_DEVICE_DISCRETE, 64, 32, 64, 65536, 1024, 4096 * MIB - 1, 4, true), .f16_mixed_dot = true}},
    {"rdna3",
     {CAPS(VKA_DEVICE_DISCRETE, 64, 32, 64, 65536, 1024, 4096 * MIB - 1, 4, true), MATRICES(F16(16, 16, 16)),
      .vendor_id = 0x1002}},
    {"rdna4",
     {CAPS(VKA_DEVICE_DISCRETE, 64, 32, 64, 65536, 1024, 4096 * MIB - 1, 4, true),
      MATRICES(F16(16, 16, 16), BF16(16, 16, 16)), .vendor_id = 0x1002}},
    {"arc",
     {CAPS(VKA_DEVICE_DISCRETE, 32, 8, 32, 49152, 1024, 4096 * MIB - 1, 64, true),
      MATRICES(F16(8, 8, 16), BF16(8, 8, 16)), .vendor_id = 0x8086}},
    {"xe2",
     {CAPS(VKA_DEVICE_INTEGRATED, 32, 16, 32, 49152, 1024, 4096 * MIB - 1, 64, true),
      MATRICES(BF16(8, 16, 16), F16(8, 16, 16)), .vendor_id = 0x8086}},
    {"software with matrices",
     {CAPS(VKA_DEVICE_CPU, 8, 8, 8, 32768, 1024, 128 * MIB, 16, true), MATRICES(F16(8, 8, 8))}},
    {"adreno 830",
     {CAPS(VKA_DEVICE_INTEGRATED, 64, 64, 64, 32768, 1024, 128 * MIB, 64, true), MATRICES(F16(64, 16, 16))}},
    {"wide", {CAPS(VKA_DEVICE_VIRTUAL, 128, 128, 128, 16384, 128, 1 * MIB, 32, true)}},
};
#define DEVICES (sizeof devices / sizeof *devices)

/* ---- problems ------------------------------------------------------------------------------------------------ */

/* Blocks lie along the last dimension, at any even place. */
static vka__view view_of(ref_rng *rng, vka_dtype dtype, uint32_t b, uint32_t h, uint32_t n, uint32_t d) {
    static const char *const orders[] = {"0123", "0213", "2013", "0132"};
    uint32_t block = vka_dtype_block(dtype), size = vka_dtype_size(dtype);
    const char *order = orders[ref_rng_below(rng, block > 1 ? 3 : 4)];
    vka__view v = {.present = true, .dtype = dtype, .size = size, .block = block, .shape = {b, h, n, d}};
    uint64_t stride = 1;
    v.offset = (uint64_t)(block > 1 ? 2 : size) * ref_rng_below(rng, 300);
    for (int level = 3; level >= 0; level--) {
        int dim = order[level] - '0';
        v.stride[dim] = v.shape[dim] < 2 ? 0 : stride;
        stride = stride * (v.shape[dim] ? v.shape[dim] : 1) + (ref_rng_below(rng, 4) ? 0 : block);
    }
    return v;
}

static uint32_t one_of(ref_rng *rng, const uint32_t *list, size_t count) {
    return list[ref_rng_below(rng, (uint32_t)count)];
}
#define ONE_OF(rng, ...)                                                                                               \
    one_of(rng, (const uint32_t[]){__VA_ARGS__}, sizeof(const uint32_t[]){__VA_ARGS__} / sizeof(uint32_t))

static vka_dtype kv_type(ref_rng *rng, vka_dtype dtype, uint32_t dim) {
    const vka_dtype types[] = {VKA_F32, VKA_F16, VKA_BF16, VKA_I8, dim % 32 ? VKA_I8 : VKA_Q8_0};
    return ref_rng_below(rng, 3) ? dtype : types[ref_rng_below(rng, 5)];
}

static vka__attention_problem random_attention(ref_rng *rng) {
    vka_dtype dtype = dtypes[ref_rng_below(rng, DTYPES)];
    vka_dtype out_dtype = ref_rng_below(rng, 3) ? dtype : dtypes[ref_rng_below(rng, DTYPES)];
    uint32_t b = ONE_OF(rng, 1, 1, 2, 3), kv = ONE_OF(rng, 1, 2, 8), group = ONE_OF(rng, 1, 1, 2, 3, 8);
    uint32_t d = ONE_OF(rng, 1, 8, 40, 59, 64, 80, 96, 111, 128, 192, 256, 320, 576);
    uint32_t dv = ref_rng_below(rng, 3) ? vka__min_u32(d, 512) : ONE_OF(rng, 64, 512);
    uint32_t nq = ONE_OF(rng, 1, 2, 3, 17, 64, 113, 1023, 4096, 100000), nk = ONE_OF(rng, 0, 1, 63, 239, 1024, 100000);
    vka__attention_problem p = {.q = view_of(rng, dtype, b, kv * group, nq, d),
                                .k = view_of(rng, kv_type(rng, dtype, d), b, kv, nk, d),
                                .v = view_of(rng, kv_type(rng, dtype, dv), b, kv, nk, dv),
                                .out = view_of(rng, out_dtype, b, kv * group, nq, dv),
                                .scale = 0.125f,
                                .path = ONE_OF(rng, VKA_PATH_AUTO, VKA_PATH_AUTO, VKA_PATH_ROW, VKA_PATH_TILE,
                                               VKA_PATH_DECODE, VKA_PATH_COOPMAT, VKA_PATH_COOPMAT2, VKA_PATH_DOT),
                                .splits = ONE_OF(rng, 0, 0, 1, 2, 7, 64)};
    if (ref_rng_below(rng, 2)) {
        p.lse = view_of(rng, VKA_F32, b, kv * group, nq, 1);
    }
    p.band = ref_rng_below(rng, 2);
    p.band_lo = p.band ? -(int32_t)ref_rng_below(rng, 300) : -(1 << 29);
    p.band_hi = p.band ? (int32_t)ref_rng_below(rng, 300) : 1 << 29;
    vka__attention_sizes(&p);
    return p;
}

/* ---- options ---- */

/* Lengths or offsets of either side, or none: with offsets, a batch of 1 has all sequences. */
static void draw_lists(ref_rng *rng, vka__attention_problem *p) {
    uint32_t kinds[] = {ref_rng_below(rng, 5), p->pages.present ? ref_rng_below(rng, 2) : ref_rng_below(rng, 5)};
    static const uint32_t flags[2][3] = {{0, VKA_FLAG_Q_LENGTHS, VKA_FLAG_Q_OFFSETS},
                                         {0, VKA_FLAG_KV_LENGTHS, VKA_FLAG_KV_OFFSETS}};
    vka__view *lists[] = {&p->q_list, &p->kv_list};
    for (int side = 0; side < 2; side++) {
        uint32_t kind = kinds[side] > 2 ? 0 : kinds[side];
        vka__view *packed[] = {side ? &p->k : &p->q, side ? &p->v : &p->out, side ? &p->k : &p->lse};
        for (int i = 0; i < 3 && kind == 2; i++) {
            packed[i]->shape[0] = packed[i]->present ? 1 : 0;
            packed[i]->stride[0] = 0;
        }
        if (kind) {
            *lists[side] = view_of(rng, VKA_I32, 1, 1, 1, p->batch + kind - 1);
            p->options |= flags[side][kind];
        }
    }
    if (p->q_list.present || p->kv_list.present) {
        p->device_lengths = ref_rng_below(rng, 2);
        p->options |= p->band && ref_rng_below(rng, 2) ? VKA_FLAG_OWN_DIAGONAL : 0;
        p->q_len = vka__max_u32(1, p->q_len / (p->q_list.present ? ONE_OF(rng, 1, 1, 2) : 1));
    }
}

/* Keys and values become pages, of which there are more than the table has. */
static void draw_pages(ref_rng *rng, vka__attention_problem *p) {
    uint32_t page = ONE_OF(rng, 8, 16, 256), columns = vka__div_up(vka__max_u32(p->kv_len, 1), page);
    uint32_t pages = p->batch * columns + ref_rng_below(rng, 9), heads = p->k.shape[1];
    p->k = view_of(rng, p->k.dtype, pages, heads, page, p->k.shape[3]);
    p->v = view_of(rng, p->v.dtype, pages, heads, page, p->v.shape[3]);
    p->pages = view_of(rng, VKA_I32, 1, 1, p->batch, columns);
    p->kv_len = columns * page;
}

static void draw_mask(ref_rng *rng, vka__attention_problem *p) {
    static const vka_dtype types[] = {VKA_F32, VKA_F16, VKA_BF16, VKA_U8};
    uint32_t shape[] = {p->batch, p->q.shape[1], p->q_len, p->kv_len};
    for (int i = 0; i < 4; i++) {
        shape[i] = ref_rng_below(rng, 3) ? shape[i] : 1;
    }
    p->mask = view_of(rng, types[ref_rng_below(rng, 4)], shape[0], shape[1], shape[2], shape[3]);
}

/* Results and per-head tensors, which follow the shapes that lists and pages left. */
static void draw_tensors(ref_rng *rng, vka__attention_problem *p) {
    uint32_t heads = p->q.shape[1];
    if (ref_rng_below(rng, 3) == 0) {
        draw_mask(rng, p);
    }
    if (ref_rng_below(rng, 4) == 0) {
        p->relative = view_of(rng, VKA_F32, 1, 1, ref_rng_below(rng, 2) ? heads : 1, 1 + ref_rng_below(rng, 200));
    }
    if (ref_rng_below(rng, 4) == 0) {
        p->alibi = view_of(rng, VKA_F32, 1, 1, 1, heads);
    }
    if (ref_rng_below(rng, 4) == 0 && !(p->options & VKA_FLAG_HARD)) {
        p->sinks = view_of(rng, VKA_F32, 1, 1, 1, heads);
    }
    if (ref_rng_below(rng, 4) == 0) {
        p->stats = view_of(rng, VKA_F32, p->q.shape[0], heads, p->q.shape[2], 2);
    }
    if (ref_rng_below(rng, 4) == 0) {
        uint32_t stages = p->lse.present && !(p->options & VKA_FLAG_HARD) ? 4 : 3;
        p->scores = view_of(rng, dtypes[ref_rng_below(rng, DTYPES)], p->batch, heads, p->q_len, p->kv_len);
        p->score_stage = ref_rng_below(rng, stages);
    }
}

/* The scales that i8 needs. */
static void add_scales(ref_rng *rng, vka__attention_problem *p) {
    const vka__view *tensors[] = {&p->k, &p->v};
    vka__view *scales[] = {&p->k_scale, &p->v_scale};
    for (int i = 0; i < 2; i++) {
        const uint32_t *shape = tensors[i]->shape;
        if (tensors[i]->dtype == VKA_I8) {
            *scales[i] = view_of(rng, VKA_F32, shape[0], shape[1], shape[2], 1);
        }
    }
}

/* Some options, or none but what its types need. */
static vka__attention_problem random_problem(ref_rng *rng, bool options) {
    vka__attention_problem p = random_attention(rng);
    if (options) {
        static const uint32_t selections[] = {0, 0, VKA_FLAG_DROPOUT, VKA_FLAG_HARD, VKA_FLAG_HARD | VKA_FLAG_SAMPLE};
        p.options |= selections[ref_rng_below(rng, 5)];
        p.softcap = ref_rng_below(rng, 4) ? 0 : 30;
        p.options |= p.softcap > 0 ? VKA_FLAG_SOFTCAP : 0;
        if (ref_rng_below(rng, 3) == 0) {
            draw_pages(rng, &p);
        }
        draw_lists(rng, &p);
        draw_tensors(rng, &p);
    }
    add_scales(rng, &p);
    return p;
}

/* ---- what holds for every plan ------------------------------------------------------------------------------- */

static void check_key(const device *d, const vka__pipeline_key *key, uint32_t shared) {
    const char *name = vka__kernel_name((vka__kernel)key->kernel);
    cr_assert_leq(key->spec[VKA_SPEC_GROUP_SIZE], d->caps.max_invocations, "%s: %s", d->name, name);
    cr_assert_gt(key->spec[VKA_SPEC_GROUP_SIZE], 0);
    cr_assert_leq(shared, d->caps.shared_bytes, "%s: %s", d->name, name);
    cr_assert(!strstr(name, "_sg") || d->caps.subgroup_arithmetic, "%s: %s", d->name, name);
    cr_assert(!strstr(name, "decode") || d->caps.subgroup_shuffle, "%s: %s", d->name, name);
    if (key->spec[VKA_SPEC_SUBGROUP]) { /* made for a width: it is the only one, or can be asked for */
        bool matrices = strstr(name, "coopmat");
        cr_assert(matrices || key->spec[VKA_SPEC_GROUP_SIZE] == key->spec[VKA_SPEC_SUBGROUP], "%s: %s", d->name, name);
        cr_assert(d->caps.subgroup_size_control || d->caps.subgroup_min == d->caps.subgroup_max);
        cr_assert_geq(key->spec[VKA_SPEC_SUBGROUP], d->caps.subgroup_min);
        cr_assert_leq(key->spec[VKA_SPEC_SUBGROUP], d->caps.subgroup_max);
    }
}

/* Kernels of one type of storage. */
static void check_storage(const device *d, const vka__pipeline_key *key, vka_dtype dtype) {
    const char *name = vka__kernel_name((vka__kernel)key->kernel);
    char type[8];
    snprintf(type, sizeof type, "_%s", dtype_name(dtype));
    bool packed = strstr(name, "_packed");
    cr_assert(strstr(name, type), "%s: %s for%s", d->name, name, type);
    cr_assert_eq(packed, dtype == VKA_F16 && !d->caps.f16_storage, "%s: %s", d->name, name);
}

/* What coopmat.comp divides must come out even, and its shape be one that the device lists. */
static void check_matrices(const device *d, vka_dtype dtype, const vka__attention_plan *plan) {
    const uint32_t *spec = plan->main.spec, m = spec[VKA_SPEC_M], n = spec[VKA_SPEC_N], k = spec[VKA_SPEC_K];
    uint32_t rows = spec[VKA_SPEC_RM] * m, members = spec[VKA_SPEC_TC], width = spec[VKA_SPEC_SUBGROUP];
    uint32_t bc = spec[VKA_SPEC_BC], soft = rows / members, lanes = soft < width ? width / soft : 1;
    bool listed = false;
    for (uint32_t i = 0; i < d->caps.matrix_shape_count; i++) {
        const vka_matrix_shape *s = &d->caps.matrix_shapes[i];
        listed = listed || (s->m == m && s->n == n && s->k == k && s->dtype == dtype);
    }
    cr_assert(listed, "%s: %ux%ux%u", d->name, m, n, k);
    cr_assert_eq(spec[VKA_SPEC_BR] % rows, 0);
    cr_assert_eq(spec[VKA_SPEC_GROUP_SIZE], spec[VKA_SPEC_BR] / rows * members * width);
    cr_assert(rows % members == 0 && bc % (n * members) == 0 && bc % k == 0 && bc >= rows && bc % rows == 0);
    cr_assert(soft < width ? width % soft == 0 : soft % width == 0, "%s", d->name);
    cr_assert(bc % (4 * lanes) == 0, "%s: %u keys for %u lanes", d->name, bc, lanes);
}

static void check_dispatch(const device *d, const vka__dispatch *x) {
    for (int i = 0; i < 3; i++) {
        cr_assert(x->groups[i] >= 1 && x->groups[i] <= d->caps.max_groups[i], "%s: %u groups", d->name, x->groups[i]);
    }
    for (int i = 1; i < VKA_MAX_BINDINGS; i++) {
        const vka__binding *b = &x->binding[i];
        if (b->access != VKA__UNUSED) {
            cr_assert_eq(b->offset % d->caps.storage_align, 0, "%s: binding %d", d->name, i);
            cr_assert(b->range > 0 && b->range % 4 == 0, "%s: binding %d has a range of %llu", d->name, i,
                      (unsigned long long)b->range);
            cr_assert_leq(b->range, d->caps.storage_range, "%s: binding %d", d->name, i);
        }
    }
}

/* The binding contains the part of the view that begins at `first` elements and spans `extent`. */
static void check_binding(const device *d, const vka__view *v, uint64_t first, uint64_t extent, const vka__binding *b,
                          uint32_t base, const char *name) {
    if (!v->present || !extent) {
        return;
    }
    uint64_t begin = v->offset + vka__view_bytes(v, first), unit = v->block > 1 ? 2 : v->size;
    cr_assert_neq(b->access, VKA__UNUSED, "%s: %s is not bound", d->name, name);
    cr_assert_eq(b->offset + base * unit, begin, "%s: %s begins at the wrong place", d->name, name);
    cr_assert_geq(b->offset + b->range, begin + vka__view_bytes(v, extent), "%s: %s is cut off", d->name, name);
}

/* ---- attention ----------------------------------------------------------------------------------------------- */

typedef enum stage { SIZE, MAIN, MERGE, SCORES } stage;
#define IN(stage) (1 << (stage))

/* The stages that need a tensor, and what a slice takes of it. */
typedef struct needed {
    const vka__view *view;
    int slot;
    const char *name;
    enum { ALL_HEADS, Q_HEADS, KV_HEADS } heads;
    int stages;
    vka__access access;
} needed;

#define MAX_NEEDED 17

static size_t needed_tensors(const vka__attention_problem *p, const vka__attention_plan *plan, needed list[]) {
    const int keys = IN(MAIN) | IN(SCORES), results = plan->splits > 1 ? IN(MERGE) : IN(MAIN);
    const int seen = p->score_stage == VKA_SCORES_PROBABILITIES ? IN(SCORES) : 0;
    const needed all[MAX_NEEDED] = {
        {&p->q, VKA_BIND_Q, "q", Q_HEADS, keys, VKA__READ},
        {&p->k, VKA_BIND_K, "k", KV_HEADS, keys, VKA__READ},
        {&p->v, VKA_BIND_V, "v", KV_HEADS, IN(MAIN), VKA__READ},
        {&p->out, VKA_BIND_OUT, "out", Q_HEADS, results, VKA__WRITE},
        {&p->lse, VKA_BIND_LSE, "lse", Q_HEADS, results, VKA__WRITE},
        {&p->lse, VKA_BIND_LSE, "lse of scores", Q_HEADS, seen, VKA__READ},
        {&p->stats, VKA_BIND_STATS, "stats", Q_HEADS, results, VKA__WRITE},
        {&p->scores, VKA_BIND_OUT, "scores", Q_HEADS, IN(SCORES), VKA__WRITE},
        {&p->mask, VKA_BIND_MASK, "mask", Q_HEADS, keys, VKA__READ},
        {&p->k_scale, VKA_BIND_K_SCALE, "k_scale", KV_HEADS, keys, VKA__READ},
        {&p->v_scale, VKA_BIND_V_SCALE, "v_scale", KV_HEADS, IN(MAIN), VKA__READ},
        {&p->relative, VKA_BIND_RELATIVE, "relative_bias", ALL_HEADS, keys, VKA__READ},
        {&p->alibi, VKA_BIND_ALIBI, "alibi_slopes", ALL_HEADS, keys, VKA__READ},
        {&p->sinks, VKA_BIND_SINKS, "sinks", ALL_HEADS, results, VKA__READ},
        {&p->q_list, VKA_BIND_Q_LIST, "q_list", ALL_HEADS, keys | IN(MERGE) | IN(SIZE), VKA__READ},
        {&p->kv_list, VKA_BIND_KV_LIST, "kv_list", ALL_HEADS, keys | IN(MERGE) | IN(SIZE), VKA__READ},
        {&p->pages, VKA_BIND_PAGES, "page_table", ALL_HEADS, keys, VKA__READ},
    };
    memcpy(list, all, sizeof all);
    return MAX_NEEDED;
}

/* Pages belong to every batch entry: no slice cuts them by batch. */
static void check_slice(const device *d, const vka__attention_problem *p, const vka__attention_plan *plan,
                        const vka__dispatch *x, uint64_t slice, stage what) {
    uint32_t group = p->q.shape[1] / p->k.shape[1], q_heads = plan->slice == VKA__SLICE_QUERY_HEAD ? 1 : group;
    uint32_t steps = p->q.shape[1] / q_heads;
    bool by_head = plan->slice >= VKA__SLICE_HEAD, by_batch = plan->slice != VKA__SLICE_ALL;
    uint64_t batch = by_head ? slice / steps : by_batch ? slice : 0, head = by_head ? slice % steps * q_heads : 0;
    cr_assert(what == SIZE || (x->push.b0 == batch && x->push.h0 == head), "%s: slice %llu begins at %u, %u", d->name,
              (unsigned long long)slice, x->push.b0, x->push.h0);
    needed list[MAX_NEEDED];
    for (size_t i = 0, count = needed_tensors(p, plan, list); i < count; i++) {
        const needed *t = &list[i];
        if (!t->view->present || !(t->stages & IN(what))) {
            continue;
        }
        bool key = t->heads == KV_HEADS, cut_batch = t->heads != ALL_HEADS && by_batch && !(key && p->pages.present);
        bool cut_head = t->heads != ALL_HEADS && by_head && t->view->shape[1] > 1;
        vka__view part = *t->view;
        part.shape[0] = cut_batch ? 1 : part.shape[0];
        part.shape[1] = !cut_head ? part.shape[1] : key ? 1 : q_heads;
        uint64_t first = (cut_batch ? batch * part.stride[0] : 0);
        first += cut_head ? (key ? head / group : head) * part.stride[1] : 0;
        uint64_t extent = vka__view_extent(&part, 0);
        check_binding(d, t->view, first, extent, &x->binding[t->slot], x->push.base[t->slot], t->name);
        cr_assert(!extent || x->binding[t->slot].access == t->access, "%s: access to %s", d->name, t->name);
        cr_assert(!extent || x->binding[t->slot].buffer == (t->view == &p->scores ? VKA__BUFFER_SCORES : 0));
    }
}

/* Kernels without options bind nothing that belongs to one, and every kernel knows the types. */
static void check_attention_key(const device *d, const vka__attention_problem *p, const vka__dispatch *x, stage what) {
    const char *name = vka__kernel_name((vka__kernel)x->key.kernel);
    uint32_t types = x->key.spec[VKA_SPEC_TYPES];
    for (int i = VKA_BIND_MASK; i < VKA_MAX_BINDINGS && (what == MAIN || what == MERGE); i++) {
        cr_assert(x->binding[i].access == VKA__UNUSED || strstr(name, "_rich"), "%s: %s binds %d", d->name, name, i);
    }
    if (what == MAIN || what == SCORES) {
        cr_assert_eq(types >> 4 * VKA_ROLE_Q & 15, p->q.dtype);
        cr_assert_eq(types >> 4 * VKA_ROLE_K & 15, p->k.dtype);
        cr_assert_eq(types >> 4 * VKA_ROLE_V & 15, p->v.dtype);
        cr_assert_eq(types >> 4 * VKA_ROLE_MASK & 15, p->mask.present ? p->mask.dtype : 0);
    }
    if (what != SIZE) {
        cr_assert_eq(types >> 4 * VKA_ROLE_OUT & 15, what == SCORES ? p->scores.dtype : p->out.dtype);
    }
}

/* The device computes sizes only where one dispatch has all the work. */
static void check_sized(const device *d, const vka__attention_problem *p, const vka__attention_plan *plan,
                        const vka__dispatch *x, stage what) {
    cr_assert_eq(x->sized, plan->sized && (what == MAIN || what == MERGE) ? what : 0, "%s", d->name);
    if (plan->sized) {
        cr_assert(p->device_lengths && plan->slices == 1 && plan->main_chunks == 1 && plan->merge_chunks <= 1, "%s",
                  d->name);
    }
    if (what == SIZE) {
        const vka__binding *sizes = &x->binding[VKA_BIND_WORKSPACE];
        cr_assert(sizes->buffer == VKA__BUFFER_SIZES && sizes->access == VKA__WRITE &&
                  sizes->range == VKA__SIZES_BYTES);
    } else if (plan->splits > 1) {
        cr_assert_leq(x->binding[VKA_BIND_WORKSPACE].range, plan->workspace_bytes);
    }
}

static stage stage_of(const vka__attention_plan *plan, uint64_t index) {
    const uint64_t chunks[] = {plan->sized, plan->main_chunks, plan->merge_chunks, plan->scores_chunks};
    stage what = SIZE;
    while (index >= chunks[what]) {
        index -= chunks[what++];
    }
    return what;
}

/* Each slice's grid is done once: the chunks of a dimension lie side by side, so their volumes must add up and no two
 * may begin at the same place. */
static void check_dispatches(const device *d, const vka__attention_problem *p, const vka__attention_plan *plan) {
    const vka__grid *grids[] = {NULL, &plan->main_grid, &plan->merge_grid, &plan->scores_grid};
    uint64_t per_slice = plan->sized + plan->main_chunks + plan->merge_chunks + plan->scores_chunks;
    uint64_t count = vka__attention_dispatches(plan), volume[4] = {0}, stride = count > 400 ? count / 200 : 1;
    cr_assert_eq(count, plan->slices * per_slice);
    for (uint64_t i = 0; i < count; i += stride) {
        vka__dispatch x;
        stage what = stage_of(plan, i % per_slice);
        vka__attention_dispatch(&d->caps, p, plan, i, &x);
        check_dispatch(d, &x);
        check_key(d, &x.key, what == MAIN ? plan->shared_bytes : 0);
        check_attention_key(d, p, &x, what);
        check_slice(d, p, plan, &x, i / per_slice, what);
        check_sized(d, p, plan, &x, what);
        const uint32_t first[] = {x.push.x0, x.push.y0, x.push.z0};
        for (int n = 0; n < 3 && what != SIZE; n++) {
            cr_assert_leq((uint64_t)first[n] + x.groups[n], grids[what]->groups[n], "%s", d->name);
        }
        volume[what] += (uint64_t)x.groups[0] * x.groups[1] * x.groups[2];
    }
    const bool wanted[] = {plan->sized, true, plan->splits > 1, p->scores.present && p->kv_len};
    for (int what = SIZE; what <= SCORES && stride == 1; what++) {
        const uint32_t *g = what == SIZE ? (const uint32_t[]){1, 1, 1} : grids[what]->groups;
        cr_assert_eq(volume[what], wanted[what] ? (uint64_t)plan->slices * g[0] * g[1] * g[2] : 0, "%s: stage %d",
                     d->name, what);
    }
}

/* The one reason to refuse a tensor: a single head of it that no binding can see, or of pages all of them. */
static bool head_too_large(const device *d, const vka__attention_problem *p) {
    const vka__attention_plan any = {.splits = 1};
    needed list[MAX_NEEDED];
    bool large = false;
    for (size_t i = 0, count = needed_tensors(p, &any, list); i < count; i++) {
        vka__view part = *list[i].view;
        bool whole = list[i].heads == ALL_HEADS, paged = list[i].heads == KV_HEADS && p->pages.present;
        part.shape[0] = whole || paged ? part.shape[0] : 1;
        part.shape[1] = whole ? part.shape[1] : 1;
        large = large || !vka__fits_binding(&d->caps, &part, vka__view_extent(&part, 0));
    }
    return large;
}

static void check_attention(const device *d, const vka__attention_problem *p) {
    vka__attention_plan plan;
    vka__refusal refusal = {0};
    vka_status status = vka__plan_attention(&d->caps, p, &plan, &refusal);
    if (status != VKA_OK) {
        cr_assert_eq(status, VKA_UNSUPPORTED);
        cr_assert(refusal.field && refusal.reason[0], "%s refuses without a reason", d->name);
        cr_assert(head_too_large(d, p) || (p->path > VKA_PATH_ROW && !strcmp(refusal.field, "path")),
                  "%s refuses H %u/%u N %ux%u D %u/%u: %s: %s", d->name, p->q.shape[1], p->k.shape[1], p->q.shape[2],
                  p->k.shape[2], p->q.shape[3], p->v.shape[3], refusal.field, refusal.reason);
        return;
    }
    if (p->path == VKA_PATH_AUTO && d->caps.type == VKA_DEVICE_CPU) {
        cr_assert(plan.path == VKA_PATH_ROW || plan.path == VKA_PATH_DECODE, "%s", d->name);
    }
    cr_assert(p->path == VKA_PATH_AUTO || plan.path == p->path);
    if (plan.path == VKA_PATH_COOPMAT) {
        check_matrices(d, p->q.dtype, &plan);
    }
    if (p->options & VKA_FLAG_HARD) { /* which the others can't do */
        cr_assert(plan.path == VKA_PATH_ROW || plan.path == VKA_PATH_DECODE, "%s", d->name);
    }
    cr_assert(plan.splits >= 1 && plan.splits <= VKA_MAX_SPLITS);
    cr_assert_eq(plan.workspace_bytes == 0, plan.splits == 1);
    cr_assert_leq(plan.workspace_bytes, d->caps.storage_range);
    check_dispatches(d, p, &plan);
}

static void attention_keeps_to_limits(bool options) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < 4000; i++) {
        vka__attention_problem p = random_problem(&rng, options);
        for (size_t d = 0; d < DEVICES; d++) {
            check_attention(&devices[d], &p);
        }
    }
}

Test(plan, attention_keeps_to_limits) {
    attention_keeps_to_limits(false);
}

Test(plan, attention_with_options_keeps_to_limits) {
    attention_keeps_to_limits(true);
}

/* The same device, with dispatches of a few groups. */
Test(plan, attention_in_small_dispatches) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < 1000; i++) {
        vka__attention_problem p = random_problem(&rng, i % 2);
        if (p.q.shape[2] > 4096) {
            continue;
        }
        for (size_t d = 0; d < DEVICES; d++) {
            device few = devices[d];
            few.caps.max_groups[0] = 1 + ref_rng_below(&rng, 9);
            few.caps.max_groups[1] = 1 + ref_rng_below(&rng, 5);
            few.caps.max_groups[2] = 1 + ref_rng_below(&rng, 3);
            check_attention(&few, &p);
        }
    }
}

/* Kernels with options bind more storage buffers than some devices have; others do not. */
Test(plan, few_storage_buffers) {
    ref_rng rng = ref_rng_seed(test_seed());
    uint32_t refused = 0, taken = 0;
    for (int i = 0; i < 2000; i++) {
        vka__attention_problem p = random_problem(&rng, i % 2);
        device d = devices[i % DEVICES];
        vka__attention_plan plan;
        vka__refusal refusal = {0};
        d.caps.storage_buffers = 8;
        if (vka__attention_is_rich(&p)) {
            cr_assert_eq(vka__plan_attention(&d.caps, &p, &plan, &refusal), VKA_UNSUPPORTED);
            cr_assert_str_eq(refusal.field, "desc");
            cr_assert(strstr(refusal.reason, "17 storage buffers"), "%s", refusal.reason);
            refused++;
        } else {
            check_attention(&d, &p);
            taken++;
        }
    }
    cr_assert(refused > 500 && taken > 500, "%u refused, %u taken", refused, taken);
}

/* Very many workgroups that may find nothing to do: the device computes how many there are, where it alone knows. */
Test(plan, sizes_by_the_device) {
    ref_rng rng = ref_rng_seed(test_seed());
    uint32_t sized = 0;
    for (int i = 0; i < 2000; i++) {
        vka__attention_problem p = random_problem(&rng, true);
        vka__attention_plan plan;
        vka__refusal refusal;
        if (vka__plan_attention(&devices[6].caps, &p, &plan, &refusal) == VKA_OK && plan.sized) {
            cr_assert(p.device_lengths && plan.slices == 1 && plan.main_chunks == 1);
            check_dispatches(&devices[6], &p, &plan);
            sized++;
        }
    }
    cr_assert_gt(sized, 20, "only %u", sized);
}

static vka__view dense(vka_dtype dtype, uint32_t b, uint32_t h, uint32_t n, uint32_t d) {
    vka__view v = {.present = true, .dtype = dtype, .size = vka_dtype_size(dtype), .block = 1, .shape = {b, h, n, d}};
    uint64_t stride = 1;
    for (int i = 3; i >= 0; stride *= v.shape[i--]) {
        v.stride[i] = v.shape[i] < 2 ? 0 : stride;
    }
    return v;
}

static vka__attention_problem plain(vka_dtype dtype, uint32_t heads, uint32_t kv, uint32_t nq, uint32_t nk,
                                    uint32_t d) {
    vka__attention_problem p = {.q = dense(dtype, 1, heads, nq, d),
                                .k = dense(dtype, 1, kv, nk, d),
                                .v = dense(dtype, 1, kv, nk, vka__min_u32(d, VKA_MAX_VALUE_DIM)),
                                .out = dense(dtype, 1, heads, nq, vka__min_u32(d, VKA_MAX_VALUE_DIM)),
                                .scale = 1};
    vka__attention_sizes(&p);
    return p;
}

static bool lists(const device *d, vka_dtype dtype) {
    for (uint32_t i = 0; i < d->caps.matrix_shape_count; i++) {
        if (d->caps.matrix_shapes[i].dtype == dtype) {
            return true;
        }
    }
    return false;
}

/* Every head dimension has a plan on every device, for a head that a binding can see. */
Test(plan, attention_never_without_kernel) {
    for (size_t i = 0; i < DEVICES; i++) {
        for (uint32_t d = 1; d <= VKA_MAX_HEAD_DIM; d++) {
            for (int t = 0; t < DTYPES; t++) {
                vka__attention_problem p = plain(dtypes[t], 4, 2, 25, 25, d);
                vka__attention_plan plan;
                vka__refusal refusal;
                cr_assert_eq(vka__plan_attention(&devices[i].caps, &p, &plan, &refusal), VKA_OK, "%s, D = %u",
                             devices[i].name, d);
                check_dispatches(&devices[i], &p, &plan);
                vka_device_type type = devices[i].caps.type;
                bool matrices =
                    lists(&devices[i], dtypes[t]) && (plan.path == VKA_PATH_COOPMAT || plan.path == VKA_PATH_COOPMAT2);
                bool pairs = devices[i].caps.f16_mixed_dot && plan.path == VKA_PATH_DOT;
                cr_assert(type == VKA_DEVICE_CPU ? plan.path == VKA_PATH_ROW
                                                 : matrices || pairs || plan.path == VKA_PATH_TILE,
                          "%s, D = %u: %s", devices[i].name, d, plan.why);
            }
        }
    }
}

/* Devices with few registers: no kernel that keeps whole keys in them, and one vector of outputs for two rows at most,
 * where others of the same vendor take the largest tile. */
Test(plan, few_registers_few_outputs) {
    vka__attention_plan plan;
    vka__refusal refusal;
    for (size_t i = 0; i < DEVICES; i++) {
        device d = devices[i];
        if (strcmp(d.name, "kepler")) {
            continue;
        }
        vka__attention_problem decode = plain(VKA_F32, 8, 2, 1, 4096, 128), p = plain(VKA_F32, 8, 8, 4096, 4096, 64);
        cr_assert_eq(vka__plan_attention(&d.caps, &decode, &plan, &refusal), VKA_OK);
        cr_assert_eq(plan.path, VKA_PATH_TILE);
        cr_assert_eq(vka__plan_attention(&d.caps, &p, &plan, &refusal), VKA_OK);
        cr_assert_eq(plan.main.spec[VKA_SPEC_RM], 2);
        cr_assert_eq(plan.main.spec[VKA_SPEC_TC], 16);
        d.caps.device_id = 0x1340;
        cr_assert_eq(vka__plan_attention(&d.caps, &p, &plan, &refusal), VKA_OK);
        cr_assert_eq(plan.main.spec[VKA_SPEC_RM], 4);
        cr_assert_eq(vka__plan_attention(&d.caps, &decode, &plan, &refusal), VKA_OK);
        cr_assert_eq(plan.path, VKA_PATH_DECODE);
    }
}

/* Pairs of f16 are for devices that have an instruction for them, and no matrices; anybody can ask for them. */
Test(plan, pairs_where_a_device_has_an_instruction) {
    for (size_t i = 0; i < DEVICES; i++) {
        const vka_device_caps *caps = &devices[i].caps;
        for (int t = 0; t < DTYPES; t++) {
            vka__attention_problem p = plain(dtypes[t], 4, 2, 50, 50, 64);
            vka__attention_plan plan;
            vka__refusal refusal = {0};
            bool f16 = dtypes[t] == VKA_F16, pairs = f16 && caps->f16_mixed_dot && !lists(&devices[i], VKA_F16);
            cr_assert_eq(vka__plan_attention(caps, &p, &plan, &refusal), VKA_OK);
            cr_assert_eq(plan.path == VKA_PATH_DOT, pairs, "%s", devices[i].name);
            p.path = VKA_PATH_DOT;
            cr_assert_eq(vka__plan_attention(caps, &p, &plan, &refusal), f16 ? VKA_OK : VKA_UNSUPPORTED);
            vka__kernel kernel = caps->f16_mixed_dot ? VKA__attention_dot_mixed : VKA__attention_dot;
            cr_assert(!f16 || plan.main.kernel == kernel, "%s", devices[i].name);
        }
    }
}

/* What is not f16 in one place is decoded on its way into a workgroup's matrices, or goes another way. */
Test(plan, blocks_are_decoded_where_a_device_can) {
    for (size_t i = 0; i < DEVICES; i++) {
        device d = devices[i];
        if (!d.caps.matrix_workgroup_grain.m) {
            continue;
        }
        vka__attention_problem p = plain(VKA_F16, 4, 2, 50, 64, 64), q8 = p;
        vka__attention_plan plan;
        vka__refusal refusal = {0};
        cr_assert_eq(vka__plan_attention(&d.caps, &p, &plan, &refusal), VKA_OK);
        cr_assert_eq(plan.main.kernel, VKA__attention_coopmat2);
        q8.k = q8.v = (vka__view){.dtype = VKA_Q8_0,
                                  .block = 32,
                                  .size = 34,
                                  .present = true,
                                  .shape = {1, 2, 64, 64},
                                  .stride = {64 * 64 * 2, 64 * 64, 64, 1}};
        cr_assert_eq(vka__plan_attention(&d.caps, &q8, &plan, &refusal), VKA_OK);
        cr_assert_eq(plan.main.kernel, VKA__attention_coopmat2_decode);
        check_dispatches(&d, &q8, &plan);
        d.caps.matrix_block_loads = false;
        cr_assert_eq(vka__plan_attention(&d.caps, &q8, &plan, &refusal), VKA_OK);
        cr_assert_eq(plan.main.kernel, VKA__attention_coopmat_f16);
    }
}

/* Matrices of one type promise none of another: without its own, a type takes the other paths, and asked for matrices
 * the refusal names it. */
Test(plan, matrices_are_of_a_type) {
    static const vka__kernel kernels[DTYPES] = {VKA__KERNEL_COUNT, VKA__attention_coopmat_f16,
                                                VKA__attention_coopmat_bf16};
    unsigned planned[DTYPES] = {0};
    for (size_t i = 0; i < DEVICES; i++) {
        for (int t = 0; t < DTYPES; t++) {
            vka__attention_problem p = plain(dtypes[t], 4, 2, 50, 50, 64);
            vka__attention_plan plan;
            vka__refusal refusal = {0};
            cr_assert_eq(vka__plan_attention(&devices[i].caps, &p, &plan, &refusal), VKA_OK);
            cr_assert(plan.path != VKA_PATH_COOPMAT || lists(&devices[i], dtypes[t]), "%s", devices[i].name);
            p.path = VKA_PATH_COOPMAT;
            if (vka__plan_attention(&devices[i].caps, &p, &plan, &refusal) == VKA_OK) {
                cr_assert(lists(&devices[i], dtypes[t]), "%s", devices[i].name);
                cr_assert_eq(plan.main.kernel, kernels[t]);
                planned[t]++;
            } else {
                cr_assert(!strcmp(refusal.field, "path") &&
                              strstr(refusal.reason, dtypes[t] == VKA_BF16 ? "bf16" : "f16"),
                          "%s: %s", devices[i].name, refusal.reason);
            }
        }
    }
    cr_assert(!planned[0] && planned[1] > planned[2] && planned[2] == 3);
}

/* Scratch grows with the rows, never with rows times keys. */
Test(plan, workspace_is_linear) {
    for (size_t i = 0; i < DEVICES; i++) {
        for (uint32_t n = 256; n <= 1u << 20; n *= 4) {
            for (uint32_t splits = 0; splits <= 64; splits += 32) {
                vka__attention_problem p = plain(VKA_F16, 8, 8, n, n, 64);
                vka__attention_plan plan;
                vka__refusal refusal;
                p.splits = splits;
                if (vka__plan_attention(&devices[i].caps, &p, &plan, &refusal) == VKA_OK) {
                    cr_assert_leq(plan.workspace_bytes, UINT64_C(8) * n * 64 * (64 + 2) * 4 + 256, "%s, N = %u",
                                  devices[i].name, n);
                }
            }
        }
    }
}

/* One query against many keys leaves a large GPU idle unless the keys are split. */
Test(plan, decode_is_split) {
    vka__attention_plan plan;
    vka__refusal refusal;
    vka__attention_problem p = plain(VKA_F16, 32, 8, 1, 32768, 128);
    const device *gpu = &devices[6];
    cr_assert_eq(vka__plan_attention(&gpu->caps, &p, &plan, &refusal), VKA_OK);
    cr_expect_gt(plan.splits, 4);
    cr_expect_leq((uint64_t)plan.main_grid.groups[1], 8, "query heads of one key head share a tile");
    p = plain(VKA_F16, 32, 32, 8192, 8192, 128);
    cr_assert_eq(vka__plan_attention(&gpu->caps, &p, &plan, &refusal), VKA_OK);
    cr_expect_eq(plan.splits, 1, "a full grid needs no splits");
}

/* ---- patterns ------------------------------------------------------------------------------------------------ */

/* A map of square tiles with so many live ones in a row, on average and at most. */
static vka__pattern_shape shape_of(uint32_t tokens, uint32_t tile, uint32_t mean, uint32_t longest) {
    vka__pattern_shape s = {.info = {.queries = tokens, .keys = tokens, .heads = 1}};
    s.info.query_tile = s.info.key_tile = tile;
    s.info.tile_rows = s.info.tile_columns = (tokens + tile - 1) / tile;
    s.info.longest_row = longest;
    s.info.live_tiles = (uint64_t)mean * s.info.tile_rows;
    s.tiles_at = s.info.tile_rows + 1;
    s.bits_at = s.tiles_at + 2 * (uint32_t)s.info.live_tiles;
    s.words = s.bits_at;
    return s;
}

static vka__attention_problem patterned(uint32_t tokens, const vka__pattern_shape *shape) {
    vka__attention_problem p = plain(VKA_F16, 8, 8, tokens, tokens, 64);
    p.pattern = shape;
    p.map = dense(VKA_I32, 1, 1, (uint32_t)shape->words, 1);
    return p;
}

static bool holds_a_head(const device *d, uint32_t tokens) {
    return d->caps.storage_range >= UINT64_C(2) * tokens * 64;
}

/* Kernels walk two of a map's rows of tiles at once, so that no tile of theirs may reach into a third. */
Test(plan, tiles_fit_the_map) {
    for (const device *d = devices; d < devices + DEVICES; d++) {
        for (uint32_t tile = 32; tile <= 128 && holds_a_head(d, 1000); tile *= 2) {
            vka__pattern_shape shape = shape_of(1000, tile, 3, 5);
            vka__attention_problem p = patterned(1000, &shape);
            vka__attention_plan plan;
            vka__refusal refusal = {0};
            vka_status status = vka__plan_attention(&d->caps, &p, &plan, &refusal);
            cr_assert_eq(status, VKA_OK, "%s: %s %s", d->name, refusal.field, refusal.reason);
            cr_assert_leq(plan.main.spec[VKA_SPEC_BR], tile, "%s", d->name);
            cr_assert_leq(plan.main.spec[VKA_SPEC_BC], tile, "%s", d->name);
            cr_assert_eq(1u << (plan.main.spec[VKA_SPEC_MAP] & 255), tile);
            cr_assert_eq(1u << (plan.main.spec[VKA_SPEC_MAP] >> 8), tile);
        }
    }
}

/* Global tokens' rows are 100 times as long as others: they are shared, the others are not, and dispatches are not made
 * for them. */
Test(plan, long_rows_are_shared) {
    vka__pattern_shape longformer = shape_of(65536, 64, 10, 1024), window = shape_of(65536, 64, 10, 10);
    vka__attention_problem p = patterned(65536, &longformer), even = patterned(65536, &window);
    for (const device *d = devices; d < devices + DEVICES; d++) {
        vka__attention_plan plan;
        vka__refusal refusal = {0};
        if (!holds_a_head(d, 65536)) {
            continue;
        }
        cr_assert_eq(vka__plan_attention(&d->caps, &p, &plan, &refusal), VKA_OK, "%s: %s", d->name, refusal.reason);
        cr_assert(d->caps.type != VKA_DEVICE_DISCRETE || plan.splits > 4, "%s: %u", d->name, plan.splits);
        cr_assert(plan.splits == 1 || plan.params.map_least > 10, "%s", d->name);
        cr_assert_leq(plan.main_chunks, 2, "%s: %llu", d->name, (unsigned long long)plan.main_chunks);
        cr_assert_eq(vka__plan_attention(&d->caps, &even, &plan, &refusal), VKA_OK);
        cr_assert_eq(plan.splits, 1, "%s: %u", d->name, plan.splits);
    }
}

/* 6 GiB of keys: no binding and no 32-bit offset sees them all, each head fits. */
Test(plan, more_than_four_gigabytes) {
    vka__attention_problem p = plain(VKA_F32, 48, 48, 64, 262144, 128);
    for (size_t i = 0; i < DEVICES; i++) {
        vka__attention_plan plan;
        vka__refusal refusal = {0};
        vka_status status = vka__plan_attention(&devices[i].caps, &p, &plan, &refusal);
        uint64_t head = UINT64_C(262144) * 128 * 4;
        if (head + 512 < devices[i].caps.storage_range) {
            cr_assert_eq(status, VKA_OK, "%s", devices[i].name);
            cr_assert_neq(plan.slice, VKA__SLICE_ALL);
            check_dispatches(&devices[i], &p, &plan);
        } else {
            cr_assert_eq(status, VKA_UNSUPPORTED);
            cr_assert_str_eq(refusal.field, "k");
        }
    }
}

/* ---- work of a dispatch -------------------------------------------------------------------------------------- */

static uint64_t dispatch_ops(const vka__attention_problem *p, const vka__attention_plan *plan, const vka__dispatch *x) {
    uint64_t keys = p->band ? (uint64_t)(p->band_hi - p->band_lo) + plan->main.spec[VKA_SPEC_BR] : p->k.shape[2];
    uint64_t groups = (uint64_t)x->groups[0] * x->groups[1] * x->groups[2];
    return 2 * groups * plan->main.spec[VKA_SPEC_BR] * keys / plan->splits * (p->q.shape[3] + p->v.shape[3]);
}

/* Every workgroup of every slice is in one dispatch, and each dispatch keeps to `ops`. Returns how many there are,
 * merges aside. */
static uint64_t check_work(const device *d, const vka__attention_problem *p, uint64_t ops) {
    vka__attention_plan plan;
    vka__refusal refusal = {0};
    cr_assert_eq(vka__plan_attention(&d->caps, p, &plan, &refusal), VKA_OK, "%s: %s", d->name, refusal.reason);
    const uint32_t *n = plan.main_grid.groups;
    size_t groups = (size_t)n[0] * n[1] * n[2];
    uint8_t *seen = calloc(groups * plan.slices, 1);
    cr_assert_not_null(seen);
    uint64_t count = vka__attention_dispatches(&plan), per_slice = plan.main_chunks + plan.merge_chunks;
    for (uint64_t i = 0; i < count; i++) {
        vka__dispatch x;
        vka__attention_dispatch(&d->caps, p, &plan, i, &x);
        check_dispatch(d, &x);
        if (i % per_slice >= plan.main_chunks) {
            continue;
        }
        cr_assert(dispatch_ops(p, &plan, &x) <= ops, "%s: %llu operations", d->name,
                  (unsigned long long)dispatch_ops(p, &plan, &x));
        for (uint32_t g = 0; g < x.groups[0] * x.groups[1] * x.groups[2]; g++) {
            uint32_t gx = x.push.x0 + g % x.groups[0], gy = x.push.y0 + g / x.groups[0] % x.groups[1];
            uint32_t gz = x.push.z0 + g / x.groups[0] / x.groups[1];
            cr_assert(gx < n[0] && gy < n[1] && gz < n[2], "%s", d->name);
            seen[i / per_slice * groups + ((size_t)gz * n[1] + gy) * n[0] + gx]++;
        }
    }
    for (size_t g = 0; g < groups * plan.slices; g++) {
        cr_assert_eq(seen[g], 1, "%s: workgroup %zu is done %d times", d->name, g, seen[g]);
    }
    free(seen);
    check_dispatches(d, p, &plan);
    return plan.slices * plan.main_chunks;
}

static vka__attention_problem batched(uint32_t batch, uint32_t heads, uint32_t n, uint32_t d) {
    vka__attention_problem p = plain(VKA_F16, heads, heads, n, n, d);
    vka__view *views[] = {&p.q, &p.k, &p.v, &p.out};
    for (int i = 0; i < 4; i++) {
        *views[i] = dense(VKA_F16, batch, heads, n, d);
    }
    vka__attention_sizes(&p);
    return p;
}

/* Half a second for a slow GPU of the class: batches are cut first, then heads, then the tiles of a head. */
Test(plan, long_attention_in_several_dispatches) {
    const uint64_t slow[] = {[VKA_DEVICE_INTEGRATED] = 150000000000, [VKA_DEVICE_DISCRETE] = 1000000000000};
    const vka__attention_problem problems[] = {
        batched(64, 4, 4096, 128), batched(1, 40, 16384, 128), batched(1, 1, 131072, 64),
        batched(3, 5, 65536, 64),  batched(1, 2, 262144, 59),
    };
    for (size_t i = 0; i < DEVICES; i++) {
        vka_device_type type = devices[i].caps.type;
        uint64_t ops = type == VKA_DEVICE_DISCRETE ? slow[VKA_DEVICE_DISCRETE] : slow[VKA_DEVICE_INTEGRATED];
        for (size_t n = 0; n < sizeof problems / sizeof *problems && devices[i].caps.storage_range > 64 * MIB; n++) {
            const vka__attention_problem *p = &problems[n];
            uint64_t pairs = (uint64_t)p->q.shape[0] * p->q.shape[1] * p->q.shape[2] * p->k.shape[2];
            uint64_t all = 2 * pairs * (p->q.shape[3] + p->v.shape[3]);
            if (type == VKA_DEVICE_CPU) {
                uint64_t count = check_work(&devices[i], p, UINT64_MAX);
                cr_expect(n != 2 || count == 1, "%s: nobody watches it", devices[i].name);
                continue;
            }
            uint64_t count = check_work(&devices[i], p, ops), slices = (uint64_t)p->q.shape[0] * p->q.shape[1];
            cr_expect(count >= all / ops && count <= 2 * all / ops + slices, "%s, problem %zu: %llu dispatches",
                      devices[i].name, n, (unsigned long long)count);
        }
    }
}

/* Splits are groups like any other; a window counts for what it sees. */
Test(plan, long_attention_split_or_windowed) {
    const device *gpu = &devices[5];
    vka__attention_problem p = batched(1, 2, 65536, 64);
    p.splits = 7;
    uint64_t count = check_work(gpu, &p, 150000000000);
    cr_expect(count >= 15 && count <= 30, "%llu dispatches", (unsigned long long)count);
    p = batched(1, 4, 1u << 18, 64);
    p.band = true;
    p.band_lo = -255;
    cr_expect_eq(check_work(gpu, &p, 150000000000), 1);
}

Test(plan, short_attention_in_one_dispatch) {
    for (size_t i = 0; i < DEVICES; i++) {
        if (devices[i].caps.storage_range < 128 * MIB) {
            continue;
        }
        vka__attention_problem p = batched(1, 8, 4096, 128);
        cr_expect_eq(check_work(&devices[i], &p, UINT64_MAX), 1, "%s", devices[i].name);
        p = batched(2, 12, 512, 64);
        cr_expect_eq(check_work(&devices[i], &p, UINT64_MAX), 1, "%s", devices[i].name);
    }
}

/* A single workgroup beyond the cap is a dispatch of its own. */
Test(plan, work_of_a_group_beyond_the_cap) {
    device d = {"integrated", {CAPS(VKA_DEVICE_INTEGRATED, 32, 32, 32, 49152, 1024, 4096 * MIB - 1, 64, true)}};
    vka__attention_problem p = plain(VKA_F16, 1, 1, 1000, 1u << 23, 200);
    vka__attention_plan plan;
    vka__refusal refusal;
    p.splits = 1;
    cr_assert_eq(vka__plan_attention(&d.caps, &p, &plan, &refusal), VKA_OK);
    cr_expect_eq(vka__attention_dispatches(&plan), plan.tiles);
    check_dispatches(&d, &p, &plan);
}

Test(plan, grid_cap) {
    static const struct {
        uint32_t groups[3], limit[3];
        uint64_t most;
        uint32_t capped[3];
    } cases[] = {
        {{10, 4, 3}, {100, 100, 100}, UINT64_MAX, {10, 4, 3}},
        {{10, 4, 3}, {100, 100, 100}, 120, {10, 4, 3}},
        {{10, 4, 3}, {100, 100, 100}, 119, {10, 4, 2}},
        {{10, 4, 3}, {100, 100, 100}, 79, {10, 4, 1}},
        {{10, 4, 3}, {100, 100, 100}, 39, {10, 2, 1}},
        {{10, 4, 3}, {100, 100, 100}, 19, {10, 1, 1}},
        {{10, 4, 3}, {100, 100, 100}, 9, {5, 1, 1}},
        {{10, 4, 3}, {100, 100, 100}, 1, {1, 1, 1}},
        {{10, 4, 3}, {100, 100, 100}, 0, {1, 1, 1}},
        {{10, 4, 3}, {7, 3, 2}, 42, {7, 3, 2}},
        {{10, 4, 3}, {7, 3, 2}, 41, {7, 3, 1}},
        {{UINT32_MAX, 1, 1}, {65535, 1, 1}, 1000, {1000, 1, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vka__grid grid;
        memcpy(grid.groups, cases[i].groups, sizeof grid.groups);
        memcpy(grid.limit, cases[i].limit, sizeof grid.limit);
        vka__grid_cap(&grid, cases[i].most);
        cr_expect(!memcmp(grid.limit, cases[i].capped, sizeof grid.limit), "case %zu: %u x %u x %u", i, grid.limit[0],
                  grid.limit[1], grid.limit[2]);
    }
}

/* ---- layer norm ---------------------------------------------------------------------------------------------- */

static vka__norm_problem random_norm(ref_rng *rng) {
    vka_dtype dtype = dtypes[ref_rng_below(rng, DTYPES)], affine = ref_rng_below(rng, 2) ? VKA_F32 : dtype;
    uint32_t a = ONE_OF(rng, 1, 1, 2, 5), b = ONE_OF(rng, 1, 3, 64), c = ONE_OF(rng, 1, 2, 77, 3000);
    uint32_t cols = ONE_OF(rng, 1, 2, 3, 7, 8, 31, 64, 127, 768, 1024, 4095, 5000, 65536);
    vka__norm_problem p = {.x = view_of(rng, dtype, a, b, c, cols),
                           .out = view_of(rng, dtype, a, b, c, cols),
                           .epsilon = 1e-5f,
                           .path = ref_rng_below(rng, 3)};
    p.weight = ref_rng_below(rng, 2) ? view_of(rng, affine, 1, 1, 1, cols) : (vka__view){0};
    p.bias = ref_rng_below(rng, 2) ? view_of(rng, affine, 1, 1, 1, cols) : (vka__view){0};
    p.residual = ref_rng_below(rng, 2) ? view_of(rng, dtype, a, b, c, cols) : (vka__view){0};
    p.sum = p.residual.present && ref_rng_below(rng, 2) ? view_of(rng, dtype, a, b, c, cols) : (vka__view){0};
    p.mean = ref_rng_below(rng, 2) ? view_of(rng, VKA_F32, a, b, c, 1) : (vka__view){0};
    p.inv_std = ref_rng_below(rng, 2) ? view_of(rng, VKA_F32, a, b, c, 1) : (vka__view){0};
    return p;
}

/* Box `index` of rows, as the plan cuts them: where it begins, and its size. */
static void norm_box(const vka__norm_problem *p, const vka__norm_plan *plan, uint64_t index, uint32_t begin[3],
                     uint32_t size[3]) {
    for (uint32_t dim = 3; dim-- > 0; index /= plan->parts[dim]) {
        begin[dim] = (uint32_t)(index % plan->parts[dim]) * plan->part[dim];
        cr_assert_lt(begin[dim], p->x.shape[dim], "an empty box");
        size[dim] = vka__min_u32(plan->part[dim], p->x.shape[dim] - begin[dim]);
    }
}

/* Row `number` of the dispatch as the kernel finds it: of every tensor the right one, and in sight of the binding.
 * Returns its number in the whole tensor. */
static uint64_t check_norm_row(const device *d, const vka__norm_problem *p, const vka__norm_plan *plan,
                               const vka__dispatch *x, const uint32_t begin[3], uint32_t number) {
    const vka__view *views[] = {&p->x, &p->residual, &p->out, &p->sum, &p->mean, &p->inv_std};
    const vka_norm_params *s = &plan->params;
    const vka_strides strides[] = {s->x, s->residual, s->out_, s->sum, s->mean, s->inv_std};
    static const int slots[] = {VKA_BIND_X,   VKA_BIND_RESIDUAL,   VKA_BIND_NORM_OUT,
                                VKA_BIND_SUM, VKA_BIND_STATS_MEAN, VKA_BIND_STATS_INV};
    uint64_t row[3] = {number / (x->push.dim1 * x->push.dim2), number / x->push.dim2 % x->push.dim1,
                       number % x->push.dim2};
    for (int i = 0; i < 6; i++) {
        const vka__view *v = views[i];
        const vka__binding *bound = &x->binding[slots[i]];
        if (!v->present) {
            continue;
        }
        uint64_t at = x->push.base[slots[i]], wanted = v->offset, last = (v->shape[3] - 1) * v->stride[3];
        for (int dim = 0; dim < 3; dim++) {
            at += row[dim] * (dim == 0 ? strides[i].b : dim == 1 ? strides[i].h : strides[i].n);
            wanted += (begin[dim] + row[dim]) * v->stride[dim] * v->size;
        }
        cr_assert_eq(bound->offset + at * v->size, wanted, "%s: tensor %d, row %u", d->name, i, number);
        cr_assert_geq(bound->range, (at + last + 1) * v->size, "%s: tensor %d, row %u is cut off", d->name, i, number);
        cr_assert_lt(at + last, UINT64_C(1) << 32);
    }
    return ((begin[0] + row[0]) * p->x.shape[1] + begin[1] + row[1]) * p->x.shape[2] + begin[2] + row[2];
}

static vka__dispatch check_norm_dispatch(const device *d, const vka__norm_problem *p, const vka__norm_plan *plan,
                                         uint64_t index, uint32_t begin[3]) {
    vka__dispatch x;
    uint32_t size[3], each = plan->path == VKA_NORM_PATH_LANE ? plan->key.spec[VKA_SPEC_GROUP_SIZE] : 1;
    vka__norm_dispatch(&d->caps, p, plan, index, &x);
    norm_box(p, plan, index, begin, size);
    check_dispatch(d, &x);
    check_key(d, &x.key, plan->shared_bytes);
    check_storage(d, &x.key, p->x.dtype);
    cr_assert_eq(x.push.rows, size[0] * size[1] * size[2], "%s", d->name);
    cr_assert(x.push.dim1 == size[1] && x.push.dim2 == size[2], "%s", d->name);
    cr_assert_eq(x.groups[0], vka__div_up(x.push.rows, each), "%s", d->name);
    check_binding(d, &p->weight, 0, p->x.shape[3], &x.binding[VKA_BIND_WEIGHT], x.push.base[VKA_BIND_WEIGHT], "weight");
    check_binding(d, &p->bias, 0, p->x.shape[3], &x.binding[VKA_BIND_BIAS], x.push.base[VKA_BIND_BIAS], "bias");
    return x;
}

static void check_norm(const device *d, const vka__norm_problem *p) {
    vka__norm_plan plan;
    vka__refusal refusal = {0};
    vka_status status = vka__plan_norm(&d->caps, p, &plan, &refusal);
    if (status != VKA_OK) {
        cr_assert_eq(status, VKA_UNSUPPORTED);
        cr_assert(refusal.field && refusal.reason[0]);
        cr_assert_gt(vka__view_extent(&p->x, 3) * 8 + vka__view_extent(&p->out, 3) * 8 +
                         (p->sum.present ? vka__view_extent(&p->sum, 3) * 8 : 0) +
                         (p->residual.present ? vka__view_extent(&p->residual, 3) * 8 : 0) + 1024,
                     d->caps.storage_range, "%s refuses %s: %s", d->name, refusal.field, refusal.reason);
        return;
    }
    uint64_t count = vka__norm_dispatches(&plan), seen = 0, stride = count > 400 ? count / 200 : 1;
    for (uint64_t i = 0; i < count; i += stride) {
        uint32_t begin[3];
        vka__dispatch x = check_norm_dispatch(d, p, &plan, i, begin);
        check_norm_row(d, p, &plan, &x, begin, 0);
        check_norm_row(d, p, &plan, &x, begin, x.push.rows / 2);
        check_norm_row(d, p, &plan, &x, begin, x.push.rows - 1);
        seen += x.push.rows;
    }
    uint64_t rows = (uint64_t)p->x.shape[0] * p->x.shape[1] * p->x.shape[2];
    if (stride == 1) {
        cr_assert_eq(seen, rows, "%s", d->name);
    }
}

Test(plan, norm_keeps_to_limits) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < 4000; i++) {
        vka__norm_problem p = random_norm(&rng);
        for (size_t d = 0; d < DEVICES; d++) {
            check_norm(&devices[d], &p);
        }
    }
}

/* The same device, with dispatches of a few groups. */
Test(plan, norm_in_small_dispatches) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < 500; i++) {
        vka__norm_problem p = random_norm(&rng);
        for (size_t d = 0; d < DEVICES; d++) {
            device few = devices[d];
            few.caps.max_groups[0] = 1 + ref_rng_below(&rng, 2000);
            check_norm(&few, &p);
        }
    }
}

/* Every row of every dispatch, counted. Returns the number of dispatches. */
static uint64_t check_norm_rows(const device *d, const vka__norm_problem *p) {
    vka__norm_plan plan;
    vka__refusal refusal = {0};
    size_t rows = (size_t)p->x.shape[0] * p->x.shape[1] * p->x.shape[2];
    uint8_t *seen = calloc(rows, 1);
    cr_assert_not_null(seen);
    cr_assert_eq(vka__plan_norm(&d->caps, p, &plan, &refusal), VKA_OK, "%s: %s", d->name, refusal.reason);
    uint64_t count = vka__norm_dispatches(&plan);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t begin[3];
        vka__dispatch x = check_norm_dispatch(d, p, &plan, i, begin);
        for (uint32_t row = 0; row < x.push.rows; row++) {
            seen[check_norm_row(d, p, &plan, &x, begin, row)]++;
        }
    }
    for (size_t row = 0; row < rows; row++) {
        cr_assert_eq(seen[row], 1, "%s: row %zu is done %d times", d->name, row, seen[row]);
    }
    free(seen);
    return count;
}

static vka__view ordered(vka_dtype dtype, const uint32_t shape[4], const char *order) {
    vka__view v = {.present = true, .dtype = dtype, .size = vka_dtype_size(dtype), .block = 1};
    uint64_t stride = 1;
    memcpy(v.shape, shape, sizeof v.shape);
    for (int level = 3; level >= 0; level--) {
        int dim = order[level] - '0';
        v.stride[dim] = v.shape[dim] < 2 ? 0 : stride;
        stride *= v.shape[dim];
    }
    return v;
}

/* Tensors of many bindings take about as many dispatches as bindings, whichever dimension lies outermost in memory. */
Test(plan, norm_beyond_a_binding) {
    static const struct {
        vka_dtype dtype;
        uint32_t shape[4];
        const char *order;
        uint64_t range, least, most; /* dispatches */
    } cases[] = {
        {VKA_F32, {1, 1, 300000, 1024}, "0123", 128 * MIB, 10, 10},
        {VKA_F16, {1, 1, 300001, 1023}, "0123", 128 * MIB, 5, 5},
        {VKA_F32, {1, 300, 1000, 1024}, "0123", 128 * MIB, 10, 10},
        {VKA_F32, {1, 1000, 300, 1024}, "0213", 128 * MIB, 10, 10},
        {VKA_F32, {1, 7, 40000, 1024}, "0123", 128 * MIB, 9, 14},
        {VKA_F32, {7, 13, 3001, 1024}, "2013", 128 * MIB, 9, 10},
        {VKA_F16, {5, 601, 101, 999}, "1203", 128 * MIB, 5, 5},
        {VKA_F32, {601, 5, 101, 999}, "0123", 4096 * MIB - 1, 5, 5}, /* by the grid: 65535 groups of a row */
        {VKA_F32, {1, 1, 4001, 100}, "0123", 65536, 25, 25},
        {VKA_F32, {3, 11, 121, 100}, "0123", 65536, 25, 33},
        {VKA_F32, {3, 11, 121, 100}, "2103", 65536, 25, 31},
        {VKA_F32, {3, 11, 121, 1}, "1023", 4096 * MIB - 1, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint32_t *n = cases[i].shape, one[4] = {n[0], n[1], n[2], 1}, cols[4] = {1, 1, 1, n[3]};
        device d = {"discrete", {CAPS(VKA_DEVICE_DISCRETE, 32, 32, 32, 49152, 1024, cases[i].range, 16, true)}};
        vka__norm_problem p = {.x = ordered(cases[i].dtype, n, cases[i].order),
                               .residual = ordered(cases[i].dtype, n, cases[i].order),
                               .sum = ordered(cases[i].dtype, n, cases[i].order),
                               .out = ordered(cases[i].dtype, n, cases[i].order),
                               .weight = ordered(VKA_F32, cols, "0123"),
                               .mean = ordered(VKA_F32, one, "0123")};
        uint64_t count = check_norm_rows(&d, &p);
        cr_expect(count >= cases[i].least && count <= cases[i].most, "case %zu: %llu dispatches", i,
                  (unsigned long long)count);
    }
}

/* Rows lie in x in another order than in out: boxes that both can see. */
Test(plan, norm_beyond_a_binding_in_two_orders) {
    static const char *const orders[] = {"0123", "0213", "1023", "1203", "2013", "2103"};
    static const uint32_t shape[4] = {17, 19, 23, 100};
    const uint64_t range = 262144, bytes = UINT64_C(17) * 19 * 23 * 100 * 4;
    device d = {"discrete", {CAPS(VKA_DEVICE_DISCRETE, 32, 32, 32, 49152, 1024, range, 16, true)}};
    for (int x = 0; x < 6; x++) {
        for (int out = 0; out < 6; out++) {
            vka__norm_problem p = {.x = ordered(VKA_F32, shape, orders[x]),
                                   .out = ordered(VKA_F32, shape, orders[out])};
            uint64_t count = check_norm_rows(&d, &p);
            cr_expect(count <= (x == out ? 2 * bytes / range : 400), "x %s, out %s: %llu dispatches", orders[x],
                      orders[out], (unsigned long long)count);
        }
    }
}

Test(plan, norm_by_device) {
    ref_rng rng = ref_rng_seed(1);
    for (size_t i = 0; i < DEVICES; i++) {
        vka__norm_problem p = random_norm(&rng);
        vka__norm_plan plan;
        vka__refusal refusal;
        p.path = VKA_NORM_PATH_AUTO;
        if (vka__plan_norm(&devices[i].caps, &p, &plan, &refusal) == VKA_OK) {
            bool software = devices[i].caps.type == VKA_DEVICE_CPU;
            cr_expect_eq(plan.path, software ? VKA_NORM_PATH_LANE : VKA_NORM_PATH_GROUP, "%s", devices[i].name);
        }
    }
}
