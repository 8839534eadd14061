/* Quantised keys and values that many tiles of queries read: each tile would dequantise them again.
 * SPDX-License-Identifier: MIT */
#include "ops/attention/dequantise.h"

#include <string.h>

#include "op/switched_off.h"
#include "ops/attention/paths.h"
#include "ops/attention/slices.h"

#include <vkattn/attention.h>

/* Memory that is not asked for without being told. */
#define MOST_BYTES (UINT64_C(256) << 20)
/* Tiles of queries that read a key before it pays. By static bounds, matrices and dot products take 1.2 to 1.8 times as
 * long with q8_0 as with f16, and large GPUs write an element in the time that 3 to 6 tiles lose by one. */
#define LEAST_READS 8

static const vka__view *side_of(const vka__attention_problem *p, int side) {
    return side ? &p->v : &p->k;
}

/* Pages are given up for both. Values that are keys become a view of what those become. */
static bool is_on(const vka__attention_problem *p, int side) {
    if (side && p->values_are_keys)
        return false;
    bool any = vka__is_quantised(p->k.dtype) || vka__is_quantised(p->v.dtype);
    return p->pages.present ? any : vka__is_quantised(side_of(p, side)->dtype);
}

/* Matrices and pairs have keys of q's type anyway. Elsewhere they are as exact as what they were made of, and as fast
 * as quantised ones. */
static bool is_of_q(const vka__attention_plan *plan) {
    return plan->path == VKA_ATTENTION_PATH_COOPMAT || plan->path == VKA_ATTENTION_PATH_COOPMAT2 ||
           plan->path == VKA_ATTENTION_PATH_DOT || plan->path == VKA_ATTENTION_PATH_COOPMAT_REGISTERS;
}

/* Rows of a side, behind each other: those that sequences can have. */
static vka__view dense_of(const vka__attention_problem *p, const vka__attention_plan *plan, int side) {
    const vka__view *from = side_of(p, side);
    vka__view dense = {.present = true, .source = VKA__SOURCE_WORKSPACE, .block = 1};
    dense.dtype = is_of_q(plan) ? p->q.dtype : VKA_F32;
    dense.size = (uint32_t)vka_dtype_size(dense.dtype);
    memcpy(dense.shape, from->shape, sizeof dense.shape);
    if (p->pages.present)
        dense.shape[0] = p->batch;
    if (!(p->options & VKA_FLAG_KV_OFFSETS))
        dense.shape[2] = p->kv_len;
    uint64_t elements = 1;
    for (int i = VKA_MAX_RANK; i-- > 0; elements *= dense.shape[i])
        dense.stride[i] = dense.shape[i] > 1 ? elements : 0;
    if (dense.shape[3] == 1)
        dense.stride[3] = 1;
    return dense;
}

/* Tiles of queries that read a key, on average. */
static uint64_t reads(const vka__attention_problem *p, const vka__attention_plan *plan) {
    bool pack = plan->main.spec[VKA_SPEC_FLAGS] & VKA_FLAG_PACK;
    uint64_t tiles = (uint64_t)plan->tiles * (pack ? 1 : vka__group_of(p));
    uint64_t live = vka__live_keys(p, plan->main.spec[VKA_SPEC_BR]);
    return p->kv_len ? tiles * vka__min_u64(live, p->kv_len) / p->kv_len : 0;
}

static bool is_possible(const vka_device_caps *caps, const vka__attention_problem *p, const vka__attention_plan *plan) {
    bool whole = plan->slice == VKA__SLICE_ALL && plan->parts == 1;
    bool any = is_on(p, 0) || is_on(p, 1);
    if (!any || !whole || p->batch_invariant || p->key_lists.present || !p->k.shape[2] || !p->kv_len ||
        caps->storage_buffers < VKA_OPTIONS_BUFFERS || vka__is_switched_off(caps, VKA__attention_dequantise))
        return false;
    uint64_t bytes = 0;
    for (int side = 0; side < 2; ++side) {
        const vka__view dense = dense_of(p, plan, side);
        bytes += is_on(p, side) ? vka__view_bytes(&dense, vka__view_extent(&dense, 0)) : 0;
        if (is_on(p, side) && !vka__fits_binding(caps, &dense, vka__view_extent(&dense, 0)))
            return false;
    }
    return bytes <= MOST_BYTES || p->dequantise == VKA_DEQUANTISE_FIRST;
}

bool vka__dequantise_pays(const vka_device_caps *caps, const vka__attention_problem *p,
                          const vka__attention_plan *plan) {
    return p->dequantise != VKA_DEQUANTISE_READ && is_possible(caps, p, plan) &&
           (p->dequantise == VKA_DEQUANTISE_FIRST || (is_of_q(plan) && reads(p, plan) >= LEAST_READS));
}

uint64_t vka__dequantise_problem(vka__attention_problem *p, const vka__attention_plan *plan, vka__dequantise *d) {
    uint64_t bytes = 0;
    const bool on[2] = {is_on(p, 0), is_on(p, 1)};
    d->pages = p->pages;
    for (int side = 0; side < 2; ++side) {
        vka__view *view = side ? &p->v : &p->k, *scale = side ? &p->v_scale : &p->k_scale;
        if (!on[side])
            continue;
        d->on[side] = true;
        d->from[side] = *view;
        d->scale[side] = *scale;
        vka__view dense = dense_of(p, plan, side);
        dense.offset = bytes;
        bytes = vka__align_up(bytes + vka__view_bytes(&dense, vka__view_extent(&dense, 0)), 256);
        *view = dense;
        scale->present = false;
    }
    if (p->values_are_keys && on[0]) {
        uint32_t channels = p->v.shape[3];
        p->v = p->k;
        p->v.shape[3] = channels;
        p->v_scale.present = false;
    }
    p->pages.present = false;
    return bytes;
}

void vka__dequantise_move(vka__attention_problem *p, const vka__dequantise *d, uint64_t bytes) {
    p->k.offset += d->on[0] ? bytes : 0;
    p->v.offset += d->on[1] || (p->values_are_keys && d->on[0]) ? bytes : 0;
}

/* The keys' part of an attention without queries, with a side as its k. */
static void walk_of(const vka__attention_problem *p, const vka__dequantise *d, int side, vka__attention_problem *w) {
    memset(w, 0, sizeof *w);
    w->k = d->from[side];
    w->k_scale = d->scale[side];
    w->pages = d->pages;
    w->out = *side_of(p, side);
    w->q.shape[1] = w->k.shape[1];
    w->q.shape[2] = 1;
    w->q.shape[3] = w->k.shape[3];
    w->v.shape[3] = w->k.shape[3];
    w->q_len = 1;
    w->kv_len = p->kv_len;
    w->batch = p->batch;
    w->scale = 1;
    /* What sequences of different lengths share is dequantised up to the longest that there can be. */
    bool shared = p->batch > w->out.shape[0] && !(p->options & VKA_FLAG_KV_OFFSETS);
    if (shared) {
        w->batch = 1;
    } else if (p->kv_list.present) {
        w->kv_list = p->kv_list;
        w->options = p->options & (VKA_FLAG_KV_LENGTHS | VKA_FLAG_KV_OFFSETS);
    }
}

/* All at once. */
static vka__attention_plan plan_of(const vka__attention_problem *walk) {
    return (vka__attention_plan){.slice = VKA__SLICE_ALL,
                                 .parts = 1,
                                 .splits = 1,
                                 .part_keys = walk->k.shape[walk->pages.present ? 0 : 2],
                                 .params.splits = 1};
}

void vka__dequantise_plan(const vka_device_caps *caps, const vka__attention_problem *p, vka__dequantise *d,
                          vka_attention_params params[2]) {
    uint32_t t = vka__min_u32(caps->type == VKA_DEVICE_CPU ? 8 : 64, caps->max_invocations);
    for (int side = 0; side < 2; ++side) {
        if (!d->on[side])
            continue;
        vka__attention_problem walk;
        walk_of(p, d, side, &walk);
        const vka__attention_plan plan = plan_of(&walk);
        vka__attention_fill_params(caps, &walk, &plan, &params[side]);
        d->key[side].kernel = VKA__attention_dequantise;
        vka__attention_fill_spec(caps, &walk, false, d->key[side].spec);
        d->key[side].spec[VKA_SPEC_GROUP_SIZE] = t;
        uint64_t vectors = (uint64_t)walk.kv_len * vka__div_up(walk.k.shape[3], 4);
        d->grid[side] = vka__grid_of(caps, (uint32_t)((vectors + t - 1) / t), walk.k.shape[1], walk.batch);
        d->chunks[side] = vka__grid_chunks(&d->grid[side]);
    }
}

uint64_t vka__dequantise_dispatches(const vka__dequantise *d) {
    return d->chunks[0] + d->chunks[1];
}

void vka__dequantise_dispatch(const vka_device_caps *caps, const vka__attention_problem *p, const vka__dequantise *d,
                              uint64_t index, uint32_t *side, vka__dispatch *out) {
    uint32_t first[3];
    vka__attention_problem walk;
    *side = index >= d->chunks[0];
    walk_of(p, d, (int)*side, &walk);
    const vka__attention_plan plan = plan_of(&walk);
    const vka__region all = {.rows = UINT32_MAX, .keys = UINT32_MAX};
    vka__bind_region(caps, &walk, &plan, VKA__STAGE_MAIN, &all, out);
    vka__grid_chunk(&d->grid[*side], index - (*side ? d->chunks[0] : 0), first, out);
    out->push.x0 = first[0];
    out->push.y0 = first[1];
    out->push.z0 = first[2];
}
