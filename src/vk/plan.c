/* Plans: operations that were checked and planned once, recorded many times.
 *
 * What a plan records is known when it is made, unless a part of it belongs to the recorder: a workspace that the
 * description does not name, or numbers of workgroups that the device computes. Without these a plan has descriptor
 * sets of its own, and recording it is a handful of commands a dispatch. With them, and where there are very many
 * dispatches, sets are written while recording, as they are without a plan.
 * SPDX-License-Identifier: MIT */
#include "vk/plan.h"

#include <string.h>

/* More would take more memory than their recording is worth. */
#define MAX_OWN_DISPATCHES 1024

static bool has_own_sets(const vka__commands *op) {
    bool named = !op->workspace_bytes || op->source[VKA__SOURCE_WORKSPACE].buffer;
    return named && !op->counts && op->dispatches && op->dispatches <= MAX_OWN_DISPATCHES;
}

/* From one parameter block to the next. */
static uint64_t block_stride(const vka_plan *p) {
    return vka__align_up(p->commands.params_size, vka__max_u32(p->device->uniform_align, 16));
}

/* Parameters first, then the host values of each source, which become tensors like any other. */
static vka_status create_memory(vka_plan *p) {
    vka__commands *op = &p->commands;
    uint64_t at = vka__align_up(op->param_blocks * block_stride(p), vka__max_u32(p->device->caps.storage_align, 16));
    uint64_t bytes = at;
    for (uint32_t i = VKA__SOURCE_ARGS; i < op->source_count; ++i)
        bytes += vka__value_room(p->device, op, i);
    vka_status status =
        vka__buffer_create(p->device, op->item, bytes, VKA_MEMORY_UPLOAD,
                           VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT | VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, &p->memory);
    if (status != VKA_OK)
        return status;
    for (uint32_t i = 0; i < op->param_blocks; ++i)
        memcpy((char *)p->memory->mapped + i * block_stride(p), (const char *)op->params + i * op->params_size,
               op->params_size);
    for (uint32_t i = VKA__SOURCE_ARGS; i < op->source_count; ++i) {
        uint64_t room = vka__value_room(p->device, op, i);
        if (!room)
            continue;
        memcpy((char *)p->memory->mapped + at, op->source[i].values, op->source[i].value_bytes);
        op->source[i] = (vka__source){.buffer = p->memory, .offset = at};
        at += room;
    }
    return VKA_OK;
}

static void plan_dispatch(vka_plan *p, const vka__place *at, uint64_t index, VkDescriptorSet set, uint32_t range) {
    const vka__commands *op = &p->commands;
    vka__dispatch dispatch;
    vka__bound bound;
    op->dispatch(op->user, index, &dispatch);
    vka__bind_dispatch(p->device, at,
                       (VkDescriptorBufferInfo){p->memory->handle, dispatch.params * block_stride(p),
                                                vka__align_up(op->params_size, 16)},
                       &dispatch, &bound);
    vka__write_set(p->device, set, bound.info);
    memcpy(&p->ranges[range], bound.range, bound.range_count * sizeof *bound.range);
    p->dispatch[index] = (vka__planned){
        .key = dispatch.key,
        .group_ops = dispatch.group_ops,
        .set = set,
        .push = dispatch.push,
        .groups = {dispatch.groups[0], dispatch.groups[1], dispatch.groups[2]},
        .range = range,
        .range_count = bound.range_count,
    };
}

static void free_dispatches(vka_plan *p) {
    vka_device *d = p->device;
    if (p->pool)
        d->vk.vkDestroyDescriptorPool(d->handle, p->pool, NULL);
    vka__free(&d->ctx, p->dispatch);
    vka__free(&d->ctx, p->ranges);
    p->pool = VK_NULL_HANDLE;
    p->dispatch = NULL;
    p->ranges = NULL;
}

vka_status vka__plan_create_dispatches(vka_plan *p) {
    vka_device *d = p->device;
    const vka__commands *op = &p->commands;
    /* What computes numbers of workgroups needs memory of the recorder. */
    uint32_t first = op->counts, count = (uint32_t)op->dispatches;
    VkDescriptorSet *sets = vka__alloc(&d->ctx, count, sizeof *sets);
    p->dispatch = vka__alloc(&d->ctx, count, sizeof *p->dispatch);
    p->ranges = vka__alloc(&d->ctx, (size_t)count * VKA_MAX_BINDINGS, sizeof *p->ranges);
    vka_status status = sets && p->dispatch && p->ranges
                            ? vka__create_sets(d, op->item, count, &p->pool, sets)
                            : vka__fail(&d->ctx, VKA_OUT_OF_MEMORY, op->item, "no host memory");
    vka__place at[VKA__MAX_SOURCES];
    vka__place_sources(op, at);
    for (uint32_t i = first, range = 0; i < count && status == VKA_OK; ++i) {
        plan_dispatch(p, at, i, sets[i], range);
        range += p->dispatch[i].range_count;
    }
    vka__free(&d->ctx, sets);
    if (status != VKA_OK)
        free_dispatches(p);
    return status;
}

static vka_status fill_in(vka_plan *p) {
    const vka__commands *op = &p->commands;
    if (!op->dispatches)
        return VKA_OK;
    vka_status status = vka__get_pipelines(p->device, op->item, op->keys, op->key_count, p->pipelines);
    if (status == VKA_OK)
        status = create_memory(p);
    return status == VKA_OK && has_own_sets(op) ? vka__plan_create_dispatches(p) : status;
}

vka_status vka__plan_create(vka_device *d, const vka__commands *op, void *owned, vka_plan **plan) {
    *plan = NULL;
    vka_plan *p = vka__alloc(&d->ctx, 1, sizeof *p);
    if (!p) {
        vka__free(&d->ctx, owned);
        return vka__fail(&d->ctx, VKA_OUT_OF_MEMORY, op->item, "no host memory");
    }
    p->device = d;
    p->commands = *op;
    memcpy(p->keys, op->keys, op->key_count * sizeof *op->keys);
    p->commands.keys = p->keys;
    p->owned = owned;
    vka__device_count(d, VKA__CHILD_PLAN, 1);
    vka_status status = fill_in(p);
    if (status != VKA_OK) {
        vka_plan_destroy(&p);
        return status;
    }
    if (p->dispatch) {
        vka__free(&d->ctx, p->owned);
        p->owned = NULL;
    }
    *plan = p;
    return VKA_OK;
}

void vka_plan_destroy(vka_plan **plan) {
    if (!plan || !*plan)
        return;
    vka_plan *p = *plan;
    *plan = NULL;
    vka_device *d = p->device;
    vka__device_count(d, VKA__CHILD_PLAN, -1);
    free_dispatches(p);
    vka_buffer_destroy(&p->memory);
    vka__free(&d->ctx, p->owned);
    vka__free(&d->ctx, p);
}

vka__command vka__plan_command(const vka_plan *p, uint64_t index) {
    const vka__planned *d = &p->dispatch[index];
    return (vka__command){
        .pipeline = p->pipelines[d->key],
        .set = d->set,
        .push = &d->push,
        .range = &p->ranges[d->range],
        .range_count = d->range_count,
        .groups = {d->groups[0], d->groups[1], d->groups[2]},
    };
}

vka_status vka_plan_record(vka_recorder *r, const vka_plan *p) {
    if (!r)
        return vka__fail(NULL, VKA_INVALID, "vka_plan_record.recorder", "must not be NULL");
    if (!p || p->device != r->device)
        return vka__fail(&r->device->ctx, VKA_INVALID, "vka_plan_record.plan",
                         "must be a plan of the recorder's device");
    vka_status status = vka__recorder_check(r, p->commands.item);
    if (status != VKA_OK || !p->dispatch || p->commands.counts)
        return status == VKA_OK ? vka__record_compiled(r, &p->commands, p->pipelines) : status;
    vka__label_begin(r, p->commands.item);
    for (uint64_t i = 0; i < p->commands.dispatches; ++i) {
        const vka__command command = vka__plan_command(p, i);
        vka__emit(r, &command);
    }
    vka__label_end(r);
    return VKA_OK;
}
