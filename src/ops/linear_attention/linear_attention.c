/* vka_linear_attention.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "ops/linear_attention/plan.h"

enum { Q, K, V, DECAY, BETA, STATE_IN, STATE_OUT, OUT, ARGS };
enum { RULE, SCALE, PATH, NUMBERS };

#define BIT(arg)    (1u << (arg))
#define DESC(field) offsetof(vka_linear_attention_desc, field)
#define F32         VKA__TYPE(VKA_F32)

/* Heads: Q of queries, A of keys, H of values and states, O of outputs. */
#define TENSOR(name, shape, types, in_place, f, a, b)                                                                  \
    {                                                                                                                  \
#        name, shape, DESC(name), VKA__NONE, types, in_place, .flags = f, .access = a, .binding = b,                   \
                                                              .extent = VKA__CUSTOM                                    \
    }
static const vka__arg args[ARGS] = {
    [Q] = TENSOR(q, "B Q T K", VKA__FLOATS, 0, VKA__REQUIRED, VKA__READ, VKA_BIND_LINEAR_Q),
    [K] = TENSOR(k, "B A T K", VKA__FLOATS, 0, VKA__REQUIRED, VKA__READ, VKA_BIND_LINEAR_K),
    [V] = TENSOR(v, "B H T V", VKA__FLOATS, 0, VKA__REQUIRED, VKA__READ, VKA_BIND_LINEAR_V),
    [DECAY] = TENSOR(decay, "B 1|H T 1|K", VKA__FLOATS, 0, 0, VKA__READ, VKA_BIND_LINEAR_DECAY),
    [BETA] = TENSOR(beta, "B 1|H T", VKA__FLOATS, 0, VKA__PER_ROW, VKA__READ, VKA_BIND_LINEAR_BETA),
    [STATE_IN] = TENSOR(state_in, "B H K V", F32, 0, 0, VKA__READ, VKA_BIND_LINEAR_STATE_IN),
    [STATE_OUT] = TENSOR(state_out, "B H K V", F32, BIT(STATE_IN), 0, VKA__WRITE, VKA_BIND_LINEAR_STATE_OUT),
    [OUT] = TENSOR(out, "B O T V", VKA__FLOATS, 0, VKA__REQUIRED, VKA__WRITE, VKA_BIND_LINEAR_OUT),
};
static const vka__limit limits[] = {{'Q', 1, UINT32_MAX}, {'A', 1, UINT32_MAX}, {'H', 1, UINT32_MAX},
                                    {'K', 1, 512},        {'V', 1, UINT32_MAX}, {0}};
static const vka__number numbers[NUMBERS] = {
    [RULE] = {"rule", DESC(rule), VKA__NUMBER_ENUM, false, VKA_LINEAR_ATTENTION_LINEAR,
              VKA_LINEAR_ATTENTION_GATED_DELTA, 0, "vka_linear_attention_rule"},
    [SCALE] = {"scale", DESC(scale), VKA__NUMBER_F32, true, VKA__LEAST, VKA__FINITE, 0, NULL},
    [PATH] = {"path", DESC(path), VKA__NUMBER_ENUM, false, 0, VKA_LINEAR_ATTENTION_PATH_CHUNKED, 0,
              "vka_linear_attention_path"},
};

/* A slice is all entries, or one, or a head of one; and so many tokens of it, if the state can be kept meanwhile. */
typedef struct state {
    vka__linear_attention_problem problem;
    vka__path_choice choice;
    uint32_t batch, heads, tokens; /* of a slice: heads of states                */
    uint32_t slices, pieces;       /* a piece is a slice's tokens                */
    vka__grid grid;                /* workgroups of a state, states, entries     */
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

/* Shapes are compared after this: those of q and v before that of out. */
static vka_status sizes(vka__call *c) {
    const vka_linear_attention_desc *d = VKA__DESC(c, vka_linear_attention_desc);
    vka__call_bind_letter(c, 'O', vka__max_u32(d->q.shape[1], d->v.shape[1]));
    return VKA_OK;
}

static vka_status check_tile(const vka__call *c) {
    const vka_linear_attention_desc *d = VKA__DESC(c, vka_linear_attention_desc);
    const vka_linear_attention_tile *t = &d->tile;
    if ((t->tokens || t->columns || t->rows_per_invocation || t->team) && !(d->path && t->columns))
        return vka__call_fail(c, VKA_INVALID, "tile", "needs %s", d->path ? "columns" : "a path");
    return VKA_OK;
}

static void describe_problem(vka__call *c) {
    const vka_linear_attention_desc *d = VKA__DESC(c, vka_linear_attention_desc);
    const vka_linear_attention_tile *t = &d->tile;
    VKA__STATE(c, state)->problem = (vka__linear_attention_problem){
        .tokens = vka__call_letter(c, 'T'),
        .key_dim = vka__call_letter(c, 'K'),
        .value_dim = vka__call_letter(c, 'V'),
        .queries = vka__max_u32(vka__call_letter(c, 'Q') / vka__call_letter(c, 'H'), 1),
        .delta = is_delta(c),
        .decays = is_gated(c),
        .channels = is_gated(c) && c->view[DECAY].shape[3] > 1,
        .path = d->path,
        .tile = {t->tokens, t->columns, t->rows_per_invocation, t->team},
    };
}

vka_status vka__linear_attention_check(const vka__call *c, const vka__linear_attention_args *has, bool gated,
                                       bool delta) {
    uint32_t q = vka__call_letter(c, 'Q'), k = vka__call_letter(c, 'A'), h = vka__call_letter(c, 'H');
    if (q % h && h % q)
        return vka__call_fail(c, VKA_INVALID, "q", "%u heads don't go with %u states: one must divide the other", q, h);
    if (h % k)
        return vka__call_fail(c, VKA_INVALID, "k", "%u heads don't go with %u states: they must divide them", k, h);
    if (vka__call_has(c, has->decay) != gated)
        return vka__call_fail(c, VKA_INVALID, "decay",
                              gated ? "is required by the rule" : "is there, but the rule has none");
    if (vka__call_has(c, has->beta) && !delta)
        return vka__call_fail(c, VKA_INVALID, "beta", "is there, but the rule has none");
    return VKA_OK;
}

static vka_status check(vka__call *c) {
    static const vka__linear_attention_args has = {DECAY, BETA};
    vka_status status = vka__linear_attention_check(c, &has, is_gated(c), is_delta(c));
    if (status != VKA_OK)
        return status;
    describe_problem(c);
    return check_tile(c);
}

/* ---- kernel ----------------------------------------------------------------------------------------------------- */

static bool choose_kernel(vka__call *c) {
    state *s = VKA__STATE(c, state);
    const vka__linear_attention_problem *p = &s->problem;
    const vka__path_query query = {
        .caps = c->caps,
        .problem = p,
        .path = p->path,
        .tile = p->tile,
        .rows = p->tokens,
        .tuning = c->device ? vka__device_tuning(c->device) : NULL,
        .in = {c->view[Q].dtype, {p->tokens, p->key_dim, p->value_dim}},
    };
    if (!vka__path_choose(&vka__linear_attention_paths, &query, &s->choice, &c->refusal))
        return false;
    const vka__tile *t = &s->choice.tile;
    vka__pipeline_key *key = vka__call_add_key(c, VKA__linear_attention, t->tc * t->bc);
    key->spec[VKA_SPEC_D] = p->key_dim;
    key->spec[VKA_SPEC_RM] = t->rm;
    key->spec[VKA_SPEC_TC] = t->tc;
    key->spec[VKA_SPEC_BR] = t->br;
    vka__linear_attention_path_of(s->choice.path)->fill(c->caps, p, t, key);
    return true;
}

static void fill_key(vka__call *c) {
    static const struct {
        uint32_t args, flag;
    } vec4[] = {
        {BIT(Q), VKA_FLAG_LINEAR_VEC4_Q},         {BIT(K), VKA_FLAG_LINEAR_VEC4_K},
        {BIT(V), VKA_FLAG_LINEAR_VEC4_V},         {BIT(OUT), VKA_FLAG_LINEAR_VEC4_OUT},
        {BIT(DECAY), VKA_FLAG_LINEAR_VEC4_DECAY}, {BIT(STATE_IN) | BIT(STATE_OUT), VKA_FLAG_LINEAR_VEC4_STATE},
    };
    static const uint32_t roles[][2] = {{Q, VKA_ROLE_LINEAR_Q},       {K, VKA_ROLE_LINEAR_K},
                                        {V, VKA_ROLE_LINEAR_V},       {OUT, VKA_ROLE_LINEAR_OUT},
                                        {BETA, VKA_ROLE_LINEAR_BETA}, {DECAY, VKA_ROLE_LINEAR_DECAY}};
    uint32_t *spec = c->key[0].spec;
    for (int i = 0; i < 6; ++i) {
        spec[VKA_SPEC_FLAGS] |= vka__call_vec4(c, vec4[i].args) ? vec4[i].flag : 0;
        spec[VKA_SPEC_TYPES] |= vka__call_type(c, roles[i][0], roles[i][1]);
    }
    spec[VKA_SPEC_FLAGS] |= (is_delta(c) ? VKA_FLAG_LINEAR_DELTA : 0) | (is_gated(c) ? VKA_FLAG_LINEAR_DECAY : 0) |
                            (is_gated(c) && c->view[DECAY].shape[3] > 1 ? VKA_FLAG_LINEAR_CHANNELS : 0) |
                            (vka__call_has(c, BETA) ? VKA_FLAG_LINEAR_BETA : 0) |
                            (vka__call_has(c, STATE_OUT) ? VKA_FLAG_LINEAR_STATE_OUT : 0);
}

/* ---- slices ----------------------------------------------------------------------------------------------------- */

/* A dispatch of so many tokens takes slow devices a tenth of a second, however few states there are. */
#define MAX_PIECE 65536

static bool is_state(uint32_t arg) {
    return arg == STATE_IN || arg == STATE_OUT;
}

/* The box of a tensor that goes with a slice's first entry, state and token, or with its numbers of them. */
static void box_of(const vka__call *c, uint32_t arg, const uint32_t begin[3], const uint32_t size[3], uint32_t at[3],
                   uint32_t part[3]) {
    uint32_t states = vka__call_letter(c, 'H'), heads = c->view[arg].shape[1];
    memcpy(at, begin, 3 * sizeof *at);
    memcpy(part, size, 3 * sizeof *part);
    at[1] = (uint32_t)((uint64_t)begin[1] * heads / states);
    part[1] = size[1] == states ? heads : vka__max_u32(heads / states, 1);
    if (is_state(arg)) {
        at[2] = 0;
        part[2] = c->view[arg].shape[2];
    }
}

/* Tokens of a slice that bindings see, at most `tokens`; 0 and the tensor that is too large: none. */
static uint32_t visible_tokens(const vka__call *c, const uint32_t slice[2], uint32_t tokens, uint32_t *misfit) {
    for (uint32_t arg = 0; arg < ARGS && tokens; ++arg) {
        static const uint32_t first[3];
        uint32_t size[3] = {slice[0], slice[1], tokens}, at[3], part[3];
        box_of(c, arg, first, size, at, part);
        if (!c->view[arg].present)
            continue;
        bool fits = vka__cut_to_binding(c->caps, &c->view[arg], is_state(arg) ? 0 : 1u << 2, part);
        uint32_t seen = !fits ? 0 : is_state(arg) ? tokens : part[2];
        *misfit = seen < tokens ? arg : *misfit;
        tokens = seen;
    }
    return tokens;
}

/* The largest slice whose tokens bindings see; or, if the state can be kept, one head with some of its tokens. */
static bool choose_slices(vka__call *c) {
    state *s = VKA__STATE(c, state);
    const uint32_t *shape = c->view[V].shape;
    const uint32_t slices[3][2] = {{shape[0], shape[1]}, {1, shape[1]}, {1, 1}};
    uint32_t tokens = vka__max_u32(shape[2], 1), visible = 0, misfit = 0;
    for (int i = 0; i < 3 && visible < tokens; ++i) {
        visible = visible_tokens(c, slices[i], tokens, &misfit);
        s->batch = slices[i][0];
        s->heads = slices[i][1];
    }
    bool keeps = vka__call_has(c, STATE_OUT);
    if (!visible || (visible < tokens && !keeps))
        return vka__refuse_span(c->caps, args[misfit].name, keeps ? "a token of one head" : "one head", &c->refusal);
    uint64_t ops = (uint64_t)8 * vka__call_letter(c, 'K') * shape[3] * s->heads * s->batch;
    uint64_t most = vka__min_u64(vka__max_u64(vka__dispatch_ops(c->caps) / ops, 64), MAX_PIECE);
    s->tokens = keeps ? (uint32_t)vka__min_u64(visible, most) : tokens;
    s->pieces = vka__div_up(tokens, s->tokens);
    s->slices = shape[0] / s->batch * (shape[1] / s->heads);
    return true;
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

static vka_strides strides_of(const vka__call *c, uint32_t arg) {
    const state *s = state_of(c);
    const uint32_t size[3] = {s->batch, s->heads, s->tokens};
    static const uint32_t first[3];
    uint32_t at[3], part[3];
    box_of(c, arg, first, size, at, part);
    return vka__box_strides(&c->view[arg], part);
}

static void fill_params(vka__call *c) {
    uint32_t states = vka__call_letter(c, 'H');
    float scale = (float)c->number[SCALE];
    *VKA__PARAMS(c, vka_linear_attention_params) = (vka_linear_attention_params){
        .q = strides_of(c, Q),
        .k = strides_of(c, K),
        .v = strides_of(c, V),
        .decay = strides_of(c, DECAY),
        .beta = strides_of(c, BETA),
        .out_ = strides_of(c, OUT),
        .state_in = strides_of(c, STATE_IN),
        .state_out = strides_of(c, STATE_OUT),
        .value_dim = vka__call_letter(c, 'V'),
        .queries = state_of(c)->problem.queries,
        .q_share = vka__max_u32(states / vka__call_letter(c, 'Q'), 1),
        .k_share = states / vka__call_letter(c, 'A'),
        .scale = scale > 0 ? scale : (float)(1 / sqrt(vka__call_letter(c, 'K'))),
    };
}

static bool plan(vka__call *c) {
    state *s = VKA__STATE(c, state);
    const uint32_t *shape = c->view[V].shape;
    if (!shape[0] || (!shape[2] && !vka__call_has(c, STATE_OUT)))
        return true;
    if (!choose_slices(c) || !choose_kernel(c))
        return false;
    fill_key(c);
    fill_params(c);
    s->grid = vka__grid_of(c->caps, vka__div_up(vka__div_up(shape[3], 4), s->choice.tile.bc), s->heads, s->batch);
    s->grid.ops = (uint64_t)8 * vka__call_letter(c, 'K') * 4 * s->choice.tile.bc * s->tokens;
    c->dispatches = (uint64_t)s->slices * s->pieces * vka__grid_chunks(&s->grid);
    return true;
}

/* The first piece starts from the state that comes in, every other one from what the one before it left. */
static void bind(const vka__call *c, const uint32_t begin[3], const uint32_t size[3], vka__dispatch *out) {
    for (uint32_t arg = 0; arg < ARGS; ++arg) {
        uint32_t at[3], part[3];
        box_of(c, arg, begin, size, at, part);
        if (arg == STATE_IN && begin[2]) {
            uint32_t *base = &out->push.base[VKA_BIND_LINEAR_STATE_IN];
            out->binding[VKA_BIND_LINEAR_STATE_IN] =
                vka__bind_box(c->caps, &c->view[STATE_OUT], at, part, VKA__READ, base);
        } else {
            vka__call_bind_box(c, arg, at, part, out);
        }
    }
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const state *s = state_of(c);
    uint32_t tokens = c->view[V].shape[2], across = c->view[V].shape[1] / s->heads, first[3];
    uint64_t chunks = vka__grid_chunks(&s->grid), piece = index / chunks % s->pieces,
             slice = index / chunks / s->pieces;
    const uint32_t begin[3] = {(uint32_t)(slice / across) * s->batch, (uint32_t)(slice % across) * s->heads,
                               (uint32_t)piece * s->tokens};
    const uint32_t size[3] = {s->batch, s->heads, vka__min_u32(s->tokens, tokens - begin[2])};
    vka__grid_chunk(&s->grid, index % chunks, first, out);
    out->push.x0 = first[0];
    out->push.y0 = first[1];
    out->push.b0 = first[2];
    out->push.z0 = begin[2]                     ? VKA_LINEAR_FROM_OUT
                   : vka__call_has(c, STATE_IN) ? VKA_LINEAR_FROM_IN
                                                : VKA_LINEAR_FROM_ZERO;
    out->push.rows = size[2];
    bind(c, begin, size, out);
}

static void explain(const vka__call *c, vka__text *text) {
    const uint32_t *spec = c->key[0].spec;
    const state *s = state_of(c);
    const vka__tile *t = &s->choice.tile;
    vka__say(text, "path: %s\nwhy: %s\ntokens: %u\ncolumns: %u\nrows_per_invocation: %u\nteam: %u\n",
             vka__path_name(&vka__linear_attention_paths, s->choice.path), s->choice.why, t->br, t->bc, t->rm, t->tc);
    vka__say(text, "staged_queries: %u\n", spec[VKA_SPEC_BC]);
    if (s->choice.path == VKA_LINEAR_ATTENTION_PATH_CHUNKED)
        vka__say(text, "tokens_summed_up_together: %u\n", spec[VKA_SPEC_M]);
    vka__say(text, "slice: %u entries, %u states, %u tokens\n", s->batch, s->heads, s->tokens);
}

VKA__OPERATION(linear_attention, .params_size = sizeof(vka_linear_attention_params), .state_size = sizeof(state),
               .limits = limits, .paths = &vka__linear_attention_paths, .problem = offsetof(state, problem),
               .asked = DESC(path), .asked_size = sizeof(vka_linear_attention_desc) - DESC(path), .sizes = sizes,
               .check = check, .plan = plan, .dispatch = dispatch, .explain = explain);
VKA__CANDIDATE(linear_attention);
