/* vka_dynamic_conv_backward: the shares of taps are made in the workspace; inputs' gradients are sums over the outputs
 * that they are part of; weights' go through the softmax token by token, and are added where tokens have them in
 * common. SPDX-License-Identifier: MIT */
#include <vkattn/conv.h>

#include "ops/elementwise/sum.h"
#include "params/dynamic_conv_backward.h"

enum { X, WEIGHT, LENGTHS, D_OUT, D_X, D_WEIGHT, ARGS };
enum { AHEAD, NUMBERS };
/* In this order, those that there are. */
enum { TO_SHARES, TO_PARTIALS, TO_D_WEIGHT, TO_D_X, STEPS };

#define DESC(field) offsetof(vka_dynamic_conv_backward_desc, field)
#define MAX_TAPS    256

#define TENSOR(name, shape, f, a)                                                                                      \
    { #name, shape, DESC(name), VKA__NONE, VKA__FLOATS, .flags = f, .access = a, .extent = VKA__ALL }
static const vka__arg args[ARGS] = {
    [X] = TENSOR(x, "B T C", 0, VKA__READ),
    [WEIGHT] = TENSOR(weight, "1|B 1|T H K", VKA__REQUIRED, VKA__READ),
    [LENGTHS] = {"lengths", "B", DESC(lengths), VKA__NONE, VKA__TYPE(VKA_I32), .flags = VKA__LIST, .access = VKA__READ,
                 .extent = VKA__ALL},
    [D_OUT] = TENSOR(d_out, "B T C", VKA__REQUIRED, VKA__READ),
    [D_X] = TENSOR(d_x, "B T C", 0, VKA__WRITE),
    [D_WEIGHT] = TENSOR(d_weight, "1|B 1|T H K", 0, VKA__READ_WRITE),
};
static const vka__limit limits[] = {
    {'C', 1, UINT32_MAX}, {'H', 1, UINT32_MAX}, {'K', 1, MAX_TAPS}, {'T', 0, 1u << 30}, {0}};
static const vka__number numbers[NUMBERS] = {
    [AHEAD] = {"ahead", DESC(ahead), VKA__NUMBER_U32, false, 0, MAX_TAPS - 1, 0, NULL},
};

/* The convolution's steps share a parameter block. */
enum { GRADIENT, SUM, SUM_PARTS, BLOCKS };
typedef union block {
    vka_dynamic_conv_backward_params gradient;
    vka_sum_params sum;
} block;

typedef struct state {
    vka__view shares, partials; /* in the workspace; without partials d_weight is written at once */
    uint32_t key[STEPS];
    vka__grid grid[STEPS];
    uint64_t dispatches[STEPS];
    vka__sum sum;
} state;

static const state *state_of(const vka__call *c) {
    return (const state *)(const void *)c->state;
}

static uint32_t taps_of(const vka__call *c) {
    return vka__call_letter(c, 'K');
}

static uint32_t head_channels_of(const vka__call *c) {
    return vka__call_letter(c, 'C') / vka__call_letter(c, 'H');
}

/* ---- checks ---------------------------------------------------------------------------------------------------- */

static vka_status check_presence(const vka__call *c) {
    if (!vka__call_has(c, D_X) && !vka__call_has(c, D_WEIGHT))
        return vka__call_fail(c, VKA_INVALID, "d_x", "is absent, and so is d_weight: there is no result");
    if (!vka__call_has(c, X) && vka__call_has(c, D_WEIGHT))
        return vka__call_fail(c, VKA_INVALID, "x", "is required for d_weight");
    for (uint32_t dim = 0; dim < 2 && vka__call_has(c, D_WEIGHT); ++dim)
        if (c->view[D_WEIGHT].shape[dim] != c->view[WEIGHT].shape[dim])
            return vka__call_fail(c, VKA_INVALID, "d_weight", "shape[%u] is %u, but that of weight is %u", dim,
                                  c->view[D_WEIGHT].shape[dim], c->view[WEIGHT].shape[dim]);
    return VKA_OK;
}

static vka_status check(vka__call *c) {
    uint32_t channels = vka__call_letter(c, 'C'), heads = vka__call_letter(c, 'H'), tokens = vka__call_letter(c, 'T');
    uint32_t ahead = (uint32_t)c->number[AHEAD];
    vka_status status = check_presence(c);
    if (status != VKA_OK)
        return status;
    if (channels % heads)
        return vka__call_fail(c, VKA_INVALID, "weight", "%u channels don't go with %u heads: they must divide them",
                              channels, heads);
    if (ahead >= taps_of(c))
        return vka__call_fail(c, VKA_INVALID, "ahead", "%u is not below the number of taps, %u", ahead, taps_of(c));
    return vka__call_check_list(c, LENGTHS, false, vka__call_letter(c, 'B'), tokens, tokens);
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

/* Tokens of an invocation; tokens that one adds up where they have weights in common. */
#define RUN   8
#define CHUNK 16
/* Of an array of shared memory, of which a kernel has up to two. */
#define SHARED_WORDS 2048
#define MOST_LANES   32

static bool is_software(const vka__call *c) {
    return c->caps->type == VKA_DEVICE_CPU;
}

/* As many rows of taps as shared memory has room for. */
static uint32_t rows_of_group(const vka__call *c) {
    uint32_t rows = vka__group_size(c->caps, is_software(c) ? 8 : 64);
    while (rows * (taps_of(c) | 1) > SHARED_WORDS)
        rows /= 2;
    return rows;
}

static bool is_renormalised(const vka__call *c) {
    return VKA__DESC(c, vka_dynamic_conv_backward_desc)->renormalise;
}

/* Of an entry, a token and a channel. */
static vka_strides strides_of(const vka__view *v) {
    return (vka_strides){.b = (uint32_t)v->stride[1], .h = (uint32_t)v->stride[2], .n = (uint32_t)v->stride[3]};
}

static vka_strides weight_strides(const vka__view *v) {
    return vka__box_strides(v, v->shape);
}

static vka_dynamic_conv_backward_params *params_of(vka__call *c) {
    return &VKA__PARAMS_AT(c, block, GRADIENT)->gradient;
}

/* Adds a pipeline, and dispatches of so many workgroups, of `ops` operations each, in as many entries. */
static vka__pipeline_key *add_step(vka__call *c, int step, vka__kernel kernel, uint32_t group, uint64_t groups,
                                   uint32_t entries, uint64_t ops) {
    state *s = VKA__STATE(c, state);
    s->key[step] = c->key_count;
    s->grid[step] = vka__grid_of(c->caps, (uint32_t)groups, entries, 1);
    vka__grid_cap_ops(&s->grid[step], c->caps, ops);
    s->dispatches[step] = vka__grid_chunks(&s->grid[step]);
    vka__pipeline_key *key = vka__call_add_key(c, kernel, group);
    key->spec[VKA_SPEC_BR] = taps_of(c);
    key->spec[VKA_SPEC_FLAGS] =
        (vka__call_has(c, LENGTHS) ? VKA_FLAG_LENGTHS : 0) | (is_renormalised(c) ? VKA_FLAG_SHARE_D_VALID : 0);
    return key;
}

static void fill_params(vka__call *c) {
    const vka__view *weight = &c->view[WEIGHT];
    uint32_t ahead = (uint32_t)c->number[AHEAD], entries = vka__call_letter(c, 'B'), tokens = vka__call_letter(c, 'T');
    bool valid = is_renormalised(c), by_length = valid && vka__call_has(c, LENGTHS);
    uint32_t chunk = weight->shape[1] < tokens ? CHUNK : 1;
    *params_of(c) = (vka_dynamic_conv_backward_params){
        .x = strides_of(&c->view[X]),
        .d_out = strides_of(&c->view[D_OUT]),
        .d_x = strides_of(&c->view[D_X]),
        .weight = weight_strides(weight),
        .lengths_step = (uint32_t)c->view[LENGTHS].stride[3],
        .entries = entries,
        .tokens = tokens,
        .channels = vka__call_letter(c, 'C'),
        .heads = vka__call_letter(c, 'H'),
        .head_channels = head_channels_of(c),
        .before = taps_of(c) - 1 - ahead,
        .ahead = ahead,
        .chunk = chunk,
        .chunks = vka__div_up(tokens, chunk),
        .share_entries = by_length ? entries : weight->shape[0],
        .share_tokens = valid ? tokens : weight->shape[1],
    };
}

static bool plan_shares(vka__call *c) {
    state *s = VKA__STATE(c, state);
    vka_dynamic_conv_backward_params *p = params_of(c);
    const uint32_t shape[VKA_MAX_RANK] = {p->share_entries, p->share_tokens, p->heads, taps_of(c)};
    uint32_t group = rows_of_group(c);
    s->shares = vka__call_place(c, shape);
    p->shares = weight_strides(&s->shares);
    if (!vka__sees_all(c->caps, &s->shares, "weight", &c->refusal))
        return false;
    uint64_t rows = vka__volume(shape);
    vka__pipeline_key *key = add_step(c, TO_SHARES, VKA__dynamic_conv_shares, group, (rows + group - 1) / group, 1,
                                      (uint64_t)16 * taps_of(c) * group);
    key->spec[VKA_SPEC_TYPES] = vka__call_type(c, WEIGHT, VKA_ROLE_SHARE_D_WEIGHT);
    return true;
}

/* On a GPU as many as a head has taps. */
static uint32_t choose_lanes(const vka__call *c) {
    uint32_t lanes = 1;
    while (!is_software(c) && lanes < taps_of(c) && lanes < MOST_LANES)
        lanes *= 2;
    return lanes;
}

static bool plan_partials(vka__call *c, const vka__view *out, bool accumulate) {
    vka_dynamic_conv_backward_params *p = params_of(c);
    uint32_t lanes = choose_lanes(c), units = rows_of_group(c);
    while (lanes * units > vka__group_size(c->caps, 128)) {
        uint32_t *side = units > 1 ? &units : &lanes;
        *side /= 2;
    }
    uint64_t all = (uint64_t)p->entries * p->chunks, groups = (all * p->heads + units - 1) / units;
    p->d_weight = weight_strides(out);
    if (all > UINT32_MAX / p->heads)
        return vka__refuse(&c->refusal, "d_weight", "has more than 2^32 - 1 sums");
    bool whole = p->head_channels % 4 == 0 && vka__view_vec4(&c->view[X]) && vka__view_vec4(&c->view[D_OUT]);
    vka__pipeline_key *key = add_step(c, TO_PARTIALS, VKA__dynamic_conv_backward_weight, lanes * units, groups, 1,
                                      (uint64_t)4 * taps_of(c) * units * p->chunk * (p->head_channels + lanes + 2));
    key->spec[VKA_SPEC_TC] = lanes;
    key->spec[VKA_SPEC_FLAGS] |= (whole ? VKA_FLAG_VEC4 : 0) | (accumulate ? VKA_FLAG_SHARE_D_ACCUMULATE : 0);
    key->spec[VKA_SPEC_TYPES] = vka__call_type(c, X, VKA_ROLE_X) | vka__call_type(c, D_OUT, VKA_ROLE_D_OUT) |
                                (uint32_t)out->dtype << 4 * VKA_ROLE_OUT;
    return true;
}

/* At once, or by partial sums of entries, chunks or both. */
static bool plan_d_weight(vka__call *c) {
    state *s = VKA__STATE(c, state);
    const vka_dynamic_conv_backward_params *p = params_of(c);
    const vka__view *weight = &c->view[D_WEIGHT];
    const uint32_t shape[VKA_MAX_RANK] = {p->entries, p->chunks, p->heads, taps_of(c)};
    bool at_once = weight->shape[0] == p->entries && weight->shape[1] == p->tokens && p->chunk == 1;
    bool accumulate = VKA__DESC(c, vka_dynamic_conv_backward_desc)->accumulate;
    if (!at_once)
        s->partials = vka__call_place(c, shape);
    if (!vka__sees_all(c->caps, &s->partials, "d_weight", &c->refusal))
        return false;
    if (p->entries && p->tokens && !plan_partials(c, at_once ? weight : &s->partials, at_once && accumulate))
        return false;
    if (at_once)
        return true;
    s->sum = (vka__sum){.field = "d_weight",
                        .out_field = "d_weight",
                        .x = s->partials,
                        .out = *weight,
                        .accumulate = accumulate,
                        .workspace = c->workspace_bytes};
    if (!vka__sum_plan(c, &s->sum, &VKA__PARAMS_AT(c, block, SUM)->sum, &VKA__PARAMS_AT(c, block, SUM_PARTS)->sum))
        return false;
    s->dispatches[TO_D_WEIGHT] = vka__sum_dispatches(&s->sum);
    c->workspace_bytes += s->sum.workspace_bytes;
    return true;
}

static void plan_d_x(vka__call *c) {
    const vka_dynamic_conv_backward_params *p = params_of(c);
    const vka__view *d_out = &c->view[D_OUT];
    uint32_t group = vka__group_size(c->caps, is_software(c) ? 8 : 64);
    uint64_t units = (uint64_t)vka__div_up(p->channels, 4) * vka__div_up(p->tokens, RUN);
    bool time_first = d_out->shape[2] > 1 && d_out->shape[3] > 1 && d_out->stride[2] < d_out->stride[3];
    vka__pipeline_key *key = add_step(c, TO_D_X, VKA__dynamic_conv_backward, group, (units + group - 1) / group,
                                      p->entries, (uint64_t)8 * taps_of(c) * RUN * group);
    key->spec[VKA_SPEC_RM] = RUN;
    key->spec[VKA_SPEC_FLAGS] |= (vka__view_vec4(d_out) && vka__view_vec4(&c->view[D_X]) ? VKA_FLAG_VEC4 : 0) |
                                 (p->head_channels % 4 == 0 ? VKA_FLAG_SHARE_D_QUADS : 0) |
                                 (time_first ? VKA_FLAG_SHARE_D_TIME : 0);
    key->spec[VKA_SPEC_TYPES] = vka__call_type(c, D_OUT, VKA_ROLE_D_OUT) | vka__call_type(c, D_X, VKA_ROLE_OUT);
}

static bool plan(vka__call *c) {
    state *s = VKA__STATE(c, state);
    bool some = vka__view_extent(&c->view[D_OUT], 0);
    if (!vka__call_sees_whole(c))
        return false;
    fill_params(c);
    if ((some && !plan_shares(c)) || (vka__call_has(c, D_WEIGHT) && !plan_d_weight(c)))
        return false;
    if (some && vka__call_has(c, D_X))
        plan_d_x(c);
    for (int i = 0; i < STEPS; ++i)
        c->dispatches += s->dispatches[i];
    return true;
}

/* ---- dispatches ------------------------------------------------------------------------------------------------- */

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const state *s = state_of(c);
    const vka__view *v = c->view;
    uint32_t first[3];
    int step = TO_SHARES;
    for (; index >= s->dispatches[step]; ++step)
        index -= s->dispatches[step];
    if (step == TO_D_WEIGHT) {
        vka__sum_dispatch(c, &s->sum, index, out);
        out->params = SUM + (uint32_t)index;
        return;
    }
    vka__grid_chunk(&s->grid[step], index, first, out);
    out->key = s->key[step];
    out->params = GRADIENT;
    out->push.x0 = first[0];
    out->push.y0 = first[1];
    vka__bind_all(c->caps, &v[LENGTHS], VKA_BIND_SHARE_D_LENGTHS, VKA__READ, out);
    vka__bind_all(c->caps, &s->shares, VKA_BIND_SHARES, step == TO_SHARES ? VKA__WRITE : VKA__READ, out);
    if (step == TO_SHARES) {
        vka__bind_all(c->caps, &v[WEIGHT], VKA_BIND_SHARE_D_OF_WEIGHT, VKA__READ, out);
        return;
    }
    vka__bind_all(c->caps, &v[D_OUT], VKA_BIND_SHARE_D_OUT, VKA__READ, out);
    if (step == TO_D_X) {
        vka__bind_all(c->caps, &v[D_X], VKA_BIND_SHARE_D_X, VKA__WRITE, out);
        return;
    }
    bool adds = c->key[s->key[step]].spec[VKA_SPEC_FLAGS] & VKA_FLAG_SHARE_D_ACCUMULATE;
    vka__bind_all(c->caps, &v[X], VKA_BIND_X, VKA__READ, out);
    vka__bind_all(c->caps, s->partials.present ? &s->partials : &v[D_WEIGHT], VKA_BIND_SHARE_D_WEIGHT,
                  adds ? VKA__READ_WRITE : VKA__WRITE, out);
}

static void explain(const vka__call *c, vka__text *text) {
    const state *s = state_of(c);
    vka__say(text, "rows_of_shares: %llu\npartial_sums_of_weights: %u of each of %u entries\n",
             (unsigned long long)vka__volume(s->shares.shape), s->partials.present ? s->partials.shape[1] : 0,
             vka__call_letter(c, 'B'));
}

VKA__OPERATION(dynamic_conv_backward, .params_size = sizeof(block), .param_blocks = BLOCKS, .state_size = sizeof(state),
               .workspace = DESC(workspace), .limits = limits, .check = check, .plan = plan, .dispatch = dispatch,
               .explain = explain);
_Static_assert(sizeof(state) <= VKA__MAX_STATE, "a call has room for it");
