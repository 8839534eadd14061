/* Plans of vka_lsh_sort.
 * SPDX-License-Identifier: MIT */
#include "ops/lsh/lsh.h"

#include <string.h>

/* Tokens that an invocation of the hash owns, and columns that it multiplies them by at a time: OWN and COLUMNS. */
#define HASH_TOKENS  2
#define HASH_COLUMNS 16

/* A block is at least as long as the widest workgroups are, so that these have work. */
#define BLOCK_TOKENS 256
/* More blocks than this only make the walk down their counts longer. */
#define MAX_BLOCKS 1024
/* A table of counts has at most so many for each token. */
#define COUNTS_PER_TOKEN 2

static const vka__lsh *state_of(const vka__call *c) {
    return (const vka__lsh *)(const void *)c->state;
}

static const vka_lsh_params *params_of(const vka__call *c) {
    return (const vka_lsh_params *)(const void *)c->params;
}

/* ---- kernels --------------------------------------------------------------------------------------------------- */

static uint32_t flags_of(const vka__call *c) {
    return (vka__call_has(c, VKA__LSH_KEYS) ? VKA_FLAG_KEYS : 0) |
           (vka__call_has(c, VKA__LSH_BUCKETS) ? VKA_FLAG_BUCKETS : 0) |
           (vka__call_has(c, VKA__LSH_LENGTHS) ? VKA_FLAG_LENGTHS : 0) |
           (vka__view_vec4(&c->view[VKA__LSH_X]) ? VKA_FLAG_X_VEC4 : 0) |
           (vka__view_vec4(&c->view[VKA__LSH_KEYS]) ? VKA_FLAG_KEYS_VEC4 : 0);
}

/* A power of two. */
static uint32_t group_size(const vka_device_caps *caps, uint32_t most) {
    while (most > caps->max_invocations)
        most /= 2;
    return most;
}

static void choose_kernels(vka__call *c) {
    bool cpu = c->caps->type == VKA_DEVICE_CPU;
    const struct {
        vka__kernel kernel;
        uint32_t group, flags;
    } kernels[VKA__LSH_STEPS] = {
        {VKA__lsh_hash, cpu ? 16 : 64, flags_of(c)},
        {VKA__lsh_offsets, cpu ? 16 : BLOCK_TOKENS, 0},
        {VKA__lsh_place, cpu ? 32 : BLOCK_TOKENS, flags_of(c) & VKA_FLAG_LENGTHS},
    };
    for (int i = 0; i < VKA__LSH_STEPS; ++i)
        vka__call_add_key(c, kernels[i].kernel, group_size(c->caps, kernels[i].group))->spec[VKA_SPEC_FLAGS] =
            kernels[i].flags;
    c->key[VKA__LSH_HASH].spec[VKA_SPEC_TYPES] = (uint32_t)c->view[VKA__LSH_X].dtype << 4 * VKA_ROLE_X |
                                                 (uint32_t)c->view[VKA__LSH_KEYS].dtype << 4 * VKA_ROLE_OUT;
}

/* ---- blocks and slices ------------------------------------------------------------------------------------------ */

static void choose_blocks(vka__call *c) {
    const uint32_t *count = VKA__DESC(c, vka_lsh_sort_desc)->bucket_count;
    vka_lsh_params *params = VKA__PARAMS(c, vka_lsh_params);
    uint32_t tokens = c->view[VKA__LSH_X].shape[2], buckets = count[0] * (count[1] ? count[1] : 1);
    uint32_t least = vka__max_u32(vka__div_up(tokens, MAX_BLOCKS), vka__div_up(buckets, COUNTS_PER_TOKEN));
    params->buckets = buckets;
    params->block = vka__round_up(least, BLOCK_TOKENS);
    params->blocks = vka__div_up(tokens, params->block);
}

static uint64_t counts_of(const vka__call *c, uint64_t rows) {
    return rows * params_of(c)->blocks * params_of(c)->buckets;
}

static uint64_t workspace_of(const vka__call *c) {
    uint64_t rows = vka__volume(state_of(c)->part);
    return vka__align_up((counts_of(c, rows) + rows * c->view[VKA__LSH_X].shape[2]) * 4, 256);
}

static bool sees_box(const vka_device_caps *caps, const vka__view *view, const uint32_t box[3]) {
    vka__view part = *view;
    memcpy(part.shape, box, 3 * sizeof *box);
    return vka__fits_binding(caps, view, vka__view_extent(&part, 0));
}

/* NULL, or the tensor of a slice that no binding sees. */
static const char *first_misfit(const vka__call *c) {
    const uint32_t *part = state_of(c)->part, tokens[3] = {part[1], part[2], c->view[VKA__LSH_X].shape[2]};
    static const uint32_t by_token[] = {VKA__LSH_X, VKA__LSH_KEYS},
                          by_round[] = {VKA__LSH_PERMUTATION, VKA__LSH_BUCKETS};
    for (int i = 0; i < 2; ++i)
        if (!sees_box(c->caps, &c->view[by_token[i]], tokens))
            return c->op->args[by_token[i]].name;
    for (int i = 0; i < 2; ++i)
        if (!sees_box(c->caps, &c->view[by_round[i]], part))
            return c->op->args[by_round[i]].name;
    return workspace_of(c) > vka__min_u64(c->caps->storage_range, UINT64_C(1) << 32) ? "workspace" : NULL;
}

/* Slices are of equal size: everything; one round, the outermost dimension of most orders; one batch entry of it; one
 * head of that. */
static bool choose_slices(vka__call *c) {
    vka__lsh *state = VKA__STATE(c, vka__lsh);
    const uint32_t *shape = c->view[VKA__LSH_PERMUTATION].shape;
    const uint32_t part[][3] = {{shape[0], shape[1], shape[2]}, {1, shape[1], shape[2]}, {1, 1, shape[2]}, {1, 1, 1}};
    const char *misfit = NULL;
    for (int i = 0; i < 4; ++i) {
        memcpy(state->part, part[i], sizeof state->part);
        misfit = first_misfit(c);
        if (!misfit)
            break;
    }
    if (misfit)
        return vka__refuse_span(c->caps, misfit, "one head", &c->refusal);
    for (int dim = 0; dim < 3; ++dim)
        state->parts[dim] = shape[dim] / state->part[dim];
    c->workspace_bytes = workspace_of(c);
    return true;
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

static void fill_params(vka__call *c) {
    const vka__lsh *state = state_of(c);
    const vka__view *x = &c->view[VKA__LSH_X], *rotations = &c->view[VKA__LSH_ROTATIONS];
    const uint32_t *count = VKA__DESC(c, vka_lsh_sort_desc)->bucket_count;
    const uint32_t tokens[3] = {state->part[1], state->part[2], x->shape[2]};
    vka_lsh_params *params = VKA__PARAMS(c, vka_lsh_params);
    params->x = vka__box_strides(x, tokens);
    params->keys = vka__box_strides(&c->view[VKA__LSH_KEYS], tokens);
    params->rotations = vka__box_strides(rotations, rotations->shape);
    params->permutation = vka__box_strides(&c->view[VKA__LSH_PERMUTATION], state->part);
    params->buckets_ = vka__box_strides(&c->view[VKA__LSH_BUCKETS], state->part);
    params->tokens = x->shape[2];
    params->dim = x->shape[3];
    params->columns = count[0] / 2;
    params->more_columns = count[1] / 2;
    params->ws_buckets = (uint32_t)counts_of(c, vka__volume(state->part));
    params->length_step = (uint32_t)c->view[VKA__LSH_LENGTHS].stride[3];
    params->epsilon = state->epsilon * (float)x->shape[3];
}

static void plan_grids(vka__call *c) {
    vka__lsh *state = VKA__STATE(c, vka__lsh);
    const vka_lsh_params *params = params_of(c);
    uint64_t columns = vka__round_up(params->columns, HASH_COLUMNS) + vka__round_up(params->more_columns, HASH_COLUMNS);
    const uint64_t ops[VKA__LSH_STEPS] = {
        2 * columns * params->dim * params->block,
        (uint64_t)params->blocks * params->buckets,
        (uint64_t)c->key[VKA__LSH_PLACE].spec[VKA_SPEC_GROUP_SIZE] * params->block,
    };
    for (int i = 0; i < VKA__LSH_STEPS; ++i) {
        vka__grid *grid = &state->step[i].grid;
        memcpy(grid->limit, c->caps->max_groups, sizeof grid->limit);
        grid->groups[0] = i == VKA__LSH_OFFSETS ? 1 : params->blocks;
        grid->groups[1] = (uint32_t)vka__volume(state->part);
        grid->groups[2] = 1;
        vka__grid_cap(grid, vka__dispatch_ops(c->caps) / ops[i]);
        state->step[i].dispatches = vka__grid_chunks(grid);
    }
}

static uint64_t slice_dispatches(const vka__lsh *state) {
    uint64_t sum = 0;
    for (int i = 0; i < VKA__LSH_STEPS; ++i)
        sum += state->step[i].dispatches;
    return sum;
}

bool vka__lsh_plan(vka__call *c) {
    if (!vka__volume(c->view[VKA__LSH_X].shape))
        return true;
    if (!vka__sees_all(c->caps, &c->view[VKA__LSH_ROTATIONS], "rotations", &c->refusal) ||
        !vka__sees_all(c->caps, &c->view[VKA__LSH_LENGTHS], "lengths", &c->refusal))
        return false;
    choose_kernels(c);
    choose_blocks(c);
    if (!choose_slices(c))
        return false;
    fill_params(c);
    plan_grids(c);
    c->dispatches = vka__volume(state_of(c)->parts) * slice_dispatches(state_of(c));
    return true;
}

/* ---- dispatches ------------------------------------------------------------------------------------------------- */

static void bind(const vka__call *c, int step, const uint32_t begin[3], vka__dispatch *out) {
    const uint32_t *part = state_of(c)->part;
    const uint32_t tokens_begin[3] = {begin[1], begin[2], 0};
    const uint32_t tokens[3] = {part[1], part[2], c->view[VKA__LSH_X].shape[2]};
    const struct {
        int step;
        uint32_t arg, binding;
        const uint32_t *begin, *size;
    } boxes[] = {
        {VKA__LSH_PLACE, VKA__LSH_PERMUTATION, VKA_BIND_SORTED, begin, part},
        {VKA__LSH_HASH, VKA__LSH_X, VKA_BIND_X, tokens_begin, tokens},
        {VKA__LSH_HASH, VKA__LSH_KEYS, VKA_BIND_KEYS, tokens_begin, tokens},
        {VKA__LSH_HASH, VKA__LSH_BUCKETS, VKA_BIND_BUCKETS, begin, part},
    };
    out->binding[VKA_BIND_SCRATCH] =
        (vka__binding){.access = VKA__READ_WRITE, .source = VKA__SOURCE_WORKSPACE, .range = c->workspace_bytes};
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; ++i)
        if (boxes[i].step == step)
            out->binding[boxes[i].binding] =
                vka__bind_box(c->caps, &c->view[boxes[i].arg], boxes[i].begin, boxes[i].size,
                              (vka__access)c->op->args[boxes[i].arg].access, &out->push.base[boxes[i].binding]);
    if (step != VKA__LSH_OFFSETS)
        vka__bind_all(c->caps, &c->view[VKA__LSH_LENGTHS], VKA_BIND_SORT_LENS, VKA__READ, out);
    if (step == VKA__LSH_HASH)
        vka__bind_all(c->caps, &c->view[VKA__LSH_ROTATIONS], VKA_BIND_ROTATIONS, VKA__READ, out);
}

void vka__lsh_dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const vka__lsh *state = state_of(c);
    uint64_t each = slice_dispatches(state), chunk = index % each;
    uint32_t begin[3], size[3], first[3];
    int step = 0;
    for (; chunk >= state->step[step].dispatches; ++step)
        chunk -= state->step[step].dispatches;
    vka__box_at(c->view[VKA__LSH_PERMUTATION].shape, state->part, state->parts, index / each, begin, size);
    bind(c, step, begin, out);
    vka__grid_chunk(&state->step[step].grid, chunk, first, out->groups);
    out->key = (uint32_t)step;
    out->push.x0 = first[0];
    out->push.y0 = first[1];
    out->push.z0 = begin[0];
    out->push.b0 = begin[1];
    out->push.h0 = begin[2];
    out->push.rows = (uint32_t)vka__volume(size);
    out->push.dim1 = size[1];
    out->push.dim2 = size[2];
}

void vka__lsh_explain(const vka__call *c, vka__text *text) {
    const vka__pipeline_key *k = c->key;
    vka__say(text,
             "more_kernels: %s, %s\nmore_workgroups: %u, %u\nbuckets: %u\nvector_loads: %s\nblock: %u tokens\n"
             "blocks: %u\nrows: %llu rounds, entries and heads\nslices: %llu\n",
             vka__kernel_name((vka__kernel)k[1].kernel), vka__kernel_name((vka__kernel)k[2].kernel),
             k[1].spec[VKA_SPEC_GROUP_SIZE], k[2].spec[VKA_SPEC_GROUP_SIZE], params_of(c)->buckets,
             vka__yes(k[0].spec[VKA_SPEC_FLAGS] & VKA_FLAG_X_VEC4), params_of(c)->block, params_of(c)->blocks,
             (unsigned long long)vka__volume(state_of(c)->part), (unsigned long long)vka__volume(state_of(c)->parts));
}
