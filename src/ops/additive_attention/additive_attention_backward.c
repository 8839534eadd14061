/* vka_additive_attention_backward: statistics of queries, then a pass that owns queries and one that owns keys, and one
 * that owns the mask's elements. SPDX-License-Identifier: MIT */
#include "ops/additive_attention/additive.h"
#include "ops/elementwise/sum.h"
#include "params/additive_attention_backward.h"

enum { Q, K, V, VECTOR, MASK, LENGTHS, OUT, LSE, D_OUT, D_LSE, D_Q, D_K, D_V, D_VECTOR, D_MASK, ARGS };
enum { DIAGONAL, PATH, NUMBERS };
/* In this order, those that there are. */
enum { TO_STATS, TO_D_Q, TO_D_K, TO_D_MASK, TO_D_VECTOR, STEPS };

#define DESC(field) offsetof(vka_additive_attention_backward_desc, field)
#define F32         VKA__TYPE(VKA_F32)

/* G: heads of keys. M: keys. */
#define TENSOR(name, shape, types, f, a)                                                                               \
    { #name, shape, DESC(name), VKA__NONE, types, .flags = f, .access = a, .extent = VKA__ALL }
#define INPUT(name, shape)  TENSOR(name, shape, VKA__FLOATS, VKA__REQUIRED, VKA__READ)
#define RESULT(name, shape) TENSOR(name, shape, VKA__FLOATS, 0, VKA__WRITE)
static const vka__arg args[ARGS] = {
    [Q] = INPUT(q, "B H N A"),
    [K] = INPUT(k, "B G M A"),
    [V] = INPUT(v, "B G M V"),
    [VECTOR] = INPUT(score_vector, NULL),
    [MASK] = TENSOR(mask, NULL, VKA__MASKS, 0, VKA__READ),
    [LENGTHS] = TENSOR(kv_lengths, "B", VKA__TYPE(VKA_I32), VKA__LIST, VKA__READ),
    [OUT] = INPUT(out, "B H N V"),
    [LSE] = TENSOR(lse, "B H N", F32, VKA__REQUIRED | VKA__PER_ROW, VKA__READ),
    [D_OUT] = INPUT(d_out, "B H N V"),
    [D_LSE] = TENSOR(d_lse, "B H N", F32, VKA__PER_ROW, VKA__READ),
    [D_Q] = RESULT(d_q, "B H N A"),
    [D_K] = RESULT(d_k, "B G M A"),
    [D_V] = RESULT(d_v, "B G M V"),
    [D_VECTOR] = TENSOR(d_score_vector, NULL, VKA__FLOATS, 0, VKA__READ_WRITE),
    [D_MASK] = TENSOR(d_mask, NULL, VKA__FLOATS, 0, VKA__READ_WRITE),
};
static const vka__limit limits[] = VKA__ADDITIVE_LIMITS;
static const vka__number numbers[NUMBERS] = {
    [DIAGONAL] = {"diagonal", DESC(diagonal), VKA__NUMBER_ENUM, false, 0, VKA_DIAGONAL_EXPLICIT, 0, "vka_diagonal"},
    [PATH] = {"path", DESC(path), VKA__NUMBER_ENUM, false, 0, VKA_ADDITIVE_ATTENTION_PATH_TILE, 0,
              "vka_additive_attention_path"},
};

/* The attention's steps share a parameter block. */
enum { GRADIENT, SUM, SUM_PARTS, BLOCKS };
typedef union block {
    vka_additive_attention_backward_params gradient;
    vka_sum_params sum;
} block;
_Static_assert(BLOCKS * sizeof(block) <= VKA__MAX_ALL_PARAMS, "a call has room for them");

typedef struct state {
    vka__view stats, partials;                  /* in the workspace: of queries; of score vectors, [B, H, N, A] */
    uint32_t lanes, quads, value_quads, blocks; /* see the kernel; blocks of channels          */
    uint32_t key[STEPS];
    vka__grid grid[STEPS];
    uint64_t dispatches[STEPS];
    vka__sum sum;
} state;

static const state *state_of(const vka__call *c) {
    return (const state *)(const void *)c->state;
}

static const vka_additive_attention_backward_desc *desc_of(const vka__call *c) {
    return VKA__DESC(c, vka_additive_attention_backward_desc);
}

/* ---- checks ---------------------------------------------------------------------------------------------------- */

/* A gradient that has the shape of another tensor. */
static vka_status check_like(const vka__call *c, uint32_t gradient, uint32_t arg) {
    const vka_tensor *t = vka__call_tensor(c, gradient), *like = vka__call_tensor(c, arg);
    const char *name = args[gradient].name;
    if (!vka__call_has(c, gradient))
        return VKA_OK;
    if (t->rank != like->rank)
        return vka__call_fail(c, VKA_INVALID, name, "rank is %u, but must be %u, that of %s", t->rank, like->rank,
                              args[arg].name);
    for (uint32_t i = 0; i < t->rank; ++i)
        if (t->shape[i] != like->shape[i])
            return vka__call_fail(c, VKA_INVALID, name, "shape[%u] is %u, but must be %u, as that of %s", i,
                                  t->shape[i], like->shape[i], args[arg].name);
    return VKA_OK;
}

static vka_status check_gradients(const vka__call *c) {
    bool any = false;
    for (uint32_t i = D_Q; i < ARGS; ++i)
        any = any || vka__call_has(c, i);
    if (!any)
        return vka__call_fail(c, VKA_INVALID, "d_q", "is absent, and so are all other gradients: there is no result");
    if (vka__call_has(c, D_MASK) && !vka__call_has(c, MASK))
        return vka__call_fail(c, VKA_INVALID, "d_mask", "is there, but there is no mask");
    if (vka__call_has(c, D_MASK) && c->view[MASK].dtype == VKA_U8)
        return vka__call_fail(c, VKA_INVALID, "d_mask", "is there, but mask is VKA_U8, which has no gradient");
    vka_status status = check_like(c, D_VECTOR, VECTOR);
    return status == VKA_OK ? check_like(c, D_MASK, MASK) : status;
}

static vka_status check(vka__call *c) {
    static const vka__additive_args shared = {VECTOR, MASK, LENGTHS};
    vka_status status = vka__additive_check(c, &shared, desc_of(c)->diagonal, desc_of(c)->diagonal_offset);
    if (status == VKA_OK)
        status = check_gradients(c);
    return status == VKA_OK ? vka__call_check_rows(c, Q, c->view[Q].shape) : status;
}

/* ---- steps ------------------------------------------------------------------------------------------------------ */

static bool is_row_path(const vka__call *c) {
    return c->number[PATH] ? c->number[PATH] == VKA_ADDITIVE_ATTENTION_PATH_ROW : c->caps->type == VKA_DEVICE_CPU;
}

static bool vec4(const vka__call *c, uint32_t a, uint32_t b) {
    return vka__view_vec4(&c->view[a]) && vka__view_vec4(&c->view[b]);
}

/* Adds a pipeline, and dispatches of a grid of which a workgroup does `ops` operations. */
static vka__pipeline_key *add_step(vka__call *c, int step, vka__kernel kernel, uint32_t group, const uint32_t grid[3],
                                   uint64_t ops) {
    state *s = VKA__STATE(c, state);
    s->key[step] = c->key_count;
    s->grid[step] = vka__grid_of(c->caps, grid[0], grid[1], grid[2]);
    vka__grid_cap_ops(&s->grid[step], c->caps, ops);
    s->dispatches[step] = vka__grid_chunks(&s->grid[step]);
    vka__pipeline_key *key = vka__call_add_key(c, kernel, group);
    key->spec[VKA_SPEC_D] = vka__call_letter(c, 'A');
    key->spec[VKA_SPEC_DV] = vka__call_letter(c, 'V');
    key->spec[VKA_SPEC_FLAGS] = (desc_of(c)->causal ? VKA_FLAG_ADDITIVE_D_CAUSAL : 0) |
                                (vec4(c, Q, K) ? VKA_FLAG_ADDITIVE_D_VEC4_QK : 0) |
                                (vec4(c, V, D_OUT) ? VKA_FLAG_ADDITIVE_D_VEC4_V : 0);
    key->spec[VKA_SPEC_TYPES] =
        vka__call_type(c, Q, VKA_ROLE_ADDITIVE_D_OF_Q) | vka__call_type(c, K, VKA_ROLE_ADDITIVE_D_OF_K) |
        vka__call_type(c, V, VKA_ROLE_ADDITIVE_D_OF_V) | vka__call_type(c, VECTOR, VKA_ROLE_ADDITIVE_D_OF_VECTOR) |
        vka__call_type(c, MASK, VKA_ROLE_ADDITIVE_D_OF_MASK) | vka__call_type(c, D_OUT, VKA_ROLE_ADDITIVE_D_OUT);
    return key;
}

static void fill_params(vka__call *c) {
    const vka__view *v = c->view, *mask = &v[D_MASK];
#define STRIDES(arg) vka__box_strides(&v[arg], v[arg].shape)
    VKA__PARAMS_AT(c, block, GRADIENT)->gradient = (vka_additive_attention_backward_params){
        .q = STRIDES(Q),
        .k = STRIDES(K),
        .v = STRIDES(V),
        .mask = STRIDES(MASK),
        .out_ = STRIDES(OUT),
        .lse = STRIDES(LSE),
        .d_out = STRIDES(D_OUT),
        .d_lse = STRIDES(D_LSE),
        .d_q = STRIDES(D_Q),
        .d_k = STRIDES(D_K),
        .d_v = STRIDES(D_V),
        .d_mask = STRIDES(D_MASK),
        .d_mask_size = {mask->shape[0], mask->shape[1], mask->shape[2], mask->shape[3]},
        .batch = vka__call_letter(c, 'B'),
        .heads = vka__call_letter(c, 'H'),
        .group = vka__call_letter(c, 'H') / vka__call_letter(c, 'G'),
        .q_len = vka__call_letter(c, 'N'),
        .kv_len = vka__call_letter(c, 'M'),
        .vector_h = (uint32_t)v[VECTOR].stride[2],
        .vector_d = (uint32_t)v[VECTOR].stride[3],
        .length_b = (uint32_t)v[LENGTHS].stride[3],
        .diagonal = vka__additive_diagonal(c, desc_of(c)->diagonal, desc_of(c)->diagonal_offset),
    };
#undef STRIDES
}

static bool plan_stats(vka__call *c) {
    state *s = VKA__STATE(c, state);
    uint64_t rows = vka__volume(c->view[Q].shape);
    const uint32_t shape[VKA_MAX_RANK] = {1, 1, (uint32_t)rows, VKA_ADDITIVE_STATS};
    uint32_t group = vka__group_size(c->caps, is_row_path(c) ? 8 : 64);
    s->stats = vka__call_place(c, shape);
    if (!vka__sees_all(c->caps, &s->stats, "q", &c->refusal))
        return false;
    const uint32_t grid[3] = {(uint32_t)((rows + group - 1) / group), 1, 1};
    vka__pipeline_key *key = add_step(c, TO_STATS, VKA__additive_backward_stats, group, grid,
                                      (uint64_t)4 * vka__call_letter(c, 'V') * group);
    bool own = c->number[DIAGONAL] == VKA_DIAGONAL_BOTTOM_RIGHT && vka__call_has(c, LENGTHS);
    key->spec[VKA_SPEC_FLAGS] =
        (desc_of(c)->causal ? VKA_FLAG_ADDITIVE_D_CAUSAL : 0) | (own ? VKA_FLAG_ADDITIVE_D_OWN : 0) |
        (vka__call_has(c, LENGTHS) ? VKA_FLAG_LENGTHS : 0) | (vka__call_has(c, D_LSE) ? VKA_FLAG_ADDITIVE_D_LSE : 0) |
        (vec4(c, OUT, D_OUT) ? VKA_FLAG_ADDITIVE_D_VEC4_V : 0);
    key->spec[VKA_SPEC_TYPES] =
        vka__call_type(c, OUT, VKA_ROLE_ADDITIVE_D_V) | vka__call_type(c, D_OUT, VKA_ROLE_ADDITIVE_D_OUT);
    return true;
}

/* ---- passes over pairs ------------------------------------------------------------------------------------------ */

/* Vectors of channels, and of values, that an invocation has: in registers; in software, in memory. */
#define MOST_QUADS     4
#define SOFTWARE_QUADS 128
#define MOST_LANES     64
#define PARTNERS       2

static void choose_lanes(vka__call *c) {
    state *s = VKA__STATE(c, state);
    uint32_t channels = vka__div_up(vka__call_letter(c, 'A'), 4), values = vka__div_up(vka__call_letter(c, 'V'), 4);
    uint32_t most = is_row_path(c) ? 1 : vka__group_size(c->caps, MOST_LANES), wide = vka__max_u32(channels, values);
    s->lanes = 1;
    while (s->lanes < most && s->lanes * MOST_QUADS < wide)
        s->lanes *= 2;
    uint32_t quads = is_row_path(c) ? SOFTWARE_QUADS : 2 * MOST_QUADS;
    s->quads = vka__min_u32(vka__div_up(channels, s->lanes), quads);
    s->value_quads = vka__div_up(values, s->lanes);
    s->blocks = vka__div_up(channels, s->lanes * s->quads);
}

static vka__kernel kernel_of(const vka__call *c, bool keys) {
    static const vka__kernel kernels[2][2][2] = {
        {{VKA__additive_backward_queries, VKA__additive_backward_queries_mask},
         {VKA__additive_backward_queries_lane, VKA__additive_backward_queries_lane_mask}},
        {{VKA__additive_backward_keys, VKA__additive_backward_keys_mask},
         {VKA__additive_backward_keys_lane, VKA__additive_backward_keys_lane_mask}}};
    return kernels[keys][is_row_path(c)][vka__call_has(c, MASK)];
}

/* A pass over all pairs, by which side of them is owned. */
static vka__pipeline_key *plan_pass(vka__call *c, bool keys) {
    state *s = VKA__STATE(c, state);
    uint32_t group = is_row_path(c) ? vka__group_size(c->caps, 8) : vka__group_size(c->caps, 64);
    uint32_t rows = vka__call_letter(c, keys ? 'M' : 'N'), partners = vka__call_letter(c, keys ? 'N' : 'M');
    uint32_t of_group = group / s->lanes, heads = vka__call_letter(c, keys ? 'G' : 'H');
    uint64_t pairs = (uint64_t)of_group * partners * (keys ? vka__call_letter(c, 'H') / heads : 1);
    const uint32_t grid[3] = {vka__div_up(rows, of_group), heads, vka__call_letter(c, 'B')};
    uint64_t ops = pairs * (2 * (uint64_t)VKA__ADDITIVE_OPS * vka__call_letter(c, 'A') + 4 * vka__call_letter(c, 'V'));
    int step = keys ? TO_D_K : TO_D_Q;
    vka__pipeline_key *key = add_step(c, step, kernel_of(c, keys), group, grid, ops);
    s->dispatches[step] *= s->blocks;
    key->spec[VKA_SPEC_TC] = s->lanes;
    key->spec[VKA_SPEC_COLS] = s->quads;
    key->spec[VKA_SPEC_RM] = s->value_quads;
    key->spec[VKA_SPEC_BC] = PARTNERS;
    uint32_t result = keys ? D_K : D_Q, other = keys ? D_V : D_VECTOR;
    key->spec[VKA_SPEC_FLAGS] |= (vka__call_has(c, result) ? VKA_FLAG_ADDITIVE_D_RESULT : 0) |
                                 (vka__call_has(c, other) ? VKA_FLAG_ADDITIVE_D_OTHER : 0) |
                                 (vka__view_vec4(&c->view[result]) ? VKA_FLAG_ADDITIVE_D_VEC4_RESULT : 0) |
                                 (vka__view_vec4(&c->view[other]) ? VKA_FLAG_ADDITIVE_D_VEC4_OTHER : 0);
    key->spec[VKA_SPEC_TYPES] |= vka__call_type(c, result, VKA_ROLE_ADDITIVE_D_RESULT) |
                                 (keys ? vka__call_type(c, D_V, VKA_ROLE_ADDITIVE_D_V) : 0);
    return key;
}

static bool plan_mask(vka__call *c) {
    uint32_t group = vka__group_size(c->caps, is_row_path(c) ? 8 : 64);
    const uint32_t *shape = c->view[D_MASK].shape, *q = c->view[Q].shape;
    uint64_t elements = vka__volume(shape) * shape[3], pairs = 1;
    const uint32_t all[VKA_MAX_RANK] = {q[0], q[1], q[2], vka__call_letter(c, 'M')};
    for (int i = 0; i < VKA_MAX_RANK; ++i)
        pairs *= shape[i] == 1 ? vka__max_u32(all[i], 1) : 1;
    uint64_t ops = (uint64_t)VKA__ADDITIVE_OPS * vka__call_letter(c, 'A') + 2 * vka__call_letter(c, 'V');
    const uint32_t grid[3] = {(uint32_t)((elements + group - 1) / group), 1, 1};
    if (!elements)
        return true;
    vka__pipeline_key *key = add_step(c, TO_D_MASK, VKA__additive_backward_mask, group, grid, group * pairs * ops);
    key->spec[VKA_SPEC_FLAGS] |= desc_of(c)->accumulate ? VKA_FLAG_ADDITIVE_D_ACCUMULATE : 0;
    key->spec[VKA_SPEC_TYPES] |= vka__call_type(c, D_MASK, VKA_ROLE_ADDITIVE_D_RESULT);
    return true;
}

/* Of a score vector: those of queries, of all entries, and of all heads where these have it in common. */
static bool plan_sum(vka__call *c) {
    state *s = VKA__STATE(c, state);
    vka__view out = c->view[D_VECTOR]; /* [.., H, A] as [1, H, 1, A] */
    out.shape[1] = out.shape[2];
    out.stride[1] = out.stride[2];
    out.shape[2] = 1;
    out.stride[2] = 0;
    s->sum = (vka__sum){.field = "q",
                        .out_field = "d_score_vector",
                        .x = s->partials,
                        .out = out,
                        .accumulate = desc_of(c)->accumulate,
                        .workspace = c->workspace_bytes};
    if (!vka__sum_plan(c, &s->sum, &VKA__PARAMS_AT(c, block, SUM)->sum, &VKA__PARAMS_AT(c, block, SUM_PARTS)->sum))
        return false;
    s->dispatches[TO_D_VECTOR] = vka__sum_dispatches(&s->sum);
    c->workspace_bytes += s->sum.workspace_bytes;
    return true;
}

static bool plan(vka__call *c) {
    state *s = VKA__STATE(c, state);
    bool queries = vka__volume(c->view[Q].shape), keys = vka__volume(c->view[K].shape);
    bool d_q = vka__call_has(c, D_Q) || vka__call_has(c, D_VECTOR);
    if (vka__call_has(c, MASK) && c->caps->storage_buffers < VKA_BIND_ADDITIVE_D_OF_MASK)
        return vka__refuse(&c->refusal, "mask", "needs %u storage buffers, but a kernel has %u here",
                           VKA_BIND_ADDITIVE_D_OF_MASK, c->caps->storage_buffers);
    if (!vka__call_sees_whole(c))
        return false;
    fill_params(c);
    choose_lanes(c);
    if (vka__call_has(c, D_VECTOR)) {
        const uint32_t *shape = c->view[Q].shape;
        s->partials = vka__call_place(c, shape);
        if (!vka__sees_all(c->caps, &s->partials, "q", &c->refusal))
            return false;
    }
    if (queries && !plan_stats(c))
        return false;
    if (queries && d_q)
        plan_pass(c, false);
    if (keys && (vka__call_has(c, D_K) || vka__call_has(c, D_V)))
        plan_pass(c, true);
    if (vka__call_has(c, D_MASK) && !plan_mask(c))
        return false;
    if (vka__call_has(c, D_VECTOR) && !plan_sum(c))
        return false;
    for (int i = 0; i < STEPS; ++i)
        c->dispatches += s->dispatches[i];
    return true;
}

/* ---- dispatches ------------------------------------------------------------------------------------------------- */

static void bind_stats(const vka__call *c, vka__dispatch *out) {
    const vka__view *v = c->view;
    vka__bind_all(c->caps, &v[OUT], VKA_BIND_ADDITIVE_D_OF_OUT, VKA__READ, out);
    vka__bind_all(c->caps, &v[LSE], VKA_BIND_ADDITIVE_D_OF_LSE, VKA__READ, out);
    vka__bind_all(c->caps, &v[D_LSE], VKA_BIND_ADDITIVE_D_LSE, VKA__READ, out);
    vka__bind_all(c->caps, &v[LENGTHS], VKA_BIND_ADDITIVE_D_LENGTHS, VKA__READ, out);
    vka__bind_all(c->caps, &v[D_OUT], VKA_BIND_ADDITIVE_D_OUT, VKA__READ, out);
    vka__bind_all(c->caps, &state_of(c)->stats, VKA_BIND_ADDITIVE_D_STATS, VKA__WRITE, out);
}

static void bind_pairs(const vka__call *c, int step, vka__dispatch *out) {
    const state *s = state_of(c);
    const vka__view *v = c->view;
    const vka__view *result = &v[step == TO_D_Q ? D_Q : step == TO_D_K ? D_K : D_MASK];
    bool adds = step == TO_D_MASK && desc_of(c)->accumulate;
    vka__bind_all(c->caps, &v[Q], VKA_BIND_ADDITIVE_D_OF_Q, VKA__READ, out);
    vka__bind_all(c->caps, &v[K], VKA_BIND_ADDITIVE_D_OF_K, VKA__READ, out);
    vka__bind_all(c->caps, &v[V], VKA_BIND_ADDITIVE_D_OF_V, VKA__READ, out);
    vka__bind_all(c->caps, &v[VECTOR], VKA_BIND_ADDITIVE_D_OF_VECTOR, VKA__READ, out);
    vka__bind_all(c->caps, &v[MASK], VKA_BIND_ADDITIVE_D_OF_MASK, VKA__READ, out);
    vka__bind_all(c->caps, &v[D_OUT], VKA_BIND_ADDITIVE_D_OUT, VKA__READ, out);
    vka__bind_all(c->caps, &s->stats, VKA_BIND_ADDITIVE_D_STATS, VKA__READ, out);
    vka__bind_all(c->caps, result, VKA_BIND_ADDITIVE_D_RESULT, adds ? VKA__READ_WRITE : VKA__WRITE, out);
    if (step != TO_D_MASK)
        vka__bind_all(c->caps, step == TO_D_Q ? &s->partials : &v[D_V], VKA_BIND_ADDITIVE_D_OTHER, VKA__WRITE, out);
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const state *s = state_of(c);
    uint32_t first[3];
    int step = TO_STATS;
    for (; index >= s->dispatches[step]; ++step)
        index -= s->dispatches[step];
    if (step == TO_D_VECTOR) {
        vka__sum_dispatch(c, &s->sum, index, out);
        out->params = SUM + (uint32_t)index;
        return;
    }
    uint64_t chunks = vka__grid_chunks(&s->grid[step]);
    vka__grid_chunk(&s->grid[step], index % chunks, first, out);
    out->key = s->key[step];
    out->params = GRADIENT;
    out->push.x0 = first[0];
    out->push.y0 = first[1];
    out->push.z0 = first[2];
    out->push.h0 = (uint32_t)(index / chunks) * s->lanes * s->quads;
    if (step == TO_STATS)
        bind_stats(c, out);
    else
        bind_pairs(c, step, out);
}

static void explain(const vka__call *c, vka__text *text) {
    const state *s = state_of(c);
    vka__say(text, "path: %s\ninvocations_of_a_row: %u\nvectors_of_channels: %u\nblocks_of_channels: %u\n",
             is_row_path(c) ? "row" : "tile", s->lanes, s->quads, s->blocks);
}

VKA__OPERATION(additive_attention_backward, .params_size = sizeof(block), .param_blocks = BLOCKS,
               .state_size = sizeof(state), .workspace = DESC(workspace), .limits = limits, .check = check,
               .plan = plan, .dispatch = dispatch, .explain = explain);
_Static_assert(sizeof(state) <= VKA__MAX_STATE, "a call has room for it");
