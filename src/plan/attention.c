/* Plans of attention: path, tiles, splits, slices.
 * SPDX-License-Identifier: MIT */
#include "plan/attention_paths.h"

#include <stdio.h>
#include <string.h>

static void heads_of_slice(const vka__attention_problem *p, vka__slice slice, uint32_t *q_heads, uint32_t *kv_heads) {
    *q_heads = slice == VKA__SLICE_QUERY_HEAD ? 1 : slice == VKA__SLICE_HEAD ? vka__group_of(p) : p->q.shape[1];
    *kv_heads = slice >= VKA__SLICE_HEAD ? 1 : p->k.shape[1];
}

/* The largest slice whose parts of q, k, v, out and lse each fit one binding. */
static bool choose_slice(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan,
                         vka__refusal *refusal) {
    const vka__view *views[] = {&p->q, &p->k, &p->v, &p->out, &p->lse};
    static const char *const names[] = {"q", "k", "v", "out", "lse"};
    for (int slice = VKA__SLICE_ALL; slice <= VKA__SLICE_QUERY_HEAD; ++slice) {
        const char *misfit = NULL;
        uint32_t q_heads, kv_heads;
        plan->slice = (vka__slice)slice;
        heads_of_slice(p, plan->slice, &q_heads, &kv_heads);
        for (int i = 0; i < 5; ++i) {
            vka__view part = *views[i];
            if (slice >= VKA__SLICE_BATCH)
                part.shape[0] = 1;
            part.shape[1] = i == 1 || i == 2 ? kv_heads : q_heads;
            if (!misfit && !vka__fits_binding(caps, views[i], vka__view_extent(&part, 0)))
                misfit = names[i];
        }
        plan->slices = slice == VKA__SLICE_ALL ? 1 : p->q.shape[0] * (p->q.shape[1] / q_heads);
        if (!misfit)
            return true;
        refusal->field = misfit;
        snprintf(refusal->reason, sizeof refusal->reason,
                 "one head spans more than the %llu bytes that a binding can see here",
                 (unsigned long long)caps->storage_range);
    }
    return false;
}

/* Keys that a tile can see at most. */
static uint32_t live_keys(const vka__attention_problem *p, uint32_t tile_rows) {
    if (!p->band)
        return p->k.shape[2];
    int64_t live = (int64_t)p->band_hi - p->band_lo + tile_rows;
    return live < 1 ? 1 : (uint32_t)vka__min_u64((uint64_t)live, p->k.shape[2]);
}

/* Splits are worth their merge when the grid alone leaves the device idle. Nobody tells how many workgroups a device
 * holds, so the targets are by class: a few per core of a CPU, several hundred on a large GPU. */
static uint32_t choose_splits(const vka_device_caps *caps, const vka__attention_problem *p, uint64_t groups,
                              const vka__attention_plan *plan) {
    if (p->splits)
        return p->splits;
    uint32_t tile_rows = plan->main.spec[VKA_SPEC_BR];
    uint32_t target = caps->type == VKA_DEVICE_CPU ? 8 : caps->type == VKA_DEVICE_DISCRETE ? 512 : 64;
    target = plan->workgroups ? plan->workgroups : target;
    uint32_t least = caps->type == VKA_DEVICE_CPU ? 1024 : 256; /* keys that repay a split */
    uint64_t wanted = target / vka__max_u64(groups, 1), possible = live_keys(p, tile_rows) / least;
    uint64_t splits = vka__min_u64(vka__min_u64(wanted, possible), VKA_MAX_SPLITS);
    return splits < 2 ? 1 : (uint32_t)splits;
}

/* Operations of one dispatch. Watchdogs take the device from work that does not let others in (Windows: after 2 s), and
 * the safe place to let them in is between dispatches. Half a second on the slow devices of a class: 0.3 TFLOP/s from
 * these kernels on an integrated GPU, 2 on a discrete one, where fast ones still get some 20 ms. Software drivers have
 * no watchdog. */
#define DISPATCH_OPS_DISCRETE UINT64_C(1000000000000)
#define DISPATCH_OPS_OTHER    UINT64_C(150000000000)

/* Workgroups that keep to it, or 0 where one alone does not. All tiles count as the widest of the band. The merge needs
 * no cap: it reads one binding, once. */
static uint64_t most_groups(const vka_device_caps *caps, const vka__attention_problem *p,
                            const vka__attention_plan *plan) {
    if (caps->type == VKA_DEVICE_CPU)
        return UINT64_MAX;
    uint32_t tile_rows = plan->main.spec[VKA_SPEC_BR], dims = p->q.shape[3] + p->v.shape[3];
    uint64_t keys = vka__max_u32(vka__div_up(live_keys(p, tile_rows), plan->splits), 1);
    uint64_t budget = caps->type == VKA_DEVICE_DISCRETE ? DISPATCH_OPS_DISCRETE : DISPATCH_OPS_OTHER;
    return budget / (2 * keys * tile_rows * dims);
}

static uint64_t workspace_floats(const vka__attention_plan *plan, uint32_t slice_batches, uint32_t dv) {
    return (uint64_t)slice_batches * plan->params.ws_rows * plan->splits * (dv + 2);
}

static void plan_grids(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan,
                       uint32_t slice_batches, uint32_t slice_q_heads) {
    bool pack = plan->main.spec[VKA_SPEC_FLAGS] & VKA_FLAG_PACK;
    plan->heads = pack ? slice_q_heads / vka__group_of(p) : slice_q_heads;
    plan->tiles = vka__div_up(plan->rows, plan->main.spec[VKA_SPEC_BR]);
    uint64_t groups = (uint64_t)plan->tiles * plan->heads * slice_batches;
    plan->splits = choose_splits(caps, p, groups, plan);
    plan->params.ws_rows = slice_q_heads * p->q.shape[2];
    uint64_t floats = workspace_floats(plan, slice_batches, p->v.shape[3]);
    /* A workspace beyond one binding: unsplit is slower, but always possible. */
    if (floats > UINT64_C(1) << 30 || vka__align_up(floats * 4, 256) > caps->storage_range)
        plan->splits = 1;
    plan->workspace_bytes = plan->splits > 1 ? vka__align_up(floats * 4, 256) : 0;
    plan->params.splits = plan->splits;
    plan->params.ws_stats = slice_batches * plan->params.ws_rows * plan->splits * p->v.shape[3];
    memcpy(plan->main_grid.limit, caps->max_groups, sizeof plan->main_grid.limit);
    plan->main_grid.groups[0] = plan->tiles * plan->splits;
    plan->main_grid.groups[1] = plan->heads;
    plan->main_grid.groups[2] = slice_batches;
    vka__grid_cap(&plan->main_grid, most_groups(caps, p, plan));
    plan->main_chunks = vka__grid_chunks(&plan->main_grid);
    plan->merge_chunks = 0;
}

static void plan_merge(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan,
                       uint32_t slice_batches, uint32_t slice_q_heads) {
    uint32_t t = vka__min_u32(caps->type == VKA_DEVICE_CPU ? 8 : 64, caps->max_invocations);
    plan->main.spec[VKA_SPEC_FLAGS] |= VKA_FLAG_SPLIT;
    plan->merge.kernel = vka__kernel_for_storage(VKA__attention_merge_f32, p->q.dtype, caps);
    plan->merge.spec[VKA_SPEC_GROUP_SIZE] = t;
    plan->merge.spec[VKA_SPEC_DV] = p->v.shape[3];
    plan->merge.spec[VKA_SPEC_FLAGS] = plan->main.spec[VKA_SPEC_FLAGS] & VKA_FLAG_LSE;
    memcpy(plan->merge_grid.limit, caps->max_groups, sizeof plan->merge_grid.limit);
    plan->merge_grid.groups[0] = (uint32_t)(((uint64_t)p->q.shape[2] * p->v.shape[3] + t - 1) / t);
    plan->merge_grid.groups[1] = slice_q_heads;
    plan->merge_grid.groups[2] = slice_batches;
    plan->merge_chunks = vka__grid_chunks(&plan->merge_grid);
}

/* Strides as the kernels get them; those that a slice never takes are dropped, as they may exceed 32 bits. */
static vka_strides kernel_strides(const vka__view *v, vka__slice slice, uint32_t slice_heads) {
    return (vka_strides){
        .b = slice >= VKA__SLICE_BATCH || v->shape[0] < 2 ? 0 : (uint32_t)v->stride[0],
        .h = slice_heads < 2 ? 0 : (uint32_t)v->stride[1],
        .n = v->shape[2] < 2 ? 0 : (uint32_t)v->stride[2],
        .d = v->shape[3] < 2 ? 0 : (uint32_t)v->stride[3],
    };
}

vka_status vka__plan_attention(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan,
                               vka__refusal *refusal) {
    memset(plan, 0, sizeof *plan);
    if (!vka__choose_path(caps, p, plan, refusal) || !choose_slice(caps, p, plan, refusal))
        return VKA_UNSUPPORTED;
    uint32_t slice_batches = plan->slice == VKA__SLICE_ALL ? p->q.shape[0] : 1, slice_q_heads, slice_kv_heads;
    heads_of_slice(p, plan->slice, &slice_q_heads, &slice_kv_heads);
    if (plan->slice == VKA__SLICE_QUERY_HEAD) {
        plan->main.spec[VKA_SPEC_FLAGS] &= ~(uint32_t)VKA_FLAG_PACK;
        plan->rows = p->q.shape[2];
    }
    plan_grids(caps, p, plan, slice_batches, slice_q_heads);
    if (plan->splits > 1)
        plan_merge(caps, p, plan, slice_batches, slice_q_heads);
    plan->main.spec[VKA_SPEC_D] = p->q.shape[3];
    plan->main.spec[VKA_SPEC_DV] = p->v.shape[3];
    vka_attention_params *params = &plan->params;
    params->q = kernel_strides(&p->q, plan->slice, slice_q_heads);
    params->k = kernel_strides(&p->k, plan->slice, slice_kv_heads);
    params->v = kernel_strides(&p->v, plan->slice, slice_kv_heads);
    params->out_ = kernel_strides(&p->out, plan->slice, slice_q_heads);
    params->lse = kernel_strides(&p->lse, plan->slice, slice_q_heads);
    params->q_len = p->q.shape[2];
    params->kv_len = p->k.shape[2];
    params->group = vka__group_of(p);
    params->band_lo = p->band_lo;
    params->band_hi = p->band_hi;
    params->scale_log2 = (float)(p->scale * 1.4426950408889634);
    return VKA_OK;
}

uint64_t vka__attention_dispatches(const vka__attention_plan *plan) {
    return plan->slices * (plan->main_chunks + plan->merge_chunks);
}

/* The part of a view that slice (batch, key head) sees. */
static vka__binding bind_slice(const vka_device_caps *caps, const vka__view *view, vka__slice slice, uint32_t batch,
                               uint32_t head, uint32_t heads, vka__access access, uint32_t *base) {
    vka__view part = *view;
    uint64_t first = 0;
    if (slice >= VKA__SLICE_BATCH) {
        first += batch * view->stride[0];
        part.shape[0] = 1;
    }
    if (slice >= VKA__SLICE_HEAD) {
        first += head * view->stride[1];
        part.shape[1] = heads;
    }
    return vka__bind(caps, view, first, view->present ? vka__view_extent(&part, 0) : 0, access, base);
}

void vka__attention_dispatch(const vka_device_caps *caps, const vka__attention_problem *p,
                             const vka__attention_plan *plan, uint64_t index, vka__dispatch *out) {
    memset(out, 0, sizeof *out);
    uint64_t per_slice = plan->main_chunks + plan->merge_chunks, slice = index / per_slice;
    uint64_t chunk = index % per_slice;
    bool merge = chunk >= plan->main_chunks;
    uint32_t group, one;
    heads_of_slice(p, plan->slice, &group, &one);
    uint32_t steps = plan->slice >= VKA__SLICE_HEAD ? p->q.shape[1] / group : 1;
    uint32_t batch = (uint32_t)(slice / steps), q = (uint32_t)(slice % steps) * group, kv = q / vka__group_of(p);
    uint32_t *base = out->push.base;
    vka__binding *bind = out->binding;
    out->key = merge ? plan->merge : plan->main;
    if (!merge) {
        bind[VKA_BIND_Q] = bind_slice(caps, &p->q, plan->slice, batch, q, group, VKA__READ, &base[VKA_BIND_Q]);
        bind[VKA_BIND_K] = bind_slice(caps, &p->k, plan->slice, batch, kv, 1, VKA__READ, &base[VKA_BIND_K]);
        bind[VKA_BIND_V] = bind_slice(caps, &p->v, plan->slice, batch, kv, 1, VKA__READ, &base[VKA_BIND_V]);
    }
    if (merge || plan->splits == 1) {
        vka__access write = VKA__WRITE;
        bind[VKA_BIND_OUT] = bind_slice(caps, &p->out, plan->slice, batch, q, group, write, &base[VKA_BIND_OUT]);
        bind[VKA_BIND_LSE] = bind_slice(caps, &p->lse, plan->slice, batch, q, group, write, &base[VKA_BIND_LSE]);
    }
    if (plan->splits > 1)
        bind[VKA_BIND_WORKSPACE] =
            (vka__binding){.access = merge ? VKA__READ : VKA__WRITE, .offset = 0, .range = plan->workspace_bytes};
    uint32_t first[3];
    vka__grid_chunk(merge ? &plan->merge_grid : &plan->main_grid, merge ? chunk - plan->main_chunks : chunk, first,
                    out->groups);
    out->push.x0 = first[0];
    out->push.y0 = first[1];
    out->push.z0 = first[2];
}

size_t vka__explain_attention(const vka__attention_problem *p, const vka__attention_plan *plan, char *text,
                              size_t capacity) {
    static const char *const slices[] = {"everything", "one batch entry", "one key head", "one query head"};
    const uint32_t *spec = plan->main.spec, flags = spec[VKA_SPEC_FLAGS];
    int n =
        snprintf(text, capacity,
                 "path: %s\nwhy: %s\nkernel: %s\nquery_tile: %u\nkey_tile: %u\nworkgroup: %u\nrows_per_invocation: %u\n"
                 "invocations_per_row: %u\nshared_bytes: %u\npacked_heads: %s\nvector_loads: qk %s, v %s, out %s\n"
                 "band: %s\nsplits: %u\nbinding: %s\ndispatches: %llu\nworkspace_bytes: %llu\n",
                 vka__path_name(plan->path), plan->why, vka__kernel_name((vka__kernel)plan->main.kernel),
                 spec[VKA_SPEC_BR], spec[VKA_SPEC_BC], spec[VKA_SPEC_GROUP_SIZE], spec[VKA_SPEC_RM], spec[VKA_SPEC_TC],
                 plan->shared_bytes, flags & VKA_FLAG_PACK ? "yes" : "no", flags & VKA_FLAG_VEC4_QK ? "yes" : "no",
                 flags & VKA_FLAG_VEC4_V ? "yes" : "no", flags & VKA_FLAG_VEC4_OUT ? "yes" : "no",
                 p->band ? "yes" : "no", plan->splits, slices[plan->slice],
                 (unsigned long long)vka__attention_dispatches(plan), (unsigned long long)plan->workspace_bytes);
    return n < 0 ? 0 : (size_t)n;
}
