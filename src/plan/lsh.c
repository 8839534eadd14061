/* Plans of vka_lsh_sort: a kernel hashes and counts, one turns counts into places, one puts tokens there.
 * SPDX-License-Identifier: MIT */
#include "plan/lsh.h"

#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(vka_lsh_params) <= sizeof(vka_attention_params), "a recorder's slots have room for it");

/* Tokens that an invocation of the hash owns, and columns that it multiplies them by at a time: OWN and COLUMNS. */
#define HASH_TOKENS  2
#define HASH_COLUMNS 16

/* A block is at least as long as the widest workgroups are, so that these have work. */
#define BLOCK_TOKENS 256
/* More blocks than this only make the walk down their counts longer. */
#define MAX_BLOCKS 1024
/* A table of counts has at most so many for each token. */
#define COUNTS_PER_TOKEN 2

/* ---- kernels --------------------------------------------------------------------------------------------------- */

static uint32_t flags_of(const vka__lsh_problem *p) {
    return (p->keys.present ? VKA_FLAG_KEYS : 0) | (p->buckets.present ? VKA_FLAG_BUCKETS : 0) |
           (p->lengths.present ? VKA_FLAG_LENGTHS : 0) | (vka__view_vec4(&p->x) ? VKA_FLAG_X_VEC4 : 0) |
           (vka__view_vec4(&p->keys) ? VKA_FLAG_KEYS_VEC4 : 0);
}

/* A power of two. */
static uint32_t group_size(const vka_device_caps *caps, uint32_t most) {
    while (most > caps->max_invocations)
        most /= 2;
    return most;
}

static void choose_kernels(const vka_device_caps *caps, const vka__lsh_problem *p, vka__lsh_plan *plan) {
    bool cpu = caps->type == VKA_DEVICE_CPU;
    const struct {
        uint32_t kernel, group, flags;
    } kernels[VKA__LSH_STEPS] = {
        {VKA__lsh_hash, cpu ? 16 : 64, flags_of(p)},
        {VKA__lsh_offsets, cpu ? 16 : BLOCK_TOKENS, 0},
        {VKA__lsh_place, cpu ? 32 : BLOCK_TOKENS, flags_of(p) & VKA_FLAG_LENGTHS},
    };
    for (int i = 0; i < VKA__LSH_STEPS; ++i) {
        plan->step[i].key.kernel = kernels[i].kernel;
        plan->step[i].key.spec[VKA_SPEC_GROUP_SIZE] = group_size(caps, kernels[i].group);
        plan->step[i].key.spec[VKA_SPEC_FLAGS] = kernels[i].flags;
    }
    plan->step[VKA__LSH_HASH].key.spec[VKA_SPEC_TYPES] =
        (uint32_t)p->x.dtype << 4 * VKA_ROLE_X | (uint32_t)p->keys.dtype << 4 * VKA_ROLE_OUT;
}

/* ---- blocks and slices ------------------------------------------------------------------------------------------ */

static void choose_blocks(const vka__lsh_problem *p, vka__lsh_plan *plan) {
    uint32_t tokens = p->x.shape[2], more = p->bucket_count[1];
    uint32_t buckets = p->bucket_count[0] * (more ? more : 1);
    uint32_t least = vka__max_u32(vka__div_up(tokens, MAX_BLOCKS), vka__div_up(buckets, COUNTS_PER_TOKEN));
    plan->params.buckets = buckets;
    plan->params.block = vka__round_up(least, BLOCK_TOKENS);
    plan->params.blocks = vka__div_up(tokens, plan->params.block);
}

static uint64_t counts_of(const vka__lsh_plan *plan, uint64_t rows) {
    return rows * plan->params.blocks * plan->params.buckets;
}

static uint64_t workspace_of(const vka__lsh_problem *p, const vka__lsh_plan *plan) {
    uint64_t rows = vka__volume(plan->part);
    return vka__align_up((counts_of(plan, rows) + rows * p->x.shape[2]) * 4, 256);
}

static bool sees_box(const vka_device_caps *caps, const vka__view *view, const uint32_t box[3]) {
    vka__view part = *view;
    memcpy(part.shape, box, 3 * sizeof *box);
    return vka__fits_binding(caps, view, vka__view_extent(&part, 0));
}

/* NULL, or the tensor of a slice that no binding sees. */
static const char *hides(const vka_device_caps *caps, const vka__lsh_problem *p, const vka__lsh_plan *plan) {
    const uint32_t tokens[3] = {plan->part[1], plan->part[2], p->x.shape[2]};
    const struct {
        const char *name;
        const vka__view *view;
        const uint32_t *box;
    } tensors[] = {
        {"x", &p->x, tokens},
        {"keys", &p->keys, tokens},
        {"order", &p->order, plan->part},
        {"buckets", &p->buckets, plan->part},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; ++i)
        if (!sees_box(caps, tensors[i].view, tensors[i].box))
            return tensors[i].name;
    return workspace_of(p, plan) > vka__min_u64(caps->storage_range, UINT64_C(1) << 32) ? "workspace" : NULL;
}

/* Slices are of equal size: everything; one round, the outermost dimension of most orders; one batch entry of it; one
 * head of that. */
static bool choose_slices(const vka_device_caps *caps, const vka__lsh_problem *p, vka__lsh_plan *plan,
                          vka__refusal *refusal) {
    const uint32_t *shape = p->order.shape;
    const uint32_t sizes[][3] = {{shape[0], shape[1], shape[2]}, {1, shape[1], shape[2]}, {1, 1, shape[2]}, {1, 1, 1}};
    const char *hidden = NULL;
    for (int i = 0; i < 4; ++i) {
        memcpy(plan->part, sizes[i], sizeof plan->part);
        hidden = hides(caps, p, plan);
        if (!hidden)
            break;
    }
    if (hidden)
        return vka__refuse_span(caps, hidden, "one head", refusal);
    for (int dim = 0; dim < 3; ++dim)
        plan->parts[dim] = shape[dim] / plan->part[dim];
    plan->workspace_bytes = workspace_of(p, plan);
    return true;
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

static void fill_params(const vka__lsh_problem *p, vka__lsh_plan *plan) {
    const uint32_t tokens[3] = {plan->part[1], plan->part[2], p->x.shape[2]};
    vka_lsh_params *params = &plan->params;
    params->x = vka__box_strides(&p->x, tokens);
    params->keys = vka__box_strides(&p->keys, tokens);
    params->rotations = vka__box_strides(&p->rotations, p->rotations.shape);
    params->order = vka__box_strides(&p->order, plan->part);
    params->buckets_ = vka__box_strides(&p->buckets, plan->part);
    params->tokens = p->x.shape[2];
    params->dim = p->x.shape[3];
    params->columns = p->bucket_count[0] / 2;
    params->more_columns = p->bucket_count[1] / 2;
    params->ws_buckets = (uint32_t)counts_of(plan, vka__volume(plan->part));
    params->length_step = (uint32_t)p->lengths.stride[3];
    params->epsilon = p->epsilon * (float)p->x.shape[3];
}

static void plan_grids(const vka_device_caps *caps, vka__lsh_plan *plan) {
    const vka_lsh_params *params = &plan->params;
    uint64_t columns = vka__round_up(params->columns, HASH_COLUMNS) + vka__round_up(params->more_columns, HASH_COLUMNS);
    const uint64_t ops[VKA__LSH_STEPS] = {
        2 * columns * params->dim * params->block,
        (uint64_t)params->blocks * params->buckets,
        (uint64_t)plan->step[VKA__LSH_PLACE].key.spec[VKA_SPEC_GROUP_SIZE] * params->block,
    };
    for (int i = 0; i < VKA__LSH_STEPS; ++i) {
        vka__grid *grid = &plan->step[i].grid;
        memcpy(grid->limit, caps->max_groups, sizeof grid->limit);
        grid->groups[0] = i == VKA__LSH_OFFSETS ? 1 : params->blocks;
        grid->groups[1] = (uint32_t)vka__volume(plan->part);
        grid->groups[2] = 1;
        vka__grid_cap(grid, vka__dispatch_ops(caps) / ops[i]);
        plan->step[i].dispatches = vka__grid_chunks(grid);
    }
}

vka_status vka__plan_lsh(const vka_device_caps *caps, const vka__lsh_problem *p, vka__lsh_plan *plan,
                         vka__refusal *refusal) {
    memset(plan, 0, sizeof *plan);
    if (!vka__sees_all(caps, &p->rotations, "rotations", refusal) ||
        !vka__sees_all(caps, &p->lengths, "lengths", refusal))
        return VKA_UNSUPPORTED;
    choose_kernels(caps, p, plan);
    choose_blocks(p, plan);
    if (!choose_slices(caps, p, plan, refusal))
        return VKA_UNSUPPORTED;
    fill_params(p, plan);
    plan_grids(caps, plan);
    return VKA_OK;
}

/* ---- dispatches ------------------------------------------------------------------------------------------------- */

static uint64_t slice_dispatches(const vka__lsh_plan *plan) {
    uint64_t sum = 0;
    for (int i = 0; i < VKA__LSH_STEPS; ++i)
        sum += plan->step[i].dispatches;
    return sum;
}

uint64_t vka__lsh_dispatches(const vka__lsh_plan *plan) {
    return vka__volume(plan->parts) * slice_dispatches(plan);
}

static void bind(const vka_device_caps *caps, const vka__lsh_problem *p, const vka__lsh_plan *plan, int step,
                 const uint32_t begin[3], vka__dispatch *out) {
    const uint32_t tokens_begin[3] = {begin[1], begin[2], 0}, tokens[3] = {plan->part[1], plan->part[2], p->x.shape[2]};
    uint32_t *base = out->push.base;
    out->binding[VKA_BIND_SCRATCH] = (vka__binding){.access = VKA__READ_WRITE, .range = plan->workspace_bytes};
    if (step != VKA__LSH_OFFSETS)
        vka__bind_all(caps, &p->lengths, VKA_BIND_SORT_LENS, 0, VKA__READ, out);
    if (step == VKA__LSH_PLACE)
        out->binding[VKA_BIND_SORTED] =
            vka__bind_box(caps, &p->order, begin, plan->part, VKA__WRITE, &base[VKA_BIND_SORTED]);
    if (step != VKA__LSH_HASH)
        return;
    vka__bind_all(caps, &p->rotations, VKA_BIND_ROTATIONS, 0, VKA__READ, out);
    out->binding[VKA_BIND_X] = vka__bind_box(caps, &p->x, tokens_begin, tokens, VKA__READ, &base[VKA_BIND_X]);
    out->binding[VKA_BIND_KEYS] = vka__bind_box(caps, &p->keys, tokens_begin, tokens, VKA__WRITE, &base[VKA_BIND_KEYS]);
    out->binding[VKA_BIND_BUCKETS] =
        vka__bind_box(caps, &p->buckets, begin, plan->part, VKA__WRITE, &base[VKA_BIND_BUCKETS]);
}

void vka__lsh_dispatch(const vka_device_caps *caps, const vka__lsh_problem *p, const vka__lsh_plan *plan,
                       uint64_t index, vka__dispatch *out) {
    uint64_t chunk = index % slice_dispatches(plan);
    uint32_t begin[3], size[3], first[3];
    int step = 0;
    for (; chunk >= plan->step[step].dispatches; ++step)
        chunk -= plan->step[step].dispatches;
    vka__box_at(p->order.shape, plan->part, plan->parts, index / slice_dispatches(plan), begin, size);
    memset(out, 0, sizeof *out);
    bind(caps, p, plan, step, begin, out);
    vka__grid_chunk(&plan->step[step].grid, chunk, first, out->groups);
    out->key = plan->step[step].key;
    out->push.x0 = first[0];
    out->push.y0 = first[1];
    out->push.z0 = begin[0];
    out->push.b0 = begin[1];
    out->push.h0 = begin[2];
    out->push.rows = (uint32_t)vka__volume(size);
    out->push.dim1 = size[1];
    out->push.dim2 = size[2];
}

/* ---- explain ---------------------------------------------------------------------------------------------------- */

size_t vka__explain_lsh(const vka__lsh_plan *plan, char *text, size_t capacity) {
    const vka__lsh_step *s = plan->step;
    int n = snprintf(
        text, capacity,
        "kernels: %s, %s, %s\nworkgroups: %u, %u, %u\nbuckets: %u\nvector_loads: %s\nblock: %u tokens\nblocks: %u\n"
        "rows: %llu rounds, entries and heads\nslices: %llu\ndispatches: %llu\nworkspace_bytes: %llu\n",
        vka__kernel_name((vka__kernel)s[0].key.kernel), vka__kernel_name((vka__kernel)s[1].key.kernel),
        vka__kernel_name((vka__kernel)s[2].key.kernel), s[0].key.spec[VKA_SPEC_GROUP_SIZE],
        s[1].key.spec[VKA_SPEC_GROUP_SIZE], s[2].key.spec[VKA_SPEC_GROUP_SIZE], plan->params.buckets,
        s[0].key.spec[VKA_SPEC_FLAGS] & VKA_FLAG_X_VEC4 ? "yes" : "no", plan->params.block, plan->params.blocks,
        (unsigned long long)vka__volume(plan->part), (unsigned long long)vka__volume(plan->parts),
        (unsigned long long)vka__lsh_dispatches(plan), (unsigned long long)plan->workspace_bytes);
    return n < 0 ? 0 : (size_t)n;
}
