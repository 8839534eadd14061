/* vka_lsh_sort.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <vkattn/lsh.h>

#include "op/op.h"
#include "ops/lsh/blocks.h"

enum { X, ROTATIONS, LENGTHS, PERMUTATION, BUCKETS, KEYS, ARGS };
enum { EPSILON, NUMBERS };
/* Three kernels, each on all rows (round, entry, head) of a slice: one hashes and counts, one turns counts into slots,
 * one puts tokens there. Their pipelines have the same numbers. */
enum { HASH, OFFSETS, PLACE, STEPS };

#define DESC(field) offsetof(vka_lsh_sort_desc, field)
#define MAX_BUCKETS 65536

/* R: rounds. C: columns of the rotations. */
#define TENSOR(name, shape, types, f, a, b, e)                                                                         \
    { #name, shape, DESC(name), VKA__NONE, types, .flags = f, .access = a, .binding = b, .extent = e }
#define I32 VKA__TYPE(VKA_I32)
static const vka__arg args[ARGS] = {
    [X] = TENSOR(x, "B H N D", VKA__FLOATS, VKA__REQUIRED, VKA__READ, VKA_BIND_X, VKA__CUSTOM),
    [ROTATIONS] =
        TENSOR(rotations, "R 1|H D C", VKA__TYPE(VKA_F32), VKA__REQUIRED, VKA__READ, VKA_BIND_ROTATIONS, VKA__ALL),
    [LENGTHS] = TENSOR(lengths, "B", I32, VKA__LIST, VKA__READ, VKA_BIND_SORT_LENS, VKA__ALL),
    [PERMUTATION] = TENSOR(permutation, "R B H N", I32, VKA__REQUIRED, VKA__WRITE, VKA_BIND_SORTED, VKA__CUSTOM),
    [BUCKETS] = TENSOR(buckets, "R B H N", I32, 0, VKA__WRITE, VKA_BIND_BUCKETS, VKA__CUSTOM),
    [KEYS] = TENSOR(keys, "B H N D", VKA__FLOATS, 0, VKA__WRITE, VKA_BIND_KEYS, VKA__CUSTOM),
};
static const vka__limit limits[] = {{'D', 1, 1024}, {'R', 1, UINT32_MAX}, {0}};
static const vka__number numbers[NUMBERS] = {
    [EPSILON] = {"epsilon", DESC(epsilon), VKA__NUMBER_F32, true, VKA__LEAST, VKA__FINITE, 1e-6, NULL},
};

typedef struct state {
    uint32_t part[3];      /* a slice has so many rounds, batch entries and heads: all, or one     */
    uint32_t parts[3];     /* slices of each; one after the other takes the same workspace         */
    vka__grid grid[STEPS]; /* blocks x rows                                                        */
    uint64_t counts;       /* of a slice: tokens in each bucket of each block of each row          */
    uint64_t of_slice;     /* dispatches                                                           */
} state;

static const state *state_of(const vka__call *c) {
    return (const state *)(const void *)c->state;
}

/* ---- checks ---------------------------------------------------------------------------------------------------- */

static vka_status sizes(vka__call *c) {
    const uint32_t *n = VKA__DESC(c, vka_lsh_sort_desc)->bucket_count;
    if (n[0] < 2 || n[0] % 2 || n[1] % 2)
        return vka__call_fail(c, VKA_INVALID, "bucket_count", "is {%u, %u}, but must be even, and the first at least 2",
                              n[0], n[1]);
    if (n[0] > MAX_BUCKETS || n[1] > MAX_BUCKETS / n[0])
        return vka__call_fail(c, VKA_INVALID, "bucket_count", "{%u, %u} are more than %d buckets", n[0], n[1],
                              MAX_BUCKETS);
    vka__call_bind_letter(c, 'C', (n[0] + n[1]) / 2);
    return VKA_OK;
}

static vka_status check(vka__call *c) {
    uint32_t rounds = vka__call_letter(c, 'R'), batch = vka__call_letter(c, 'B'), tokens = vka__call_letter(c, 'N');
    if ((uint64_t)batch * vka__call_letter(c, 'H') > UINT32_MAX / rounds)
        return vka__call_fail(c, VKA_UNSUPPORTED, "x", "has more than 2^32 - 1 heads in all rounds");
    return vka__call_check_lengths(c, LENGTHS, batch, tokens);
}

/* ---- kernels --------------------------------------------------------------------------------------------------- */

/* Columns that an invocation of the hash multiplies its tokens by at a time: COLUMNS of hash.comp. */
#define HASH_COLUMNS 16

static uint32_t flags_of(const vka__call *c) {
    return (vka__call_has(c, KEYS) ? VKA_FLAG_KEYS : 0) | (vka__call_has(c, BUCKETS) ? VKA_FLAG_BUCKETS : 0) |
           (vka__call_has(c, LENGTHS) ? VKA_FLAG_LENGTHS : 0) | (vka__view_vec4(&c->view[X]) ? VKA_FLAG_X_VEC4 : 0) |
           (vka__view_vec4(&c->view[KEYS]) ? VKA_FLAG_KEYS_VEC4 : 0);
}

static void choose_kernels(vka__call *c) {
    bool cpu = c->caps->type == VKA_DEVICE_CPU;
    const struct {
        vka__kernel kernel;
        uint32_t group, flags;
    } kernels[STEPS] = {
        [HASH] = {VKA__lsh_hash, cpu ? 16 : 64, flags_of(c)},
        [OFFSETS] = {VKA__lsh_offsets, cpu ? 16 : VKA__BLOCK_TOKENS, 0},
        [PLACE] = {VKA__lsh_place, cpu ? 32 : VKA__BLOCK_TOKENS, flags_of(c) & VKA_FLAG_LENGTHS},
    };
    for (int i = 0; i < STEPS; ++i)
        vka__call_add_key(c, kernels[i].kernel, vka__group_size(c->caps, kernels[i].group))->spec[VKA_SPEC_FLAGS] =
            kernels[i].flags;
    c->key[HASH].spec[VKA_SPEC_TYPES] = vka__call_type(c, X, VKA_ROLE_X) | vka__call_type(c, KEYS, VKA_ROLE_OUT);
}

/* ---- blocks and slices ------------------------------------------------------------------------------------------ */

static void choose_blocks(vka__call *c) {
    const uint32_t *count = VKA__DESC(c, vka_lsh_sort_desc)->bucket_count;
    vka_lsh_params *params = VKA__PARAMS(c, vka_lsh_params);
    vka__lsh_choose_blocks(params, vka__call_letter(c, 'N'), count[0] * (count[1] ? count[1] : 1));
}

/* What of a tensor a box of (rounds, batch entries, heads) needs: x and keys have no rounds, but tokens. `at` is where
 * the box begins, or its size. */
static void box_of(uint32_t arg, const uint32_t at[3], uint32_t tokens, uint32_t box[3]) {
    const uint32_t by_token[3] = {at[1], at[2], tokens};
    memcpy(box, arg == X || arg == KEYS ? by_token : at, sizeof by_token);
}

/* NULL, or the tensor of a slice that no binding sees. */
static const char *first_misfit(const vka__call *c) {
    static const uint32_t cut[] = {X, KEYS, PERMUTATION, BUCKETS};
    for (int i = 0; i < 4; ++i) {
        vka__view part = c->view[cut[i]];
        box_of(cut[i], state_of(c)->part, vka__call_letter(c, 'N'), part.shape);
        if (!vka__fits_binding(c->caps, &part, vka__view_extent(&part, 0)))
            return args[cut[i]].name;
    }
    return c->workspace_bytes > vka__min_u64(c->caps->storage_range, UINT64_C(1) << 32) ? "workspace" : NULL;
}

/* Slices are of equal size: everything; one round, the outermost dimension of most permutations; one batch entry of it;
 * one head of that. */
static bool choose_slices(vka__call *c) {
    state *s = VKA__STATE(c, state);
    const vka_lsh_params *params = VKA__PARAMS(c, vka_lsh_params);
    const uint32_t *shape = c->view[PERMUTATION].shape;
    const uint32_t part[][3] = {{shape[0], shape[1], shape[2]}, {1, shape[1], shape[2]}, {1, 1, shape[2]}, {1, 1, 1}};
    const char *misfit = NULL;
    for (int i = 0; i < 4; ++i) {
        uint64_t rows = vka__volume(part[i]);
        memcpy(s->part, part[i], sizeof s->part);
        s->counts = rows * params->blocks * params->buckets;
        c->workspace_bytes = vka__align_up((s->counts + rows * shape[3]) * 4, 256);
        misfit = first_misfit(c);
        if (!misfit)
            break;
    }
    if (misfit)
        return vka__refuse_span(c->caps, misfit, "one head", &c->refusal);
    for (int dim = 0; dim < 3; ++dim)
        s->parts[dim] = shape[dim] / s->part[dim];
    return true;
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

static void fill_params(vka__call *c) {
    const state *s = state_of(c);
    const vka__view *x = &c->view[X], *rotations = &c->view[ROTATIONS];
    const uint32_t *count = VKA__DESC(c, vka_lsh_sort_desc)->bucket_count;
    const uint32_t tokens[3] = {s->part[1], s->part[2], x->shape[2]};
    vka_lsh_params *params = VKA__PARAMS(c, vka_lsh_params);
    params->x = vka__box_strides(x, tokens);
    params->keys = vka__box_strides(&c->view[KEYS], tokens);
    params->rotations = vka__box_strides(rotations, rotations->shape);
    params->permutation = vka__box_strides(&c->view[PERMUTATION], s->part);
    params->buckets_ = vka__box_strides(&c->view[BUCKETS], s->part);
    params->tokens = x->shape[2];
    params->dim = x->shape[3];
    params->columns = count[0] / 2;
    params->more_columns = count[1] / 2;
    params->ws_buckets = (uint32_t)s->counts;
    params->length_step = (uint32_t)c->view[LENGTHS].stride[3];
    params->epsilon = (float)c->number[EPSILON] * (float)x->shape[3];
}

static void plan_grids(vka__call *c) {
    state *s = VKA__STATE(c, state);
    const vka_lsh_params *params = VKA__PARAMS(c, vka_lsh_params);
    uint64_t columns = vka__round_up(params->columns, HASH_COLUMNS) + vka__round_up(params->more_columns, HASH_COLUMNS);
    const uint64_t ops[STEPS] = {
        [HASH] = 2 * columns * params->dim * params->block,
        [OFFSETS] = (uint64_t)params->blocks * params->buckets,
        [PLACE] = (uint64_t)c->key[PLACE].spec[VKA_SPEC_GROUP_SIZE] * params->block,
    };
    for (int i = 0; i < STEPS; ++i) {
        s->grid[i] = vka__grid_of(c->caps, i == OFFSETS ? 1 : params->blocks, (uint32_t)vka__volume(s->part), 1);
        vka__grid_cap_ops(&s->grid[i], c->caps, ops[i]);
        s->of_slice += vka__grid_chunks(&s->grid[i]);
    }
    c->dispatches = vka__volume(s->parts) * s->of_slice;
}

static bool plan(vka__call *c) {
    if (!vka__volume(c->view[X].shape))
        return true;
    if (!vka__call_sees_whole(c))
        return false;
    choose_kernels(c);
    choose_blocks(c);
    if (!choose_slices(c))
        return false;
    fill_params(c);
    plan_grids(c);
    return true;
}

/* ---- dispatches ------------------------------------------------------------------------------------------------- */

static void bind(const vka__call *c, int step, const uint32_t begin[3], vka__dispatch *out) {
    static const uint32_t bound[STEPS] = {
        [HASH] = 1u << X | 1u << ROTATIONS | 1u << LENGTHS | 1u << BUCKETS | 1u << KEYS,
        [PLACE] = 1u << LENGTHS | 1u << PERMUTATION,
    };
    out->binding[VKA_BIND_SCRATCH] =
        (vka__binding){.access = VKA__READ_WRITE, .source = VKA__SOURCE_WORKSPACE, .range = c->workspace_bytes};
    vka__call_bind_whole(c, bound[step], out);
    for (uint32_t i = 0; i < ARGS; ++i)
        if ((bound[step] >> i & 1) && args[i].extent == VKA__CUSTOM) {
            uint32_t first[3], size[3];
            box_of(i, begin, 0, first);
            box_of(i, state_of(c)->part, vka__call_letter(c, 'N'), size);
            vka__call_bind_box(c, i, first, size, out);
        }
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const state *s = state_of(c);
    uint64_t chunk = index % s->of_slice, chunks;
    uint32_t begin[3], size[3], first[3];
    int step = HASH;
    for (; chunk >= (chunks = vka__grid_chunks(&s->grid[step])); ++step)
        chunk -= chunks;
    vka__box_at(c->view[PERMUTATION].shape, s->part, s->parts, index / s->of_slice, begin, size);
    bind(c, step, begin, out);
    vka__grid_chunk(&s->grid[step], chunk, first, out);
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

static void explain(const vka__call *c, vka__text *text) {
    const vka__pipeline_key *k = c->key;
    const vka_lsh_params *params = (const vka_lsh_params *)(const void *)c->params;
    vka__say(text, "more_kernels: %s, %s\nmore_workgroups: %u, %u\n", vka__kernel_name((vka__kernel)k[1].kernel),
             vka__kernel_name((vka__kernel)k[2].kernel), k[1].spec[VKA_SPEC_GROUP_SIZE],
             k[2].spec[VKA_SPEC_GROUP_SIZE]);
    vka__say(text, "buckets: %u\nvector_loads: %s\nblock: %u tokens\nblocks: %u\n", params->buckets,
             vka__yes(k[0].spec[VKA_SPEC_FLAGS] & VKA_FLAG_X_VEC4), params->block, params->blocks);
    vka__say(text, "rows: %llu rounds, entries and heads\nslices: %llu\n",
             (unsigned long long)vka__volume(state_of(c)->part), (unsigned long long)vka__volume(state_of(c)->parts));
}

VKA__OPERATION(lsh_sort, .params_size = sizeof(vka_lsh_params), .state_size = sizeof(state),
               .workspace = DESC(workspace), .limits = limits, .sizes = sizes, .check = check, .plan = plan,
               .dispatch = dispatch, .explain = explain);
