/* Slices: plans recorded a part at a time. A part ends between two dispatches, or between two workgroups of one.
 *
 * Workgroups of a dispatch do not wait for each other, so that any range of them can run by itself; but a kernel that
 * asks how many there are would be told how many the range has, and its dispatches stay whole. Numbers of workgroups
 * that the device would compute are taken to be as large as they may be: those without work end at once.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "vk/plan.h"

/* What a GPU computes while it moves a word of memory. */
#define OPS_OF_WORD 16

/* ---- work -------------------------------------------------------------------------------------------------------- */

static uint64_t groups_of(const vka__planned *d) {
    return (uint64_t)d->groups[0] * d->groups[1] * d->groups[2];
}

/* Of a workgroup: the larger one of what it computes and of its share of the memory that the dispatch sees. */
static uint64_t group_work(const vka_plan *p, uint64_t index) {
    const vka__planned *d = &p->dispatch[index];
    uint64_t bytes = 0, groups = vka__max_u64(groups_of(d), 1);
    for (uint32_t i = 0; i < d->range_count; ++i)
        bytes += p->ranges[d->range + i].end - p->ranges[d->range + i].begin;
    return vka__max_u64(vka__max_u64(d->group_ops, bytes / 4 * OPS_OF_WORD / groups), 1);
}

uint64_t vka_plan_work(const vka_plan *plan) {
    return plan ? plan->work : 0;
}

/* ---- preparation ------------------------------------------------------------------------------------------------- */

static vka_status refuse(const vka_plan *p, vka_status status, const char *field, const char *why) {
    char item[96];
    snprintf(item, sizeof item, "%s%s", p->commands.item, field);
    return vka__fail(&p->device->ctx, status, item, "%s", why);
}

static vka_status compile(vka_plan *p) {
    vka__pipeline_key keys[VKA__MAX_KEYS];
    VkPipeline pipelines[VKA__MAX_KEYS];
    memcpy(keys, p->keys, sizeof keys);
    for (uint32_t i = 0; i < p->commands.key_count; ++i)
        keys[i].any_group = 1;
    vka_status status = vka__get_pipelines(p->device, p->commands.item, keys, p->commands.key_count, pipelines);
    if (status != VKA_OK)
        return status;
    memcpy(p->keys, keys, sizeof keys);
    for (uint32_t i = 0; i < p->commands.key_count; ++i)
        if (keys[i].kernel != VKA__KERNEL_COUNT) {
            p->pipelines[i] = pipelines[i];
            p->whole[i] = vka__kernel_counts_groups((vka__kernel)keys[i].kernel);
        }
    return VKA_OK;
}

vka_status vka_plan_prepare_slices(vka_plan *p) {
    if (!p)
        return vka__fail(NULL, VKA_INVALID, "vka_plan_prepare_slices.plan", "must not be NULL");
    const vka__commands *op = &p->commands;
    if (p->sliced)
        return VKA_OK;
    if (op->workspace_bytes && !op->source[VKA__SOURCE_WORKSPACE].buffer)
        return refuse(p, VKA_INVALID, ".workspace",
                      "must be in the description of a plan for slices: recorders use their own anew each time");
    if (op->dispatches > VKA__MAX_SLICED_DISPATCHES)
        return refuse(p, VKA_UNSUPPORTED, "", "takes too many dispatches for slices");
    vka_status status = op->dispatches ? compile(p) : VKA_OK;
    if (status == VKA_OK && op->dispatches && !p->dispatch)
        status = vka__plan_create_dispatches(p);
    if (status != VKA_OK)
        return status;
    for (uint64_t i = op->counts; i < op->dispatches; ++i)
        p->work += group_work(p, i) * groups_of(&p->dispatch[i]);
    p->sliced = true;
    return VKA_OK;
}

/* ---- recording --------------------------------------------------------------------------------------------------- */

/* Is the place in a dispatch one at which a slice can have ended? */
static bool can_end_in(const vka_plan *p, const vka_slice *slice) {
    if (slice->dispatch >= p->commands.dispatches || slice->dispatch < p->commands.counts)
        return false;
    const vka__planned *d = &p->dispatch[slice->dispatch];
    return !slice->group || (slice->group < groups_of(d) && !p->whole[d->key]);
}

static vka_status check(const vka_recorder *r, const vka_plan *const *plans, uint32_t count, const vka_slice *slice) {
    static const char item[] = "vka_plan_record_slice";
    const vka__context *ctx = &r->device->ctx;
    if (!plans && count)
        return vka__fail(ctx, VKA_INVALID, "vka_plan_record_slice.plans", "must not be NULL");
    if (!slice)
        return vka__fail(ctx, VKA_INVALID, "vka_plan_record_slice.slice", "must not be NULL");
    for (uint32_t i = 0; i < count; ++i) {
        if (!plans[i] || plans[i]->device != r->device)
            return vka__fail(ctx, VKA_INVALID, "vka_plan_record_slice.plans",
                             "plan %u must be one of the recorder's device", i);
        if (!plans[i]->sliced)
            return vka__fail(ctx, VKA_INVALID, "vka_plan_record_slice.plans",
                             "plan %u is not prepared: vka_plan_prepare_slices", i);
    }
    const vka_plan *p = slice->plan < count ? plans[slice->plan] : NULL;
    bool begins = !slice->dispatch && !slice->group;
    bool exists = p ? begins || can_end_in(p, slice) : slice->plan == count && begins;
    if (!exists)
        return vka__fail(ctx, VKA_INVALID, "vka_plan_record_slice.slice", "is not where a slice of these plans ended");
    return vka__recorder_check(r, item);
}

/* Records of a plan what the budget allows, from where the slice is on; false: it is used up. */
static bool record_plan(vka_recorder *r, const vka_plan *p, uint64_t budget, vka_slice *slice) {
    uint64_t at = vka__max_u64(slice->dispatch, p->commands.counts);
    for (; at < p->commands.dispatches; ++at, slice->group = 0) {
        const vka__planned *d = &p->dispatch[at];
        uint64_t left = groups_of(d) - slice->group, cost = group_work(p, at);
        uint64_t most = (budget - vka__min_u64(budget, slice->work)) / cost;
        uint64_t least = !left || slice->work ? 0 : 1; /* a slice is never empty */
        uint64_t count = vka__min_u64(left, vka__max_u64(most, least));
        if (p->whole[d->key] && count < left)
            count = slice->work ? 0 : left;
        if (count) {
            const vka__command command = vka__plan_command(p, at);
            vka__emit_part(r, &command, slice->group, count);
            slice->work += count * cost;
        }
        if (count < left) {
            slice->dispatch = (uint32_t)at;
            slice->group += count;
            return false;
        }
    }
    slice->dispatch = 0;
    ++slice->plan;
    return true;
}

vka_status vka_plan_record_slice(vka_recorder *r, const vka_plan *const *plans, uint32_t count, uint64_t budget,
                                 vka_slice *slice) {
    if (!r)
        return vka__fail(NULL, VKA_INVALID, "vka_plan_record_slice.recorder", "must not be NULL");
    vka_status status = check(r, plans, count, slice);
    if (status != VKA_OK)
        return status;
    slice->work = 0;
    /* What it continues may have been recorded into another command buffer. */
    if ((slice->plan || slice->dispatch || slice->group) && slice->plan < count) {
        r->hazards.count = 0;
        vka__recorder_barrier(r, VKA__FOR_KERNELS);
    }
    for (bool more = true; more && slice->plan < count;) {
        const vka_plan *p = plans[slice->plan];
        vka__label_begin(r, p->commands.item);
        more = record_plan(r, p, budget, slice);
        vka__label_end(r);
    }
    slice->done = slice->plan == count;
    return VKA_OK;
}
