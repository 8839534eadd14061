/* vka_linear_attention_backward: the recurrence backwards in time. What is summed over value channels is made in copies
 * in the workspace, and added up by sums over dimensions. SPDX-License-Identifier: MIT */
#include <math.h>

#include "ops/elementwise/sum.h"
#include "ops/linear_attention/plan.h"
#include "params/linear_attention_backward.h"

enum { Q, K, V, DECAY, BETA, STATE_IN, D_OUT, D_STATE_OUT, D_Q, D_K, D_V, D_DECAY, D_BETA, D_STATE_IN, ARGS };
enum { RULE, SCALE, NUMBERS };
/* The recurrence, and then the sums. */
enum { RECURRENCE, SUM_Q, SUM_K, SUM_DECAY, SUM_BETA, STEPS };

#define DESC(field) offsetof(vka_linear_attention_backward_desc, field)
#define F32         VKA__TYPE(VKA_F32)

/* Heads: Q of queries, A of keys, H of values and states, O of outputs. */
#define TENSOR(name, shape, types, f, a)                                                                               \
    { #name, shape, DESC(name), VKA__NONE, types, .flags = f, .access = a, .extent = VKA__ALL }
static const vka__arg args[ARGS] = {
    [Q] = TENSOR(q, "B Q T K", VKA__FLOATS, VKA__REQUIRED, VKA__READ),
    [K] = TENSOR(k, "B A T K", VKA__FLOATS, VKA__REQUIRED, VKA__READ),
    [V] = TENSOR(v, "B H T V", VKA__FLOATS, VKA__REQUIRED, VKA__READ),
    [DECAY] = TENSOR(decay, "B 1|H T 1|K", VKA__FLOATS, 0, VKA__READ),
    [BETA] = TENSOR(beta, "B 1|H T", VKA__FLOATS, VKA__PER_ROW, VKA__READ),
    [STATE_IN] = TENSOR(state_in, "B H K V", F32, 0, VKA__READ),
    [D_OUT] = TENSOR(d_out, "B O T V", VKA__FLOATS, VKA__REQUIRED, VKA__READ),
    [D_STATE_OUT] = TENSOR(d_state_out, "B H K V", F32, 0, VKA__READ),
    [D_Q] = TENSOR(d_q, "B Q T K", VKA__FLOATS, 0, VKA__WRITE),
    [D_K] = TENSOR(d_k, "B A T K", VKA__FLOATS, 0, VKA__WRITE),
    [D_V] = TENSOR(d_v, "B H T V", VKA__FLOATS, 0, VKA__WRITE),
    [D_DECAY] = TENSOR(d_decay, "B 1|H T 1|K", VKA__FLOATS, 0, VKA__WRITE),
    [D_BETA] = TENSOR(d_beta, "B 1|H T", VKA__FLOATS, VKA__PER_ROW, VKA__WRITE),
    [D_STATE_IN] = TENSOR(d_state_in, "B H K V", F32, 0, VKA__WRITE),
};
static const vka__limit limits[] = {{'Q', 1, UINT32_MAX}, {'A', 1, UINT32_MAX}, {'H', 1, UINT32_MAX},
                                    {'K', 1, 512},        {'V', 1, UINT32_MAX}, {0}};
static const vka__number numbers[NUMBERS] = {
    [RULE] = {"rule", DESC(rule), VKA__NUMBER_ENUM, false, VKA_LINEAR_ATTENTION_LINEAR,
              VKA_LINEAR_ATTENTION_GATED_DELTA, 0, "vka_linear_attention_rule"},
    [SCALE] = {"scale", DESC(scale), VKA__NUMBER_F32, true, VKA__LEAST, VKA__FINITE, 0, NULL},
};

/* The recurrence's parameters, and two blocks for each sum. */
enum { SUM_BLOCKS = 1, BLOCKS = SUM_BLOCKS + 2 * (STEPS - 1) };
typedef union block {
    vka_linear_attention_backward_params recurrence;
    vka_sum_params sum;
} block;
_Static_assert(BLOCKS * sizeof(block) <= VKA__MAX_ALL_PARAMS, "a call has room for them");

typedef struct state {
    vka__grid grid; /* blocks of columns, states, entries */
    uint32_t parts, rows, columns;
    uint64_t words; /* of the workspace that the recurrence has */
    uint64_t dispatches[STEPS];
    vka__sum sum[STEPS];
} state;

static const state *state_of(const vka__call *c) {
    return (const state *)(const void *)c->state;
}

/* ---- checks ---------------------------------------------------------------------------------------------------- */

static bool is_delta(const vka__call *c) {
    return c->number[RULE] >= VKA_LINEAR_ATTENTION_DELTA;
}

static bool is_gated(const vka__call *c) {
    return c->number[RULE] == VKA_LINEAR_ATTENTION_GATED || c->number[RULE] == VKA_LINEAR_ATTENTION_GATED_DELTA;
}

static vka_status sizes(vka__call *c) {
    const vka_linear_attention_backward_desc *d = VKA__DESC(c, vka_linear_attention_backward_desc);
    vka__call_bind_letter(c, 'O', vka__max_u32(d->q.shape[1], d->v.shape[1]));
    return VKA_OK;
}

/* A gradient of decays or betas is that of those that there are. */
static vka_status check_like(const vka__call *c, uint32_t gradient, uint32_t arg) {
    const vka__view *have = &c->view[gradient], *want = &c->view[arg];
    if (!have->present)
        return VKA_OK;
    if (!want->present)
        return vka__call_fail(c, VKA_INVALID, args[gradient].name, "is there, but there is no %s", args[arg].name);
    for (uint32_t i = 0; i < VKA_MAX_RANK; ++i)
        if (have->shape[i] != want->shape[i])
            return vka__call_fail(c, VKA_INVALID, args[gradient].name, "is of size %u where %s is of %u",
                                  have->shape[i], args[arg].name, want->shape[i]);
    return VKA_OK;
}

static vka_status check_results(const vka__call *c) {
    bool any = false;
    for (uint32_t i = D_Q; i < ARGS; ++i)
        any = any || vka__call_has(c, i);
    if (!any)
        return vka__call_fail(c, VKA_INVALID, "d_q", "is absent, and so are all other gradients: there is no result");
    vka_status status = check_like(c, D_DECAY, DECAY);
    return status == VKA_OK ? check_like(c, D_BETA, BETA) : status;
}

static vka_status check(vka__call *c) {
    static const vka__linear_attention_args shared = {DECAY, BETA};
    vka_status status = vka__linear_attention_check(c, &shared, is_gated(c), is_delta(c));
    return status == VKA_OK ? check_results(c) : status;
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

/* Key channels of an invocation, of four value channels each, FEW where compilers spill more (Intel, Apple,
 * docs/portability.md); invocations of a workgroup. */
#define ROWS           8
#define FEW_ROWS       4
#define SOFTWARE_ROWS  16
#define GROUP          128
#define SOFTWARE_GROUP 32

static void choose_tile(vka__call *c) {
    state *s = VKA__STATE(c, state);
    bool software = c->caps->type == VKA_DEVICE_CPU;
    uint32_t dim = vka__call_letter(c, 'K'), quads = vka__div_up(vka__call_letter(c, 'V'), 4);
    const vka__linear_attention_problem problem = {.key_dim = dim};
    s->rows = software ? SOFTWARE_ROWS : vka__has_few_registers(c->caps) || vka__is_apple(c->caps) ? FEW_ROWS : ROWS;
    while (vka__linear_attention_too_many_rows(&problem, s->rows))
        s->rows /= 2;
    s->parts = vka__linear_attention_parts(&problem, s->rows);
    uint32_t most = vka__max_u32(vka__group_size(c->caps, software ? SOFTWARE_GROUP : GROUP), s->parts);
    for (s->columns = 1; 2 * s->columns * s->parts <= most && s->columns < quads;)
        s->columns *= 2;
}

static bool has_states(const vka__call *c) {
    return vka__call_has(c, STATE_IN) || vka__call_has(c, D_STATE_OUT) || vka__call_has(c, D_STATE_IN);
}

static void fill_params(vka__call *c) {
    const state *s = state_of(c);
    const vka__view *v = c->view;
    uint32_t states = vka__call_letter(c, 'H'), tokens = vka__call_letter(c, 'T');
    uint32_t chunk = vka__max_u32((uint32_t)ceil(sqrt(tokens)), 1);
    float scale = (float)c->number[SCALE];
#define STRIDES(arg) vka__box_strides(&v[arg], v[arg].shape)
    VKA__PARAMS_AT(c, block, 0)->recurrence = (vka_linear_attention_backward_params){
        .q = STRIDES(Q),
        .k = STRIDES(K),
        .v = STRIDES(V),
        .decay = STRIDES(DECAY),
        .beta = STRIDES(BETA),
        .d_out = STRIDES(D_OUT),
        .d_v = STRIDES(D_V),
        .state_in = STRIDES(STATE_IN),
        .d_state_in = STRIDES(D_STATE_IN),
        .d_state_out = STRIDES(D_STATE_OUT),
        .batch = v[V].shape[0],
        .states = states,
        .tokens = tokens,
        .value_dim = vka__call_letter(c, 'V'),
        .queries = vka__max_u32(vka__call_letter(c, 'Q') / states, 1),
        .q_share = vka__max_u32(states / vka__call_letter(c, 'Q'), 1),
        .k_share = states / vka__call_letter(c, 'A'),
        .blocks = vka__div_up(vka__div_up(vka__call_letter(c, 'V'), 4), s->columns),
        .chunk = chunk,
        .chunks = vka__div_up(tokens, chunk),
        .scale = scale > 0 ? scale : (float)(1 / sqrt(vka__call_letter(c, 'K'))),
    };
#undef STRIDES
}

/* Copies of a gradient, of so many heads and columns, behind what the workspace has; and their sum. */
static uint32_t place_copies(vka__call *c, int step, uint32_t arg, uint32_t heads, uint32_t share, uint32_t cols) {
    state *s = VKA__STATE(c, state);
    const vka_linear_attention_backward_params *p = &VKA__PARAMS_AT(c, block, 0)->recurrence;
    const uint32_t shape[VKA_MAX_RANK] = {p->batch, heads, p->tokens, cols};
    uint64_t at = s->words, one = vka__volume(shape) * cols;
    if (!vka__call_has(c, arg))
        return 0;
    s->sum[step] = (vka__sum){.field = "workspace",
                              .out_field = args[arg].name,
                              .x = vka__workspace_view(shape, 4 * at),
                              .out = c->view[arg],
                              .copies = p->blocks * share,
                              .copy_stride = (uint32_t)one};
    s->words += vka__align_up(one * p->blocks * share, 64);
    return (uint32_t)at;
}

static void place_all(vka__call *c) {
    state *s = VKA__STATE(c, state);
    vka_linear_attention_backward_params *p = &VKA__PARAMS_AT(c, block, 0)->recurrence;
    uint32_t dim = vka__call_letter(c, 'K');
    s->words =
        (uint64_t)p->batch * p->states * p->blocks * (p->chunks + p->chunk) * s->rows * s->parts * s->columns * 4;
    s->words = vka__align_up(s->words, 64);
    p->d_q = place_copies(c, SUM_Q, D_Q, vka__call_letter(c, 'Q'), p->q_share, dim);
    p->d_k = place_copies(c, SUM_K, D_K, vka__call_letter(c, 'A'), p->k_share, dim);
    p->d_decay = place_copies(c, SUM_DECAY, D_DECAY, p->states, 1, c->view[DECAY].shape[3]);
    p->d_beta = place_copies(c, SUM_BETA, D_BETA, p->states, 1, 1);
    c->workspace_bytes = 4 * s->words;
}

static bool plan_sums(vka__call *c) {
    static const uint32_t results[STEPS] = {[SUM_Q] = D_Q, [SUM_K] = D_K, [SUM_DECAY] = D_DECAY, [SUM_BETA] = D_BETA};
    state *s = VKA__STATE(c, state);
    for (int step = SUM_Q; step < STEPS; ++step) {
        vka__sum *sum = &s->sum[step];
        int first = SUM_BLOCKS + 2 * (step - SUM_Q);
        if (!vka__call_has(c, results[step]))
            continue;
        sum->workspace = c->workspace_bytes;
        if (!vka__sum_plan(c, sum, &VKA__PARAMS_AT(c, block, first)->sum, &VKA__PARAMS_AT(c, block, first + 1)->sum))
            return false;
        s->dispatches[step] = vka__sum_dispatches(sum);
        c->workspace_bytes += sum->workspace_bytes;
    }
    return true;
}

/* Without tokens the gradient of the state that comes in is that of the one that goes out. */
static bool plan_without_tokens(vka__call *c) {
    state *s = VKA__STATE(c, state);
    bool given = vka__call_has(c, D_STATE_OUT);
    s->sum[SUM_Q] = (vka__sum){.field = "d_state_out",
                               .out_field = "d_state_in",
                               .x = c->view[given ? D_STATE_OUT : D_STATE_IN],
                               .out = c->view[D_STATE_IN],
                               .empty = !given};
    if (!vka__sum_plan(c, &s->sum[SUM_Q], &VKA__PARAMS_AT(c, block, SUM_BLOCKS)->sum,
                       &VKA__PARAMS_AT(c, block, SUM_BLOCKS + 1)->sum))
        return false;
    c->dispatches = s->dispatches[SUM_Q] = vka__sum_dispatches(&s->sum[SUM_Q]);
    return true;
}

static void add_key(vka__call *c) {
    static const struct {
        uint32_t arg, flag;
    } flags[] = {{BETA, VKA_FLAG_LINEAR_D_BETAS},      {STATE_IN, VKA_FLAG_LINEAR_D_STATE_IN},
                 {D_Q, VKA_FLAG_LINEAR_D_Q},           {D_STATE_OUT, VKA_FLAG_LINEAR_D_STATE_OUT},
                 {D_K, VKA_FLAG_LINEAR_D_K},           {D_V, VKA_FLAG_LINEAR_D_V},
                 {D_DECAY, VKA_FLAG_LINEAR_D_DECAY},   {D_BETA, VKA_FLAG_LINEAR_D_BETA},
                 {D_STATE_IN, VKA_FLAG_LINEAR_D_STATE}};
    const state *s = state_of(c);
    static const vka__kernel kernels[2][2] = {
        {VKA__linear_attention_backward, VKA__linear_attention_backward_states},
        {VKA__linear_attention_backward_loops, VKA__linear_attention_backward_loops_states}};
    vka__pipeline_key *key =
        vka__call_add_key(c, kernels[c->caps->type == VKA_DEVICE_CPU][has_states(c)], s->parts * s->columns);
    key->spec[VKA_SPEC_D] = vka__call_letter(c, 'K');
    key->spec[VKA_SPEC_RM] = s->rows;
    key->spec[VKA_SPEC_TC] = s->parts;
    key->spec[VKA_SPEC_FLAGS] = (is_delta(c) ? VKA_FLAG_LINEAR_D_DELTA : 0) |
                                (is_gated(c) ? VKA_FLAG_LINEAR_D_DECAYS : 0) |
                                (is_gated(c) && c->view[DECAY].shape[3] > 1 ? VKA_FLAG_LINEAR_D_CHANNELS : 0);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; ++i)
        key->spec[VKA_SPEC_FLAGS] |= vka__call_has(c, flags[i].arg) ? flags[i].flag : 0;
    key->spec[VKA_SPEC_TYPES] =
        vka__call_type(c, Q, VKA_ROLE_LINEAR_D_OF_Q) | vka__call_type(c, K, VKA_ROLE_LINEAR_D_OF_K) |
        vka__call_type(c, V, VKA_ROLE_LINEAR_D_OF_V) | vka__call_type(c, D_V, VKA_ROLE_LINEAR_D_V) |
        vka__call_type(c, DECAY, VKA_ROLE_LINEAR_D_OF_DECAY) | vka__call_type(c, BETA, VKA_ROLE_LINEAR_D_OF_BETA) |
        vka__call_type(c, D_OUT, VKA_ROLE_LINEAR_D_OUT);
}

static bool plan(vka__call *c) {
    state *s = VKA__STATE(c, state);
    const vka_linear_attention_backward_params *p = &VKA__PARAMS_AT(c, block, 0)->recurrence;
    if (has_states(c) && c->caps->storage_buffers < VKA_BIND_LINEAR_D_STATE_IN)
        return vka__refuse(&c->refusal, vka__call_has(c, STATE_IN) ? "state_in" : "d_state_in",
                           "needs %u storage buffers, but a kernel has %u here", VKA_BIND_LINEAR_D_STATE_IN,
                           c->caps->storage_buffers);
    if (!vka__call_sees_whole(c))
        return false;
    choose_tile(c);
    fill_params(c);
    if (!p->batch || (!p->tokens && !vka__call_has(c, D_STATE_IN)))
        return true;
    if (!p->tokens)
        return plan_without_tokens(c);
    place_all(c);
    if (c->workspace_bytes > vka__min_u64(c->caps->storage_range, UINT64_C(1) << 32))
        return vka__refuse_span(c->caps, "workspace", "the states and sums", &c->refusal);
    add_key(c);
    s->grid = vka__grid_of(c->caps, p->blocks, p->states, p->batch);
    uint64_t ops = (uint64_t)20 * p->tokens * vka__call_letter(c, 'K') * 4 * s->columns;
    vka__grid_cap_ops(&s->grid, c->caps, ops);
    s->dispatches[RECURRENCE] = vka__grid_chunks(&s->grid);
    if (!plan_sums(c))
        return false;
    for (int i = 0; i < STEPS; ++i)
        c->dispatches += s->dispatches[i];
    return true;
}

/* ---- dispatches ------------------------------------------------------------------------------------------------- */

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    static const struct {
        uint32_t arg, binding;
        vka__access access;
    } bound[] = {{Q, VKA_BIND_LINEAR_D_OF_Q, VKA__READ},
                 {K, VKA_BIND_LINEAR_D_OF_K, VKA__READ},
                 {V, VKA_BIND_LINEAR_D_OF_V, VKA__READ},
                 {DECAY, VKA_BIND_LINEAR_D_OF_DECAY, VKA__READ},
                 {BETA, VKA_BIND_LINEAR_D_OF_BETA, VKA__READ},
                 {D_OUT, VKA_BIND_LINEAR_D_OUT, VKA__READ},
                 {D_V, VKA_BIND_LINEAR_D_V, VKA__WRITE},
                 {STATE_IN, VKA_BIND_LINEAR_D_OF_STATE, VKA__READ},
                 {D_STATE_OUT, VKA_BIND_LINEAR_D_STATE_OUT, VKA__READ},
                 {D_STATE_IN, VKA_BIND_LINEAR_D_STATE_IN, VKA__WRITE}};
    const state *s = state_of(c);
    uint32_t first[3];
    int step = RECURRENCE;
    for (; index >= s->dispatches[step]; ++step)
        index -= s->dispatches[step];
    if (step != RECURRENCE) {
        vka__sum_dispatch(c, &s->sum[step], index, out);
        out->params = (uint32_t)(SUM_BLOCKS + 2 * (step - SUM_Q)) + (uint32_t)index;
        return;
    }
    vka__grid_chunk(&s->grid, index, first, out);
    out->push.x0 = first[0];
    out->push.y0 = first[1];
    out->push.z0 = first[2];
    for (size_t i = 0; i < sizeof bound / sizeof *bound; ++i)
        vka__bind_all(c->caps, &c->view[bound[i].arg], bound[i].binding, bound[i].access, out);
    out->binding[VKA_BIND_LINEAR_D_WS] =
        (vka__binding){.access = VKA__READ_WRITE, .source = VKA__SOURCE_WORKSPACE, .range = 4 * s->words};
}

static void explain(const vka__call *c, vka__text *text) {
    const state *s = state_of(c);
    const vka_linear_attention_backward_params *p =
        (const vka_linear_attention_backward_params *)(const void *)c->params;
    vka__say(text, "columns: %u\nrows_per_invocation: %u\nteam: %u\nchunk: %u tokens\nblocks_of_columns: %u\n",
             s->columns, s->rows, s->parts, p->chunk, p->blocks);
}

VKA__OPERATION(linear_attention_backward, .params_size = sizeof(block), .param_blocks = BLOCKS,
               .state_size = sizeof(state), .workspace = DESC(workspace), .limits = limits, .sizes = sizes,
               .check = check, .plan = plan, .dispatch = dispatch, .explain = explain);
_Static_assert(sizeof(state) <= VKA__MAX_STATE, "a call has room for it");
