/* Which path, and which of its tiles, an attention takes.
 * SPDX-License-Identifier: MIT */
#include "ops/attention/paths.h"
#include "ops/attention/slices.h"
#include "ops/pattern/shape.h"

#include <stdio.h>
#include <string.h>

#include <vkattn/attention.h>

#include "op/tuning.h"

static const vka__path *const paths[] = {
    [VKA_ATTENTION_PATH_ROW] = &vka__path_row,           [VKA_ATTENTION_PATH_TILE] = &vka__path_tile,
    [VKA_ATTENTION_PATH_DECODE] = &vka__path_decode,     [VKA_ATTENTION_PATH_COOPMAT] = &vka__path_coopmat,
    [VKA_ATTENTION_PATH_COOPMAT2] = &vka__path_coopmat2, [VKA_ATTENTION_PATH_DOT] = &vka__path_dot,
};
#define PATHS (sizeof paths / sizeof *paths)

/* Without measurement: the first rule of the device's class and the problem's rows whose path can run decides. */
#define ANY_ROWS UINT32_MAX
static const struct choice_rule {
    bool software;
    uint32_t most_rows; /* packed */
    vka_attention_path path;
    const char *why;
} choice_rules[] = {
    {true, 4, VKA_ATTENTION_PATH_DECODE, "few query rows: the lanes of a subgroup share each key"},
    {true, ANY_ROWS, VKA_ATTENTION_PATH_ROW, "software driver: uniform loads, no barriers"},
    {true, ANY_ROWS, VKA_ATTENTION_PATH_DECODE, "software driver that is slow to compile such wide heads otherwise"},
    {true, ANY_ROWS, VKA_ATTENTION_PATH_TILE, "software driver that is slow to compile such wide heads otherwise"},
    {false, 8, VKA_ATTENTION_PATH_DECODE, "few query rows: the lanes of a subgroup share each key"},
    {false, 8, VKA_ATTENTION_PATH_TILE, "few query rows, and registers: keys staged in shared memory"},
    {false, ANY_ROWS, VKA_ATTENTION_PATH_COOPMAT2, "f16 and matrices of a workgroup"},
    {false, ANY_ROWS, VKA_ATTENTION_PATH_COOPMAT, "cooperative matrices of this type"},
    {false, ANY_ROWS, VKA_ATTENTION_PATH_DOT, "f16 and an instruction for dot products of pairs"},
    {false, ANY_ROWS, VKA_ATTENTION_PATH_TILE, "GPU: keys staged in shared memory"},
    {false, ANY_ROWS, VKA_ATTENTION_PATH_ROW, "no tile fits this device's shared memory"},
};

uint32_t vka__group_of(const vka__attention_problem *p) {
    return p->q.shape[1] / p->k.shape[1];
}

bool vka__map_holds(const vka__attention_problem *p, const vka__tile *tile) {
    if (!p->pattern)
        return true;
    const vka_pattern_info *info = &p->pattern->info;
    /* Rows may lie in two of the map's rows of tiles, not in three. */
    bool few = !p->permutation.present && p->q_len <= info->query_tile;
    return (few || tile->br <= info->query_tile) && tile->bc <= info->key_tile;
}

/* Query heads that share a tile share a map, too, and rows that lie close together. */
static bool may_pack(const vka__attention_problem *p) {
    bool shared = !p->pattern || (p->pattern->info.heads == 1 && p->q_len <= p->pattern->info.query_tile);
    return vka__group_of(p) > 1 && shared && !p->permutation.present;
}

/* A subgroup of Intel's has a fraction of others' registers, an invocation of Mali's 64. NVIDIA's Kepler has a quarter
 * of what came after it: its ids are below those of the first Maxwell, and its drivers stop at Vulkan 1.2. */
bool vka__has_few_registers(const vka_device_caps *caps) {
    enum { FIRST_MAXWELL = 0x1340 };
    bool kepler = caps->vendor_id == VKA_VENDOR_NVIDIA && caps->device_id < FIRST_MAXWELL &&
                  caps->api_version < (1u << 22 | 3u << 12);
    return kepler || caps->vendor_id == VKA_VENDOR_INTEL || caps->vendor_id == VKA_VENDOR_ARM;
}

uint32_t vka__packed_rows(const vka__attention_problem *p) {
    return p->q_len * vka__group_of(p);
}

bool vka__is_convertible(const vka__view *view, vka_dtype dtype) {
    return view->dtype == dtype || view->dtype == VKA_I8 || view->dtype == VKA_Q8_0;
}

/* Of a choice 32, or what comes nearest: narrower subgroups share less, wider ones leave lanes idle. */
uint32_t vka__subgroup_width(const vka_device_caps *caps) {
    uint32_t width = caps->subgroup_size;
    if (caps->subgroup_min != caps->subgroup_max) {
        if (!caps->subgroup_size_control)
            return 0;
        width = vka__min_u32(vka__max_u32(32, caps->subgroup_min), caps->subgroup_max);
    }
    return width <= caps->max_invocations ? width : 0;
}

bool vka__first_fitting(const vka__path *path, const vka_device_caps *caps, const vka__attention_problem *p,
                        uint32_t rows, uint32_t count, vka__tile *tile) {
    bool found = false;
    vka__tile t;
    for (uint32_t i = 0; i < count && path->tile(caps, p, i, &t); ++i) {
        bool smaller = found && t.br >= rows && t.br < tile->br;
        if ((!found || smaller) && path->fits(caps, p, &t)) {
            *tile = t;
            found = true;
        }
    }
    return found;
}

/* The path's tile that a measurement or the description names, if it is on the list and fits. */
static bool find_tile(const vka__path *path, const vka_device_caps *caps, const vka__attention_problem *p,
                      const vka__tile *wanted, vka__tile *tile) {
    for (uint32_t i = 0; path->tile(caps, p, i, tile); ++i) {
        bool same = tile->bc == wanted->bc &&
                    (path->rows_follow || (tile->br == wanted->br && tile->rm == wanted->rm && tile->tc == wanted->tc));
        if (same && path->fits(caps, p, tile))
            return true;
    }
    return false;
}

/* The tile that a path takes without being told, one of those that vka__attention_candidate lists. */
static bool default_tile(const vka__path *path, const vka_device_caps *caps, const vka__attention_problem *p,
                         vka__tile *tile) {
    vka__tile wanted;
    return path->choose(caps, p, &wanted) && find_tile(path, caps, p, &wanted, tile);
}

/* A path that the description asks for runs if there is any tile for it, whose rows of masks and so on a binding sees;
 * of a tile for which none does, whoever cuts it says what does not fit. */
static bool any_tile(const vka__path *path, const vka_device_caps *caps, const vka__attention_problem *p,
                     vka__tile *tile) {
    vka__tile t;
    if (!default_tile(path, caps, p, tile) && !vka__first_fitting(path, caps, p, UINT32_MAX, UINT32_MAX, tile))
        return false;
    bool fits = vka__has_slice(caps, p, tile->br);
    for (uint32_t i = 0; !fits && path->tile(caps, p, i, &t); ++i)
        if (path->fits(caps, p, &t) && vka__has_slice(caps, p, t.br)) {
            *tile = t;
            fits = true;
        }
    return true;
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
    flags |= p->mask.present && !p->permutation.present && mask_vec4(&p->mask) ? VKA_FLAG_VEC4_MASK : 0;
    flags |= p->softcap > 0 ? VKA_FLAG_SOFTCAP : 0;
    flags |= p->alibi.present ? VKA_FLAG_ALIBI : 0;
    flags |= p->relative.present ? VKA_FLAG_RELATIVE : 0;
    flags |= p->relative_width ? VKA_FLAG_GRID_BIAS : 0;
    flags |= p->sinks.present ? VKA_FLAG_SINKS : 0;
    flags |= p->stats.present ? VKA_FLAG_STATS : 0;
    return flags;
}

static uint32_t types_of(const vka_device_caps *caps, const vka__attention_problem *p) {
    return (uint32_t)p->q.dtype << 4 * VKA_ROLE_Q | (uint32_t)p->k.dtype << 4 * VKA_ROLE_K |
           (uint32_t)p->v.dtype << 4 * VKA_ROLE_V | (uint32_t)p->out.dtype << 4 * VKA_ROLE_OUT |
           (p->mask.present ? (uint32_t)p->mask.dtype : 0) << 4 * VKA_ROLE_MASK |
           (caps->type == VKA_DEVICE_CPU ? 1u << 4 * VKA_ROLE_SLOW_HALVES : 0);
}

static uint32_t log2_of(uint32_t power) {
    uint32_t n = 0;
    while (power >> (n + 1))
        ++n;
    return n;
}

static void take(const vka_device_caps *caps, const vka__attention_problem *p, uint32_t path, const vka__tile *tile,
                 const char *why, vka__attention_plan *plan) {
    /* Few queries: the query heads that share a key head share its tile too, and its keys are read once. */
    bool pack = may_pack(p) && p->q_len * 2 <= paths[path]->pack_rows(caps, p, tile);
    uint32_t *spec = plan->main.spec;
    paths[path]->fill(caps, p, tile, plan);
    plan->path = path;
    plan->why = why;
    plan->rows = pack ? vka__packed_rows(p) : vka__attention_rows(p);
    spec[VKA_SPEC_BR] = tile->br;
    spec[VKA_SPEC_BC] = tile->bc;
    spec[VKA_SPEC_RM] = tile->rm;
    spec[VKA_SPEC_TC] = tile->tc;
    spec[VKA_SPEC_FLAGS] = flags_of(p, pack);
    spec[VKA_SPEC_TYPES] = types_of(caps, p);
    spec[VKA_SPEC_PAGE] = p->pages.present ? p->k.shape[2] : 0;
    if (p->pattern)
        spec[VKA_SPEC_MAP] = log2_of(p->pattern->info.query_tile) + 256 * log2_of(p->pattern->info.key_tile);
}

static bool take_wanted(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan,
                        vka__refusal *refusal) {
    const vka__path *path = paths[p->path];
    const char *why_not = path->why_not(caps, p);
    vka__tile tile;
    refusal->field = "path";
    if (why_not) {
        snprintf(refusal->reason, sizeof refusal->reason, "can't be %s: %s", vka__path_name(p->path), why_not);
        return false;
    }
    if (p->tile.bc && !find_tile(path, caps, p, &p->tile, &tile)) {
        refusal->field = "tile";
        snprintf(refusal->reason, sizeof refusal->reason, "%u x %u, %u, %u is none that path %s has for this problem",
                 p->tile.br, p->tile.bc, p->tile.rm, p->tile.tc, vka__path_name(p->path));
        return false;
    }
    if (!p->tile.bc && !any_tile(path, caps, p, &tile)) {
        snprintf(refusal->reason, sizeof refusal->reason,
                 "can't be %s: no tile for head dimensions %u and %u fits this device's registers, %u bytes of shared "
                 "memory and %u invocations%s",
                 vka__path_name(p->path), p->q.shape[3], p->v.shape[3], caps->shared_bytes, caps->max_invocations,
                 p->pattern ? ", and the pattern's tiles" : "");
        return false;
    }
    take(caps, p, p->path, &tile, "the description asks for it", plan);
    return true;
}

static bool take_measured(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan) {
    const vka__tuning_rule *rule =
        vka__tuning_find(p->tuning, p->q.dtype, vka__max_u32(p->q.shape[3], p->v.shape[3]), vka__packed_rows(p));
    vka__tile tile;
    if (!rule || rule->path >= PATHS || !paths[rule->path] || paths[rule->path]->why_not(caps, p) ||
        !find_tile(paths[rule->path], caps, p, &rule->tile, &tile) || !vka__has_slice(caps, p, tile.br))
        return false;
    take(caps, p, rule->path, &tile, "the tuning record's measurements", plan);
    plan->workgroups = rule->workgroups;
    return true;
}

/* Is a path that can run the problem worth it on such a device, as far as anybody knows without measuring? */
static bool is_profitable(const vka_device_caps *caps, const vka__attention_problem *p, vka_attention_path path,
                          const vka__tile *tile) {
    switch (path) {
    case VKA_ATTENTION_PATH_DECODE: /* keeps whole keys in registers, and was seen to spill hundreds */
        return !vka__has_few_registers(caps);
    case VKA_ATTENTION_PATH_COOPMAT:
        return !vka__coopmat_spills(caps, p, tile);
    case VKA_ATTENTION_PATH_COOPMAT2: /* of a subgroup, or of elements that are decoded, it has nothing over plain
                                         matrices */
        return caps->matrix_workgroup_grain.m && !vka__coopmat2_decodes(p);
    case VKA_ATTENTION_PATH_DOT: /* without its instruction it is the tile path with conversions */
        return caps->f16_mixed_dot;
    default:
        return true;
    }
}

bool vka__choose_path(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan,
                      vka__refusal *refusal) {
    if (p->path)
        return take_wanted(caps, p, plan, refusal);
    if (take_measured(caps, p, plan))
        return true;
    const struct choice_rule *first = NULL;
    vka__tile tile, first_tile = {0};
    uint32_t path;
    for (uint32_t i = 0; i < sizeof choice_rules / sizeof *choice_rules; ++i) {
        const struct choice_rule *r = &choice_rules[i];
        if (r->software == (caps->type == VKA_DEVICE_CPU) && vka__packed_rows(p) <= r->most_rows &&
            !paths[r->path]->why_not(caps, p) && default_tile(paths[r->path], caps, p, &tile) &&
            is_profitable(caps, p, r->path, &tile)) {
            if (vka__has_slice(caps, p, tile.br)) {
                take(caps, p, r->path, &tile, r->why, plan);
                return true;
            }
            first_tile = first ? first_tile : tile;
            first = first ? first : r;
        }
    }
    if (first && vka__attention_candidate(caps, p, 0, &path, &tile)) {
        take(caps, p, path, &tile, "a binding sees what a tile of so few queries has", plan);
        return true;
    }
    if (first) { /* for whoever cuts it to refuse what does not fit */
        take(caps, p, first->path, &first_tile, first->why, plan);
        return true;
    }
    refusal->field = "q";
    snprintf(refusal->reason, sizeof refusal->reason, "has no path on this device");
    return false;
}

bool vka__attention_candidate(const vka_device_caps *caps, const vka__attention_problem *p, uint32_t index,
                              uint32_t *path, vka__tile *tile) {
    for (*path = VKA_ATTENTION_PATH_ROW; *path < PATHS; ++*path) {
        const vka__path *candidate = paths[*path];
        if (candidate->why_not(caps, p))
            continue;
        for (uint32_t i = 0; candidate->tile(caps, p, i, tile); ++i)
            if (candidate->fits(caps, p, tile) && vka__has_slice(caps, p, tile->br) && index-- == 0)
                return true;
    }
    return false;
}
