/* The paths of attention as a table, and what a chosen tile makes of a plan.
 * SPDX-License-Identifier: MIT */
#include "ops/attention/paths.h"
#include "ops/attention/score_function.h"
#include "ops/attention/slices.h"
#include "ops/pattern/shape.h"

#include <vkattn/attention.h>

/* By vka_attention_path. Each is the first member of a vka__attention_path. */
static const vka__path *const table[] = {
    [VKA_ATTENTION_PATH_ROW] = &vka__path_row.path,
    [VKA_ATTENTION_PATH_TILE] = &vka__path_tile.path,
    [VKA_ATTENTION_PATH_DECODE] = &vka__path_decode.path,
    [VKA_ATTENTION_PATH_COOPMAT] = &vka__path_coopmat.path,
    [VKA_ATTENTION_PATH_COOPMAT2] = &vka__path_coopmat2.path,
    [VKA_ATTENTION_PATH_DOT] = &vka__path_dot.path,
    [VKA_ATTENTION_PATH_COOPMAT_REGISTERS] = &vka__path_coopmat_registers.path,
};

static const vka__attention_path *attention_path(uint32_t path) {
    return (const vka__attention_path *)(const void *)table[path];
}

/* Rows are packed ones. */
static const vka__path_rule rules[] = {
    {true, 4, VKA_ATTENTION_PATH_DECODE, "few query rows: the lanes of a subgroup share each key"},
    {true, VKA__ANY_ROWS, VKA_ATTENTION_PATH_ROW, "software driver: uniform loads, no barriers"},
    {true, VKA__ANY_ROWS, VKA_ATTENTION_PATH_DECODE,
     "software driver that is slow to compile such wide heads otherwise"},
    {true, VKA__ANY_ROWS, VKA_ATTENTION_PATH_TILE, "software driver that is slow to compile such wide heads otherwise"},
    {false, 8, VKA_ATTENTION_PATH_DECODE, "few query rows: the lanes of a subgroup share each key"},
    {false, 8, VKA_ATTENTION_PATH_TILE, "few query rows, and registers: keys staged in shared memory"},
    {false, VKA__ANY_ROWS, VKA_ATTENTION_PATH_COOPMAT2, "f16 and matrices of a workgroup"},
    {false, VKA__ANY_ROWS, VKA_ATTENTION_PATH_COOPMAT_REGISTERS, "f16 and matrices whose scores stay in registers"},
    {false, VKA__ANY_ROWS, VKA_ATTENTION_PATH_COOPMAT, "cooperative matrices of this type"},
    {false, VKA__ANY_ROWS, VKA_ATTENTION_PATH_DOT, "f16 and an instruction for dot products of pairs"},
    {false, VKA__ANY_ROWS, VKA_ATTENTION_PATH_TILE, "GPU: keys staged in shared memory"},
    {false, VKA__ANY_ROWS, VKA_ATTENTION_PATH_ROW, "no tile fits this device's shared memory"},
};

static bool is_bindable(const vka_device_caps *caps, const void *problem, const vka__tile *tile) {
    return vka__has_slice(caps, problem, tile->br);
}

static void say_problem(const void *problem, vka__text *text) {
    const vka__attention_problem *p = problem;
    vka__say(text, "head dimensions %u and %u", p->q.shape[3], p->v.shape[3]);
}

static void say_limits(const void *problem, vka__text *text) {
    const vka__attention_problem *p = problem;
    if (p->pattern)
        vka__say(text, ", and the pattern's tiles");
}

static uint32_t kernel_of(const vka_device_caps *caps, const void *problem, uint32_t path, const vka__tile *tile) {
    vka__attention_plan plan = {0};
    attention_path(path)->fill(caps, problem, tile, &plan);
    return plan.main.kernel;
}

static bool has_code(const void *problem) {
    return ((const vka__attention_problem *)problem)->score_function;
}

static const char *why_no_code(const void *problem, uint32_t kernel) {
    return vka__has_score_kernel(problem, kernel) ? NULL : "score_function was not compiled for it";
}

const vka__paths vka__attention_paths = {
    .path = table,
    .path_count = sizeof table / sizeof *table,
    .rules = rules,
    .rule_count = sizeof rules / sizeof *rules,
    /* Of the larger head dimension, and of queries times the query heads of a key head. */
    .tuning = {.list = "attention",
               .size = {{"head_dim", "head_dim_above", false}, {"rows", "rows_above", true}},
               .br = "query_tile",
               .bc = "key_tile",
               .rm = "rows_per_invocation",
               .tc = "team"},
    .is_bindable = is_bindable,
    .why_bindable = "a binding sees what a tile of so few queries has",
    .say_problem = say_problem,
    .say_limits = say_limits,
    .field = "q",
    .kernel = kernel_of,
    .has_code = has_code,
    .why_no_code = why_no_code,
};

/* What the choice of a path takes all sequences for whose results must not depend on others' lengths. */
#define MANY_QUERIES (1u << 20)

uint32_t vka__group_of(const vka__attention_problem *p) {
    return p->q.shape[1] / p->k.shape[1];
}

uint32_t vka__queries(const vka__attention_problem *p) {
    return p->batch_invariant ? MANY_QUERIES : p->q_len;
}

bool vka__map_holds(const vka__attention_problem *p, const vka__tile *tile) {
    if (!p->pattern)
        return true;
    const vka_pattern_info *info = &p->pattern->info;
    /* Rows may lie in two of the map's rows of tiles, not in three. */
    bool few = !p->permutation.present && vka__queries(p) <= info->query_tile;
    return (few || tile->br <= info->query_tile) && tile->bc <= info->key_tile;
}

/* Query heads that share a tile share a map, too, and rows that lie close together. Each has relative keys of its own.
 */
static bool may_pack(const vka__attention_problem *p) {
    bool shared = !p->pattern || (p->pattern->info.heads == 1 && vka__queries(p) <= p->pattern->info.query_tile);
    shared = shared && !p->relative_keys.present;
    return vka__group_of(p) > 1 && shared && !p->permutation.present;
}

uint32_t vka__packed_rows(const vka__attention_problem *p) {
    return (uint32_t)vka__min_u64((uint64_t)vka__queries(p) * vka__group_of(p), VKA__ANY_ROWS - 1);
}

/* Query heads of a key head that have the same list of keys, of one query. */
static bool shares_lists(const vka__attention_problem *p) {
    return may_pack(p) && p->key_lists.shape[1] <= p->k.shape[1];
}

uint32_t vka__rows_with_keys(const vka__attention_problem *p, uint32_t pack_rows) {
    if (p->key_lists.present)
        return shares_lists(p) ? vka__group_of(p) : 1;
    return vka__queries(p) * 2 <= pack_rows ? vka__packed_rows(p) : vka__queries(p);
}

bool vka__is_convertible(const vka__view *view, vka_dtype dtype) {
    return view->dtype == dtype || vka__is_quantised(view->dtype);
}

/* Four masks in a row, from a multiple of four on. */
static bool mask_vec4(const vka__view *v) {
    bool ok = v->stride[3] == 1 && v->offset % (4 * (uint64_t)v->size) == 0;
    for (int i = 0; i < 3; ++i)
        ok = ok && v->stride[i] % 4 == 0;
    return ok;
}

static uint32_t flags_of(const vka__attention_problem *p, bool pack) {
    uint32_t flags = p->options;
    flags |= p->band ? VKA_FLAG_BAND : 0;
    flags |= p->lse.present ? VKA_FLAG_LSE : 0;
    flags |= pack ? VKA_FLAG_PACK : 0;
    flags |= vka__view_vec4(&p->q) && vka__view_vec4(&p->k) ? VKA_FLAG_VEC4_QK : 0;
    flags |= vka__view_vec4(&p->v) ? VKA_FLAG_VEC4_V : 0;
    flags |= vka__view_vec4(&p->out) ? VKA_FLAG_VEC4_OUT : 0;
    flags |= p->permutation.present ? VKA_FLAG_PERMUTATION : 0;
    bool slots = p->permutation.present || p->key_lists.present;
    flags |= p->mask.present && !slots && mask_vec4(&p->mask) ? VKA_FLAG_VEC4_MASK : 0;
    flags |= p->softcap > 0 ? VKA_FLAG_SOFTCAP : 0;
    flags |= p->alibi.present ? VKA_FLAG_ALIBI : 0;
    flags |= p->relative.present ? VKA_FLAG_RELATIVE : 0;
    flags |= p->relative_width ? VKA_FLAG_GRID_BIAS : 0;
    flags |= p->sinks.present ? VKA_FLAG_SINKS : 0;
    flags |= p->stats.present ? VKA_FLAG_STATS : 0;
    flags |= p->cosine.present ? VKA_FLAG_COSINE : 0;
    flags |= p->relative_keys.present ? VKA_FLAG_RELATIVE_KEYS : 0;
    flags |= p->relative_keys.present && vka__view_vec4(&p->relative_keys) ? VKA_FLAG_VEC4_RELATIVE_KEYS : 0;
    flags |= p->content.present ? VKA_FLAG_CONTENT_BIAS : 0;
    flags |= p->position.present ? VKA_FLAG_POSITION_BIAS : 0;
    return flags;
}

static uint32_t types_of(const vka_device_caps *caps, const vka__attention_problem *p) {
    const vka__view *bias = p->content.present ? &p->content : &p->position; /* of one type */
    return (uint32_t)p->q.dtype << 4 * VKA_ROLE_Q | (uint32_t)p->k.dtype << 4 * VKA_ROLE_K |
           (uint32_t)p->v.dtype << 4 * VKA_ROLE_V | (uint32_t)p->out.dtype << 4 * VKA_ROLE_OUT |
           (p->mask.present ? (uint32_t)p->mask.dtype : 0) << 4 * VKA_ROLE_MASK |
           (p->relative_keys.present ? (uint32_t)p->relative_keys.dtype : 0) << 4 * VKA_ROLE_RELATIVE_KEYS |
           (bias->present ? (uint32_t)bias->dtype : 0) << 4 * VKA_ROLE_CONTENT |
           (caps->type == VKA_DEVICE_CPU ? 1u << 4 * VKA_ROLE_SLOW_HALVES : 0);
}

static uint32_t log2_of(uint32_t power) {
    uint32_t n = 0;
    while (power >> (n + 1))
        ++n;
    return n;
}

void vka__attention_fill_spec(const vka_device_caps *caps, const vka__attention_problem *p, bool pack, uint32_t *spec) {
    spec[VKA_SPEC_D] = p->q.shape[3];
    spec[VKA_SPEC_DV] = p->v.shape[3];
    spec[VKA_SPEC_FLAGS] = flags_of(p, pack);
    spec[VKA_SPEC_TYPES] = types_of(caps, p);
    spec[VKA_SPEC_SCORE_TYPES] = vka__score_types(p);
    spec[VKA_SPEC_PAGE] = p->pages.present ? p->k.shape[2] : 0;
    if (p->pattern)
        spec[VKA_SPEC_MAP] = log2_of(p->pattern->info.query_tile) + 256 * log2_of(p->pattern->info.key_tile);
}

static void take(const vka_device_caps *caps, const vka__attention_problem *p, const vka__path_choice *choice,
                 vka__attention_plan *plan) {
    const vka__attention_path *path = attention_path(choice->path);
    const vka__tile *tile = &choice->tile;
    /* Few queries: the query heads that share a key head share its tile too, and its keys are read once. */
    bool few = vka__queries(p) * 2 <= path->pack_rows(caps, p, tile);
    bool pack = p->key_lists.present ? shares_lists(p) : may_pack(p) && few;
    uint32_t *spec = plan->main.spec;
    path->fill(caps, p, tile, plan);
    plan->path = choice->path;
    plan->why = choice->why;
    plan->workgroups = choice->workgroups;
    plan->rows = vka__grid_rows(p, pack, tile->br);
    spec[VKA_SPEC_BR] = tile->br;
    spec[VKA_SPEC_BC] = tile->bc;
    spec[VKA_SPEC_RM] = tile->rm;
    spec[VKA_SPEC_TC] = tile->tc;
    vka__attention_fill_spec(caps, p, pack, spec);
}

bool vka__choose_path(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan,
                      vka__refusal *refusal) {
    uint32_t rows = vka__rows_with_keys(p, UINT32_MAX);
    const vka__path_query query = {
        .caps = caps,
        .problem = p,
        .path = p->path,
        .tile = p->tile,
        .rows = rows,
        .tuning = p->tuning,
        .in = {p->q.dtype, {vka__max_u32(p->q.shape[3], p->v.shape[3]), rows}},
    };
    vka__path_choice choice;
    if (!vka__path_choose(&vka__attention_paths, &query, &choice, refusal))
        return false;
    take(caps, p, &choice, plan);
    return true;
}
