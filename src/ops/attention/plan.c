/* Plans of attention: path, tiles, splits, slices.
 * SPDX-License-Identifier: MIT */
#include "ops/attention/paths.h"
#include "ops/attention/score_function.h"
#include "ops/attention/slices.h"
#include "op/known_drivers.h"
#include "op/switched_off.h"
#include "ops/pattern/shape.h"

#include <vkattn/attention.h>

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

void vka__attention_sizes(vka__attention_problem *p) {
    p->batch = p->q.shape[0];
    p->q_len = p->q.shape[2];
    p->kv_len = p->k.shape[2];
}

uint32_t vka__attention_rows(const vka__attention_problem *p) {
    return p->permutation.present ? p->permutation.shape[2] : p->q_len;
}

uint32_t vka__grid_rows(const vka__attention_problem *p, bool pack, uint32_t tile_rows) {
    if (p->key_lists.present) {
        uint64_t rows = (uint64_t)p->q_len * (pack ? vka__round_up(vka__group_of(p), tile_rows) : tile_rows);
        return (uint32_t)vka__min_u64(rows, UINT32_MAX);
    }
    return pack ? vka__packed_rows(p) : vka__attention_rows(p);
}

/* Scores are exported by a kernel of their own. Kernels with options round otherwise than those without, and lengths
 * are an option. */
static bool needs_options(const vka__attention_problem *p) {
    const vka__view *views[] = {&p->mask,    &p->relative,    &p->alibi,   &p->sinks,         &p->q_list,
                                &p->kv_list, &p->pages,       &p->k_scale, &p->v_scale,       &p->stats,
                                &p->map,     &p->permutation, &p->cosine,  &p->relative_keys, &p->key_lists};
    bool with_options = p->options || p->batch_invariant || p->score_function;
    for (size_t i = 0; i < sizeof views / sizeof *views; ++i)
        with_options = with_options || views[i]->present;
    return with_options;
}

bool vka__attention_has_options(const vka__attention_problem *p) {
    return p->scores.present || needs_options(p);
}

vka__kernel vka__attention_kernel(vka__kernel plain, const vka__attention_problem *p) {
    return plain + (vka__has_products(p) ? 2 : needs_options(p) ? 1 : 0);
}

uint32_t vka__list_bytes(const vka__attention_problem *p) {
    return vka__attention_kernel(0, p) ? 16 : 0;
}

bool vka__has_products(const vka__attention_problem *p) {
    return p->cosine.present || p->relative_keys.present;
}

/* Keys that a tile can see at most. */
uint32_t vka__live_keys(const vka__attention_problem *p, uint32_t tile_rows) {
    if (p->pattern)
        return (uint32_t)vka__min_u64((uint64_t)p->pattern->info.longest_row * p->pattern->info.key_tile,
                                      vka__max_u32(p->kv_len, 1));
    if (p->key_lists.present)
        return p->key_lists.shape[3];
    if (!p->band)
        return p->kv_len;
    int64_t live = (int64_t)p->band_hi - p->band_lo + tile_rows;
    return live < 1 ? 1 : (uint32_t)vka__min_u64((uint64_t)live, p->kv_len);
}

/* Lanes of a workgroup that is one subgroup of a GPU; 0: it is more. */
static uint32_t lone_width(const vka_device_caps *caps, const vka__attention_plan *plan) {
    bool lone = caps->type != VKA_DEVICE_CPU && plan->path == VKA_ATTENTION_PATH_DECODE;
    return lone ? plan->main.spec[VKA_SPEC_SUBGROUP] : 0;
}

/* Keys that repay a split. Lone subgroups wait for memory, which more of them make use of. */
static uint32_t least_keys(const vka_device_caps *caps, const vka__attention_plan *plan) {
    uint32_t width = lone_width(caps, plan);
    return width ? vka__min_u32(4 * width, 256) : caps->type == VKA_DEVICE_CPU ? 1024 : 256;
}

/* Rows of tiles that see much more than others, as those of global tokens do, must not keep the device waiting:
 * workgroups take parts that are no longer than what each of those that run together has to do anyway. */
static uint32_t splits_to_balance(const vka__pattern_shape *pattern, uint64_t planes, uint32_t target) {
    const vka_pattern_info *info = &pattern->info;
    uint64_t rows = (uint64_t)info->heads * info->tile_rows, mean = vka__max_u64(info->live_tiles / rows, 1);
    uint64_t share = info->live_tiles * planes / info->heads / target;
    return (uint32_t)(info->longest_row / vka__max_u64(share, 2 * mean));
}

/* Splits are worth their merge when the grid alone leaves the device idle. Nobody tells how many workgroups a device
 * holds, so the targets are by class: a few per core of a CPU, several hundred on a large GPU. */
static uint32_t choose_splits(const vka_device_caps *caps, const vka__attention_problem *p, uint64_t groups,
                              const vka__attention_plan *plan) {
    if (p->splits || p->batch_invariant)
        return vka__max_u32(p->splits, 1);
    uint32_t tile_rows = plan->main.spec[VKA_SPEC_BR];
    uint32_t target = caps->type == VKA_DEVICE_CPU ? 8 : caps->type == VKA_DEVICE_DISCRETE ? 512 : 64;
    uint32_t narrow = lone_width(caps, plan);
    target *= narrow && narrow < 32 ? 32 / narrow : 1;
    target = plan->workgroups ? plan->workgroups : target;
    uint64_t wanted = target / vka__max_u64(groups, 1);
    uint64_t possible = vka__live_keys(p, tile_rows) / least_keys(caps, plan);
    if (p->permutation.present)
        return 1;
    if (p->pattern)
        wanted = vka__max_u64(wanted, splits_to_balance(p->pattern, groups / plan->tiles, target));
    uint64_t splits = vka__min_u64(vka__min_u64(wanted, possible), VKA_MAX_SPLITS);
    return splits < 2 ? 1 : (uint32_t)splits;
}

/* Keys of a tile, for a dispatch's work. Of a pattern's rows of tiles few are long; among neighbours twice the mean is
 * more than what there is, but for a few rows that are split. */
static uint32_t usual_keys(const vka__attention_problem *p, uint32_t tile_rows) {
    uint32_t most = vka__live_keys(p, tile_rows);
    if (!p->pattern)
        return most;
    const vka_pattern_info *info = &p->pattern->info;
    uint64_t mean = info->live_tiles * info->key_tile / ((uint64_t)info->heads * info->tile_rows);
    return (uint32_t)vka__min_u64(most, vka__max_u64(2 * mean, info->key_tile));
}

/* Operations of a workgroup. All tiles count as the widest of the band. */
static uint64_t group_ops(const vka__attention_problem *p, const vka__attention_plan *plan) {
    uint32_t tile_rows = plan->main.spec[VKA_SPEC_BR], dims = p->q.shape[3] + p->v.shape[3];
    dims += p->relative_keys.present ? p->q.shape[3] : 0;
    uint64_t keys = vka__max_u32(vka__div_up(usual_keys(p, tile_rows), plan->splits), 1);
    return 2 * keys * tile_rows * dims;
}

/* Workgroups that keep to a dispatch's operations, or 0 where one alone does not. The merge needs no cap: it reads
 * one binding, once. */
static uint64_t most_groups(const vka_device_caps *caps, const vka__attention_problem *p,
                            const vka__attention_plan *plan) {
    return vka__dispatch_ops(caps) / group_ops(p, plan);
}

static uint64_t workspace_floats(const vka__attention_plan *plan, uint32_t slice_batches, uint32_t dv) {
    return (uint64_t)slice_batches * plan->params.ws_rows * plan->splits * plan->parts * (dv + 2);
}

static bool has_ranges(const vka__attention_problem *p, const vka__attention_plan *plan) {
    return plan->slice == VKA__SLICE_QUERY_HEAD && plan->part_rows < vka__attention_rows(p);
}

/* Where queries of one head are bound a range at a time, a dispatch has the tiles of one range, or some of a tile's
 * splits: so all ranges but the last have as many. */
static void plan_ranges(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan) {
    uint32_t tile_rows = plan->main.spec[VKA_SPEC_BR];
    plan->row_parts = 1;
    if (!has_ranges(p, plan))
        return;
    uint64_t groups = vka__min_u64(caps->max_groups[0], most_groups(caps, p, plan));
    uint64_t longest = vka__max_u64(groups / plan->splits, 1);
    plan->tiles = (uint32_t)vka__min_u64(plan->part_rows / tile_rows, longest);
    plan->row_parts = vka__div_up(plan->rows, plan->tiles * tile_rows);
    plan->tiles = vka__div_up(vka__div_up(plan->rows, tile_rows), plan->row_parts);
    plan->part_rows = plan->tiles * tile_rows;
    plan->row_parts = vka__div_up(plan->rows, plan->part_rows);
}

static vka__kernel merge_kernel(const vka__attention_problem *p) {
    return needs_options(p) ? VKA__attention_merge_options : VKA__attention_merge;
}

static void plan_grids(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan,
                       uint32_t slice_batches, uint32_t slice_q_heads) {
    bool pack = plan->main.spec[VKA_SPEC_FLAGS] & VKA_FLAG_PACK;
    plan->heads = pack ? slice_q_heads / vka__group_of(p) : slice_q_heads;
    bool cut = has_ranges(p, plan);
    plan->tiles = vka__div_up(cut ? plan->part_rows : plan->rows, plan->main.spec[VKA_SPEC_BR]);
    uint64_t groups = (uint64_t)plan->tiles * plan->heads * slice_batches;
    plan->splits = choose_splits(caps, p, groups, plan);
    plan->params.ws_rows = slice_q_heads * (cut ? plan->part_rows : p->q_len);
    /* A workspace beyond one binding: unsplit is slower, but always possible. */
    if (workspace_floats(plan, slice_batches, p->v.shape[3]) > vka__workspace_floats(caps) ||
        vka__is_switched_off(caps, merge_kernel(p)))
        plan->splits = 1;
    plan_ranges(caps, p, plan);
    plan->params.ws_rows = slice_q_heads * (cut ? plan->part_rows : p->q_len);
    plan->params.parts = plan->parts;
    plan->params.part_rows = plan->part_rows;
    plan->params.splits = plan->splits * plan->parts;
    if (plan->params.splits > 1)
        plan->workspace_bytes = vka__align_up(4 * workspace_floats(plan, slice_batches, p->v.shape[3]), 256);
    plan->params.ws_stats = slice_batches * plan->params.ws_rows * plan->params.splits * p->v.shape[3];
    plan->main_grid = vka__grid_of(caps, plan->tiles * plan->splits, plan->heads, slice_batches);
    vka__grid_cap_ops(&plan->main_grid, caps, group_ops(p, plan));
    plan->main_chunks = vka__grid_chunks(&plan->main_grid);
    plan->merge_chunks = 0;
}

static void plan_merge(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan,
                       uint32_t slice_batches, uint32_t slice_q_heads) {
    uint32_t t = vka__min_u32(caps->type == VKA_DEVICE_CPU ? 8 : 64, caps->max_invocations);
    plan->main.spec[VKA_SPEC_FLAGS] |= VKA_FLAG_SPLIT | (plan->parts > 1 ? VKA_FLAG_PARTS : 0);
    plan->merge.kernel = merge_kernel(p);
    plan->merge.spec[VKA_SPEC_GROUP_SIZE] = t;
    plan->merge.spec[VKA_SPEC_DV] = p->v.shape[3];
    plan->merge.spec[VKA_SPEC_FLAGS] =
        plan->main.spec[VKA_SPEC_FLAGS] &
        (VKA_FLAG_LSE | VKA_FLAG_SPLIT | VKA_FLAG_PARTS | p->options | VKA_FLAG_STATS | VKA_FLAG_SINKS);
    plan->merge.spec[VKA_SPEC_TYPES] = plan->main.spec[VKA_SPEC_TYPES] & 15u << 4 * VKA_ROLE_OUT;
    if (p->pattern) { /* says how many splits a tile has */
        plan->merge.spec[VKA_SPEC_BR] = plan->main.spec[VKA_SPEC_BR];
        plan->merge.spec[VKA_SPEC_MAP] = plan->main.spec[VKA_SPEC_MAP];
        plan->merge.spec[VKA_SPEC_FLAGS] |= plan->main.spec[VKA_SPEC_FLAGS] & VKA_FLAG_PACK;
    }
    uint32_t groups = (uint32_t)(((uint64_t)plan->part_rows * p->v.shape[3] + t - 1) / t);
    plan->merge_grid = vka__grid_of(caps, groups, slice_q_heads, slice_batches);
    plan->merge_chunks = vka__grid_chunks(&plan->merge_grid);
}

/* Where lengths are known when the commands run, workgroups without work end at once. Computing the size of a dispatch
 * first costs a small one and a barrier: worth it where very many would be idle. */
#define IDLE_GROUPS_WORTH_A_SIZE 512

static void plan_size(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan) {
    uint64_t groups = 1;
    for (int i = 0; i < 3; ++i)
        groups *= plan->main_grid.groups[i];
    plan->indirect = p->device_lengths && !p->pattern && !p->permutation.present && !p->key_lists.present &&
                     plan->slices == 1 && plan->main_chunks == 1 && plan->merge_chunks <= 1 &&
                     groups >= IDLE_GROUPS_WORTH_A_SIZE && !vka__is_switched_off(caps, VKA__attention_size);
    if (!plan->indirect)
        return;
    plan->size.kernel = VKA__attention_size;
    plan->size.spec[VKA_SPEC_GROUP_SIZE] = vka__min_u32(caps->max_invocations, 64);
    plan->size.spec[VKA_SPEC_BR] = plan->main.spec[VKA_SPEC_BR];
    plan->size.spec[VKA_SPEC_DV] = p->v.shape[3];
    plan->size.spec[VKA_SPEC_FLAGS] =
        plan->main.spec[VKA_SPEC_FLAGS] & (VKA_FLAG_PACK | VKA_FLAG_SPLIT | VKA_FLAG_PARTS | p->options);
}

/* Scores are for looking at: an invocation computes those of one query and four keys. */
static bool plan_scores(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan,
                        uint32_t slice_batches, uint32_t slice_q_heads, vka__refusal *refusal) {
    uint32_t t = vka__min_u32(caps->type == VKA_DEVICE_CPU ? 8 : 64, caps->max_invocations);
    uint32_t rows = plan->part_rows, keys = p->permutation.present ? rows : p->scores.shape[3];
    uint64_t items = (uint64_t)rows * vka__div_up(keys, 4);
    if (items > UINT32_MAX - t) {
        refusal->field = "scores";
        snprintf(refusal->reason, sizeof refusal->reason, "one head has more than 2^34 of them");
        return false;
    }
    uint32_t *spec = plan->scores.spec;
    uint32_t keep = (VKA_FLAG_BAND | VKA_FLAG_VEC4_QK | VKA_FLAG_ALIBI | VKA_FLAG_RELATIVE | VKA_FLAG_GRID_BIAS |
                     VKA_FLAG_PERMUTATION | VKA_FLAG_STATS | VKA_FLAG_PARTS | VKA_FLAG_COSINE | VKA_FLAG_RELATIVE_KEYS |
                     VKA_FLAG_VEC4_RELATIVE_KEYS | VKA_FLAG_CONTENT_BIAS | VKA_FLAG_POSITION_BIAS | p->options) &
                    ~(uint32_t)(VKA_FLAG_HARD | VKA_FLAG_SAMPLE);
    plan->scores.kernel = vka__has_products(p) ? VKA__attention_scores_products : VKA__attention_scores;
    memcpy(spec, plan->main.spec, sizeof plan->scores.spec);
    spec[VKA_SPEC_GROUP_SIZE] = t;
    spec[VKA_SPEC_BR] = spec[VKA_SPEC_BC] = spec[VKA_SPEC_RM] = spec[VKA_SPEC_TC] = 1;
    spec[VKA_SPEC_SUBGROUP] = spec[VKA_SPEC_M] = spec[VKA_SPEC_N] = spec[VKA_SPEC_K] = 0;
    spec[VKA_SPEC_COLS] = p->score_stage;
    spec[VKA_SPEC_FLAGS] = (plan->main.spec[VKA_SPEC_FLAGS] | VKA_FLAG_SPLIT) & keep;
    spec[VKA_SPEC_TYPES] &= ~(15u << 4 * VKA_ROLE_OUT);
    spec[VKA_SPEC_TYPES] |= (uint32_t)p->scores.dtype << 4 * VKA_ROLE_OUT;
    plan->scores_grid = vka__grid_of(caps, vka__div_up((uint32_t)items, t), slice_q_heads, slice_batches);
    plan->scores_chunks = vka__grid_chunks(&plan->scores_grid);
    return true;
}

/* Units of scores: see attention.glsl. What a soft cap divides by is neither infinite nor so small that a device may
 * take it for 0. */
static void fill_scores(const vka__attention_problem *p, vka_attention_params *params) {
    const double log2e = 1.4426950408889634, options_unit = 4;
    bool with_options = needs_options(p);
    double unit = with_options ? options_unit : p->scale;
    params->score_scale = with_options ? (float)(p->scale / options_unit) : 1;
    params->exp_scale = (float)(unit * log2e);
    params->lse_scale = (float)unit;
    if (p->softcap > 0) {
        params->cap = (float)(p->softcap / options_unit);
        params->cap_inverse = (float)fmin(options_unit / p->softcap, FLT_MAX);
    }
}

/* Where a table of relative biases has a distance of 0, for positions that are `rest` too low. What lies further off
 * than any table is long is as good as further still, and added to distances it stays within 32 bits. */
static int32_t zero_of(uint32_t zero, int64_t rest) {
    const int64_t most = INT64_C(1) << 30, moved = zero - rest;
    return (int32_t)(moved < -most ? -most : moved > most ? most : moved);
}

static void fill_options(const vka_device_caps *caps, const vka__attention_problem *p, const vka__attention_plan *plan,
                         vka_attention_params *params) {
    params->least = least_keys(caps, plan);
    params->heads = p->q.shape[1];
    params->q_rows = p->q.shape[2];
    params->kv_rows = p->k.shape[2];
    params->relative_row = (uint32_t)p->relative.stride[p->relative_width ? 1 : 2];
    params->relative_line = (uint32_t)p->relative.stride[2];
    params->relative_zero_y =
        p->relative_width ? zero_of(p->relative_zero_row, p->diagonal_rest / p->relative_width) : 0;
    params->relative_last_y = (int32_t)p->relative.shape[2] - 1;
    params->relative_width = (int32_t)p->relative_width;
    params->relative_step = (uint32_t)p->relative.stride[3];
    params->relative_zero = zero_of(p->relative_zero, p->relative_width ? 0 : p->diagonal_rest);
    params->relative_last = (int32_t)p->relative.shape[3] - 1;
    params->page_row = (uint32_t)p->pages.stride[2];
    params->page_step = (uint32_t)p->pages.stride[3];
    params->page_last = p->k.shape[0] ? p->k.shape[0] - 1 : 0;
    params->list_q_step = (uint32_t)p->q_list.stride[3];
    params->list_kv_step = (uint32_t)p->kv_list.stride[3];
    params->alibi_step = (uint32_t)p->alibi.stride[3];
    params->alibi_beyond = fabsf((float)p->diagonal_rest);
    params->sinks_step = (uint32_t)p->sinks.stride[3];
    params->drop_below = (uint32_t)((double)p->dropout * 4294967296.0);
    params->keep_scale = 1 / (1 - p->dropout);
    params->seed_lo = (uint32_t)p->seed;
    params->seed_hi = (uint32_t)(p->seed >> 32);
    params->random_offset = p->random_offset;
    params->has_random_step = p->random_step.present;
}

static void fill_products(const vka__attention_problem *p, vka_attention_params *params) {
    params->cosine_step = (uint32_t)p->cosine.stride[3];
    params->relative_keys_head = p->relative_keys.shape[1] > 1 ? (uint32_t)p->relative_keys.stride[1] : 0;
    params->relative_keys_row = (uint32_t)p->relative_keys.stride[2];
    params->relative_keys_step = (uint32_t)p->relative_keys.stride[3];
    params->relative_keys_zero = zero_of(p->relative_keys_zero, -p->diagonal_rest);
    params->relative_keys_last = (int32_t)p->relative_keys.shape[2] - 1;
    params->content_head = (uint32_t)p->content.stride[2];
    params->content_step = (uint32_t)p->content.stride[3];
    params->position_head = (uint32_t)p->position.stride[2];
    params->position_step = (uint32_t)p->position.stride[3];
}

static void fill_pattern(const vka_device_caps *caps, const vka__attention_problem *p, const vka__attention_plan *plan,
                         vka_attention_params *params) {
    params->slots = p->key_lists.present ? p->key_lists.shape[3] : p->permutation.shape[2];
    params->permutation_sure = p->permutation_sure;
    if (p->key_lists.present)
        params->map_heads = p->q.shape[1] / p->key_lists.shape[1];
    if (!p->pattern)
        return;
    const vka_pattern_info *info = &p->pattern->info;
    params->map_heads = info->heads;
    params->map_rows = info->tile_rows;
    params->map_tiles = p->pattern->tiles_at;
    params->map_bits = p->pattern->bits_at;
    params->map_least = vka__max_u32(vka__div_up(info->longest_row, plan->splits),
                                     p->splits ? 1 : vka__div_up(least_keys(caps, plan), info->key_tile));
}

void vka__attention_fill_params(const vka_device_caps *caps, const vka__attention_problem *p,
                                const vka__attention_plan *plan, vka_attention_params *params) {
    vka__fill_strides(p, plan, params);
    params->q_len = p->q_len;
    params->kv_len = p->kv_len;
    params->group = vka__group_of(p);
    params->band_lo = p->band_lo;
    params->band_hi = p->band_hi;
    params->diagonal = p->diagonal;
    fill_scores(p, params);
    fill_options(caps, p, plan, params);
    fill_products(p, params);
    fill_pattern(caps, p, plan, params);
    vka__fill_score_params(p, params);
}

/* Where sums of parts are added up would follow from how large a batch or its cache is. */
static bool keeps_batch_invariance(const vka__attention_problem *p, const vka__attention_plan *plan,
                                   vka__refusal *refusal) {
    if (!p->batch_invariant)
        return true;
    if (plan->parts > 1)
        return vka__refuse(refusal, "determinism",
                           "VKA_DETERMINISM_BATCH needs keys that one binding sees, but these take %u", plan->parts);
    if (p->splits > 1 && plan->splits == 1)
        return vka__refuse(refusal, "splits",
                           "is %u, but the partial results of so many exceed what a binding sees, and "
                           "VKA_DETERMINISM_BATCH leaves no other number",
                           p->splits);
    return true;
}

/* Rows of tiles that hold one query each are numbered in 32 bits. */
#define MAX_LIST_ROWS (1u << 30)

vka_status vka__plan_attention(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan,
                               vka__refusal *refusal) {
    memset(plan, 0, sizeof *plan);
    if (vka__attention_has_options(p) && caps->storage_buffers < VKA_OPTIONS_BUFFERS) {
        refusal->field = "desc";
        snprintf(refusal->reason, sizeof refusal->reason,
                 "its options need %u storage buffers, but a kernel has %u here", VKA_OPTIONS_BUFFERS,
                 caps->storage_buffers);
        return VKA_UNSUPPORTED;
    }
    if (p->permutation.present && p->splits > 1) {
        refusal->field = "splits";
        snprintf(refusal->reason, sizeof refusal->reason, "is %u, but a permutation's keys can't be split", p->splits);
        return VKA_UNSUPPORTED;
    }
    if (p->q.dtype != VKA_F32) /* what is avoided is all about 16-bit types */
        plan->avoided = vka__known_drivers(caps);
    if (!vka__choose_path(caps, p, plan, refusal) || !vka__choose_slice(caps, p, plan, refusal))
        return VKA_UNSUPPORTED;
    if (p->key_lists.present && plan->rows > MAX_LIST_ROWS) {
        refusal->field = "key_lists";
        snprintf(refusal->reason, sizeof refusal->reason,
                 "its queries have more than 2^30 rows in tiles of one query each");
        return VKA_UNSUPPORTED;
    }
    uint32_t slice_batches = plan->slice == VKA__SLICE_ALL ? p->batch : 1, slice_q_heads, slice_kv_heads;
    vka__heads_of_slice(p, plan->slice, &slice_q_heads, &slice_kv_heads);
    if (plan->slice == VKA__SLICE_QUERY_HEAD) {
        plan->main.spec[VKA_SPEC_FLAGS] &= ~(uint32_t)VKA_FLAG_PACK;
        plan->rows = vka__grid_rows(p, false, plan->main.spec[VKA_SPEC_BR]);
    }
    plan_grids(caps, p, plan, slice_batches, slice_q_heads);
    if (!keeps_batch_invariance(p, plan, refusal))
        return VKA_UNSUPPORTED;
    plan->slices = plan->slice == VKA__SLICE_ALL ? 1 : p->batch * (p->q.shape[1] / slice_q_heads) * plan->row_parts;
    if (plan->params.splits > 1)
        plan_merge(caps, p, plan, slice_batches, slice_q_heads);
    plan_size(caps, p, plan);
    if (p->scores.present && !vka__has_score_kernel(p, VKA__attention_scores)) {
        refusal->field = "scores";
        snprintf(refusal->reason, sizeof refusal->reason, "score_function was not compiled for them");
        return VKA_UNSUPPORTED;
    }
    if (p->scores.present && !plan_scores(caps, p, plan, slice_batches, slice_q_heads, refusal))
        return VKA_UNSUPPORTED;
    vka__take_score_kernel(p, &plan->main);
    vka__take_score_kernel(p, &plan->scores);
    vka__attention_fill_params(caps, p, plan, &plan->params);
    return VKA_OK;
}

/* Dispatches of each stage of a slice. */
static uint64_t count_stages(const vka__attention_plan *plan, uint64_t count[4]) {
    count[VKA__STAGE_SIZE] = plan->indirect;
    count[VKA__STAGE_MAIN] = plan->main_chunks * plan->parts;
    count[VKA__STAGE_MERGE] = plan->merge_chunks;
    count[VKA__STAGE_SCORES] = plan->scores_chunks * plan->parts;
    return count[0] + count[1] + count[2] + count[3];
}

uint64_t vka__attention_dispatches(const vka__attention_plan *plan) {
    uint64_t count[4];
    return plan->slices * count_stages(plan, count);
}

static const uint32_t key_of_stage[4] = {
    [VKA__STAGE_MAIN] = 0, [VKA__STAGE_MERGE] = 1, [VKA__STAGE_SCORES] = 2, [VKA__STAGE_SIZE] = 3};

void vka__attention_keys(const vka__attention_plan *plan, vka__pipeline_key keys[VKA__ATTENTION_KEYS]) {
    const vka__pipeline_key *of_stage[4] = {[VKA__STAGE_MAIN] = &plan->main,
                                            [VKA__STAGE_MERGE] = &plan->merge,
                                            [VKA__STAGE_SCORES] = &plan->scores,
                                            [VKA__STAGE_SIZE] = &plan->size};
    uint64_t count[4];
    count_stages(plan, count);
    for (int i = 0; i < 4; ++i)
        keys[key_of_stage[i]] = count[i] ? *of_stage[i] : (vka__pipeline_key){.kernel = VKA__KERNEL_COUNT};
}

/* What the sizes need besides the lengths. */
static void bind_size(const vka__attention_plan *plan, vka__dispatch *out) {
    out->binding[VKA_BIND_WORKSPACE] =
        (vka__binding){.access = VKA__WRITE, .source = VKA__SOURCE_COUNTS, .range = VKA__COUNTS_BYTES};
    out->groups[0] = out->groups[1] = out->groups[2] = 1;
    out->push.x0 = plan->main_grid.groups[1];
    out->push.y0 = plan->main_grid.groups[2];
    out->push.z0 = plan->merge_grid.groups[1];
    out->push.rows = plan->merge.spec[VKA_SPEC_GROUP_SIZE];
}

/* Where a slice's region begins, and which of the slice's dispatches of a stage this is. */
static vka__region region_of(const vka__attention_problem *p, const vka__attention_plan *plan, uint64_t slice,
                             uint32_t part) {
    uint32_t group, one, row_part = (uint32_t)(slice % plan->row_parts);
    vka__heads_of_slice(p, plan->slice, &group, &one);
    uint32_t steps = plan->slice >= VKA__SLICE_HEAD ? p->q.shape[1] / group : 1;
    uint32_t begin = part * plan->part_keys, all = p->k.shape[p->pages.present ? 0 : 2];
    slice /= plan->row_parts;
    return (vka__region){
        .batch = (uint32_t)(slice / steps),
        .q_head = (uint32_t)(slice % steps) * group,
        .row = row_part * plan->part_rows,
        .rows = plan->part_rows,
        .key = begin,
        .keys = vka__min_u32(plan->part_keys, all - begin),
    };
}

/* Chunk `chunk` of a stage's grid, which for the last range of queries is shorter. */
static void place_grid(const vka__attention_plan *plan, vka__stage what, uint64_t chunk, const vka__region *r,
                       vka__dispatch *out) {
    const vka__grid *grids[] = {NULL, &plan->main_grid, &plan->merge_grid, &plan->scores_grid};
    uint32_t first[3];
    vka__grid_chunk(grids[what], chunk, first, out);
    if (what == VKA__STAGE_MAIN && plan->row_parts > 1) {
        uint32_t tile_rows = plan->main.spec[VKA_SPEC_BR], tile = r->row / tile_rows;
        uint32_t left = (vka__div_up(plan->rows, tile_rows) - tile) * plan->splits - first[0];
        out->groups[0] = vka__min_u32(out->groups[0], left);
        first[0] += tile * plan->splits;
    }
    out->push.x0 = first[0];
    out->push.y0 = first[1];
    out->push.z0 = first[2];
}

void vka__attention_dispatch(const vka_device_caps *caps, const vka__attention_problem *p,
                             const vka__attention_plan *plan, uint64_t index, vka__dispatch *out) {
    uint64_t count[4], per_slice = count_stages(plan, count), chunk = index % per_slice;
    vka__stage what = VKA__STAGE_SIZE;
    while (chunk >= count[what])
        chunk -= count[what++];
    bool in_parts = what == VKA__STAGE_MAIN || what == VKA__STAGE_SCORES;
    uint64_t chunks = in_parts ? count[what] / plan->parts : 1;
    uint32_t part = in_parts ? (uint32_t)(chunk / chunks) : 0;
    const vka__region region = region_of(p, plan, index / per_slice, part);
    out->key = key_of_stage[what];
    vka__bind_region(caps, p, plan, what, &region, out);
    if (what == VKA__STAGE_SIZE) {
        bind_size(plan, out);
        return;
    }
    if (plan->params.splits > 1 && what != VKA__STAGE_SCORES)
        out->binding[VKA_BIND_WORKSPACE] = (vka__binding){.access = what == VKA__STAGE_MERGE ? VKA__READ : VKA__WRITE,
                                                          .source = VKA__SOURCE_WORKSPACE,
                                                          .range = plan->workspace_bytes};
    place_grid(plan, what, in_parts ? chunk % chunks : chunk, &region, out);
    out->indirect = plan->indirect && what <= VKA__STAGE_MERGE ? (uint32_t)what : 0;
    out->push.b0 = region.batch;
    out->push.h0 = region.q_head;
    out->push.row0 = region.row;
    if (plan->parts > 1 && in_parts) {
        out->push.rows = part;
        out->push.dim1 = region.key;
        out->push.dim2 = region.keys;
    }
}

/* The names of a plan's options, each after a blank; "none" without any. */
static const char *option_names(const vka__attention_problem *p, char *text, size_t size) {
    const struct {
        bool on;
        const char *name;
    } list[] = {
        {p->softcap > 0, "softcap"},
        {p->mask.present, "mask"},
        {p->alibi.present, "alibi"},
        {p->relative.present, "relative_bias"},
        {p->sinks.present, "sinks"},
        {p->q_list.present, p->options & VKA_FLAG_Q_OFFSETS ? "q_offsets" : "q_lengths"},
        {p->kv_list.present, p->options & VKA_FLAG_KV_OFFSETS ? "kv_offsets" : "kv_lengths"},
        {p->pages.present, "pages"},
        {p->k_scale.present || p->v_scale.present, "scales"},
        {p->options & VKA_FLAG_SAMPLE, "sample"},
        {(p->options & VKA_FLAG_HARD) && !(p->options & VKA_FLAG_SAMPLE), "argmax"},
        {p->options & VKA_FLAG_DROPOUT, "dropout"},
        {p->stats.present, "stats"},
        {p->scores.present, "scores"},
        {p->permutation.present, "permutation"},
        {p->cosine.present, "cosine"},
        {p->relative_keys.present, "relative_keys"},
        {p->key_lists.present, "key_lists"},
        {p->score_function != NULL, "score_function"},
    };
    size_t at = 0;
    snprintf(text, size, "none");
    for (size_t i = 0; i < sizeof list / sizeof *list; ++i)
        if (list[i].on && at < size)
            at += (size_t)snprintf(text + at, size - at, "%s%s", at ? " " : "", list[i].name);
    return text;
}

static const char *pattern_text(const vka__attention_problem *p, char *text, size_t size) {
    if (!p->pattern)
        return "none";
    const vka_pattern_info *info = &p->pattern->info;
    snprintf(text, size, "tiles of %u x %u, %llu live, %llu of them full, at most %u in a row", info->query_tile,
             info->key_tile, (unsigned long long)info->live_tiles, (unsigned long long)info->full_tiles,
             info->longest_row);
    return text;
}

/* The faults that a plan keeps away from, one after the other. */
static const char *avoided_text(const vka__attention_plan *plan, char *text, size_t size) {
    const vka__known_driver *known;
    size_t at = 0;
    snprintf(text, size, "nothing");
    for (uint32_t i = 0; (known = vka__known_driver_at(i)); ++i)
        if ((plan->avoided >> i & 1) && at < size)
            at += (size_t)snprintf(text + at, size - at, "%s%s", at ? "; " : "", known->fault);
    return text;
}

void vka__explain_attention(const vka__attention_problem *p, const vka__attention_plan *plan, vka__text *text) {
    static const char *const slices[] = {"everything", "one batch entry", "one key head", "one query head"};
    const uint32_t *spec = plan->main.spec, flags = spec[VKA_SPEC_FLAGS];
    char options[180], pattern[120], avoided[640];
    vka__say(text, "path: %s\nwhy: %s\navoided: %s\nquery_tile: %u\nkey_tile: %u\nrows_per_invocation: %u\n",
             vka__path_name(&vka__attention_paths, plan->path), plan->why, avoided_text(plan, avoided, sizeof avoided),
             spec[VKA_SPEC_BR], spec[VKA_SPEC_BC], spec[VKA_SPEC_RM]);
    vka__say(text, "invocations_per_row: %u\nshared_bytes: %u\npacked_heads: %s\nvector_loads: qk %s, v %s, out %s\n",
             spec[VKA_SPEC_TC], plan->shared_bytes, vka__yes(flags & VKA_FLAG_PACK), vka__yes(flags & VKA_FLAG_VEC4_QK),
             vka__yes(flags & VKA_FLAG_VEC4_V), vka__yes(flags & VKA_FLAG_VEC4_OUT));
    vka__say(text, "band: %s\noptions: %s\npattern: %s\nsplits: %u\nindirect: %s\nbinding: %s\n", vka__yes(p->band),
             option_names(p, options, sizeof options), pattern_text(p, pattern, sizeof pattern), plan->splits,
             vka__yes(plan->indirect), slices[plan->slice]);
    vka__say(text, "query_ranges: %u\nkey_parts: %u\nvalues_of_keys: %s\n", plan->row_parts, plan->parts,
             vka__yes(spec[VKA_SPEC_LOW_REGISTER] & VKA_LEAN_KEY_VALUES));
    vka__say_score_function(p, text);
}
