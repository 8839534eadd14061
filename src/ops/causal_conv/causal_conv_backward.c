/* vka_causal_conv_backward: the gradient before the activation, g, is made in the workspace where there is one; d_x is
 * the convolution of g with the taps in reverse; gradients of weights and biases are sums over tokens.
 * SPDX-License-Identifier: MIT */
#include <vkattn/conv.h>

#include "ops/elementwise/sum.h"
#include "params/causal_conv.h"
#include "params/causal_conv_backward.h"

enum { X, WEIGHT, BIAS, STATE_IN, D_OUT, D_STATE_OUT, D_X, D_WEIGHT, D_BIAS, D_STATE_IN, ARGS };
enum { ACTIVATION, NUMBERS };
/* In this order, those that there are. */
enum { TO_G, TO_PARTIALS, TO_D_WEIGHT, TO_D_BIAS, TO_D_X, STEPS };

#define DESC(field) offsetof(vka_causal_conv_backward_desc, field)

/* S: K - 1. */
#define TENSOR(name, shape, f, a)                                                                                      \
    { #name, shape, DESC(name), VKA__NONE, VKA__FLOATS, .flags = f, .access = a, .extent = VKA__ALL }
static const vka__arg args[ARGS] = {
    [X] = TENSOR(x, "B T C", 0, VKA__READ),
    [WEIGHT] = TENSOR(weight, "C K", 0, VKA__READ),
    [BIAS] = TENSOR(bias, "C", 0, VKA__READ),
    [STATE_IN] = TENSOR(state_in, "B S C", 0, VKA__READ),
    [D_OUT] = TENSOR(d_out, "B T C", VKA__REQUIRED, VKA__READ),
    [D_STATE_OUT] = TENSOR(d_state_out, "B S C", 0, VKA__READ),
    [D_X] = TENSOR(d_x, "B T C", 0, VKA__WRITE),
    [D_WEIGHT] = TENSOR(d_weight, "C K", 0, VKA__READ_WRITE),
    [D_BIAS] = TENSOR(d_bias, "C", 0, VKA__READ_WRITE),
    [D_STATE_IN] = TENSOR(d_state_in, "B S C", 0, VKA__WRITE),
};
static const vka__limit limits[] = {{'C', 1, UINT32_MAX}, {'K', 1, 256}, {'T', 0, 1u << 30}, {0}};
static const vka__number numbers[NUMBERS] = {
    [ACTIVATION] = {"activation", DESC(activation), VKA__NUMBER_ENUM, true, 0, VKA_ACTIVATION_SIGMOID, 0,
                    "vka_activation"},
};

/* Steps have parameter blocks of their own, but for those that share GRADIENT. */
enum { SLOPES, GRADIENT, WEIGHT_SUM, WEIGHT_PARTS, BIAS_SUM, BIAS_PARTS, BLOCKS };
typedef union block {
    vka_causal_conv_params slopes;
    vka_causal_conv_backward_params gradient;
    vka_sum_params sum;
} block;
_Static_assert(BLOCKS * sizeof(block) <= VKA__MAX_ALL_PARAMS, "a call has room for them");

typedef struct state {
    vka__view g, partials; /* before the activation; of weights [chunks, C, K]        */
    uint32_t key[STEPS];
    vka__grid grid[STEPS]; /* of the convolutions: workgroups of an entry, entries    */
    uint64_t dispatches[STEPS];
    vka__sum weight, bias;
} state;

static const state *state_of(const vka__call *c) {
    return (const state *)(const void *)c->state;
}

static uint32_t taps_of(const vka__call *c) {
    return vka__call_letter(c, 'K');
}

static bool has_elements(const vka__call *c, uint32_t arg) {
    return vka__call_has(c, arg) && vka__view_extent(&c->view[arg], 0);
}

/* ---- checks ---------------------------------------------------------------------------------------------------- */

/* Weights' shapes are compared after this, and before those of states. */
static vka_status sizes(vka__call *c) {
    const vka_causal_conv_backward_desc *d = VKA__DESC(c, vka_causal_conv_backward_desc);
    const vka_tensor *weight = d->weight.dtype ? &d->weight : &d->d_weight;
    if (weight->dtype)
        vka__call_bind_letter(c, 'S', weight->rank == 2 ? weight->shape[1] - 1 : 0);
    return VKA_OK;
}

static vka_status check(vka__call *c) {
    bool activation = c->number[ACTIVATION] != VKA_ACTIVATION_NONE;
    const struct {
        uint32_t arg;
        bool needed;
        const char *why;
    } needs[] = {
        {D_X, !vka__call_has(c, D_WEIGHT) && !vka__call_has(c, D_BIAS) && !vka__call_has(c, D_STATE_IN),
         "is absent, and so are d_weight, d_bias and d_state_in: there is no result"},
        {X, vka__call_has(c, D_WEIGHT), "is required for d_weight"},
        {WEIGHT, vka__call_has(c, D_X), "is required for d_x"},
        {WEIGHT, vka__call_has(c, D_STATE_IN), "is required for d_state_in"},
        {X, activation, "is required with an activation"},
        {WEIGHT, activation, "is required with an activation"},
    };
    for (size_t i = 0; i < sizeof needs / sizeof *needs; ++i)
        if (needs[i].needed && !vka__call_has(c, needs[i].arg))
            return vka__call_fail(c, VKA_INVALID, args[needs[i].arg].name, "%s", needs[i].why);
    return vka__call_check_rows(c, D_OUT, c->view[D_OUT].shape);
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

/* Tokens of an invocation: long runs read less twice. */
#define RUN          8
#define SOFTWARE_RUN 64
/* Taps whose sums an invocation owns. */
#define OWN_TAPS 8

static bool is_software(const vka__call *c) {
    return c->caps->type == VKA_DEVICE_CPU;
}

/* Of an entry, a token and a channel. */
static vka_strides strides_of(const vka__view *v) {
    return (vka_strides){.b = (uint32_t)v->stride[1], .h = (uint32_t)v->stride[2], .n = (uint32_t)v->stride[3]};
}

/* Channels lie apart where a channel's tokens lie side by side. */
static bool is_time_first(const vka__view *v) {
    return v->shape[2] > 1 && v->shape[3] > 1 && v->stride[2] < v->stride[3];
}

static uint32_t quads_of(const vka__call *c) {
    return vka__div_up(vka__call_letter(c, 'C'), 4);
}

static uint32_t run_of(const vka__call *c) {
    return is_software(c) ? SOFTWARE_RUN : RUN;
}

/* Adds a pipeline, and dispatches of `units` invocations of `ops` operations each, in as many entries. */
static vka__pipeline_key *add_step(vka__call *c, int step, vka__kernel kernel, uint64_t units, uint32_t entries,
                                   uint64_t ops) {
    state *s = VKA__STATE(c, state);
    uint32_t group = vka__group_size(c->caps, is_software(c) ? 8 : 64);
    s->key[step] = c->key_count;
    s->grid[step] = vka__grid_of(c->caps, (uint32_t)((units + group - 1) / group), entries, 1);
    vka__grid_cap_ops(&s->grid[step], c->caps, ops * group);
    s->dispatches[step] = vka__grid_chunks(&s->grid[step]);
    return vka__call_add_key(c, kernel, group);
}

/* By the convolution's own kernel. */
static void plan_g(vka__call *c) {
    state *s = VKA__STATE(c, state);
    uint32_t arg[] = {X, STATE_IN, D_OUT}, taps = taps_of(c);
    bool vec4 = vka__view_vec4(&s->g);
    for (size_t i = 0; i < sizeof arg / sizeof *arg; ++i)
        vec4 = vec4 && vka__view_vec4(&c->view[arg[i]]);
    VKA__PARAMS_AT(c, block, SLOPES)->slopes = (vka_causal_conv_params){
        .x = strides_of(&c->view[X]),
        .out_ = strides_of(&s->g),
        .state_in = strides_of(&c->view[STATE_IN]),
        .state_out = strides_of(&c->view[D_OUT]),
        .weight = {.n = (uint32_t)c->view[WEIGHT].stride[2], .d = (uint32_t)c->view[WEIGHT].stride[3]},
        .bias_step = (uint32_t)c->view[BIAS].stride[3],
        .taps = taps,
        .run = run_of(c),
    };
    uint64_t units = (uint64_t)quads_of(c) * vka__div_up(vka__call_letter(c, 'T'), run_of(c));
    vka__pipeline_key *key =
        add_step(c, TO_G, VKA__causal_conv_slopes, units, vka__call_letter(c, 'B'), (uint64_t)8 * taps * run_of(c));
    key->spec[VKA_SPEC_RM] = taps <= VKA_CONV_MAX_HELD ? taps : 0;
    key->spec[VKA_SPEC_FLAGS] = (vka__call_has(c, BIAS) ? VKA_FLAG_CONV_BIAS : 0) |
                                (has_elements(c, STATE_IN) ? VKA_FLAG_CONV_STATE_IN : 0) |
                                (is_time_first(&c->view[X]) ? VKA_FLAG_CONV_TIME_FIRST : 0) |
                                (vec4 ? VKA_FLAG_VEC4 : 0) | (uint32_t)c->number[ACTIVATION] << VKA_ACT_SHIFT;
    key->spec[VKA_SPEC_TYPES] =
        vka__call_type(c, X, VKA_ROLE_X) | (uint32_t)VKA_F32 << 4 * VKA_ROLE_OUT |
        vka__call_type(c, WEIGHT, VKA_ROLE_CONV_WEIGHT) | vka__call_type(c, BIAS, VKA_ROLE_CONV_BIAS) |
        vka__call_type(c, STATE_IN, VKA_ROLE_CONV_STATE_IN) | vka__call_type(c, D_OUT, VKA_ROLE_CONV_STATE_OUT);
}

static void fill_gradient(vka__call *c) {
    const state *s = state_of(c);
    VKA__PARAMS_AT(c, block, GRADIENT)->gradient = (vka_causal_conv_backward_params){
        .x = strides_of(&c->view[X]),
        .state_in = strides_of(&c->view[STATE_IN]),
        .g = strides_of(&s->g),
        .d_x = strides_of(&c->view[D_X]),
        .d_state_in = strides_of(&c->view[D_STATE_IN]),
        .d_state_out = strides_of(&c->view[D_STATE_OUT]),
        .weight = {.n = (uint32_t)c->view[WEIGHT].stride[2], .d = (uint32_t)c->view[WEIGHT].stride[3]},
        .entries = vka__call_letter(c, 'B'),
        .tokens = vka__call_letter(c, 'T'),
        .channels = vka__call_letter(c, 'C'),
        .taps = taps_of(c),
        .run = run_of(c),
    };
}

/* Partial sums of weights. */
static bool plan_partials(vka__call *c) {
    state *s = VKA__STATE(c, state);
    vka_causal_conv_backward_params *p = &VKA__PARAMS_AT(c, block, GRADIENT)->gradient;
    uint32_t own = vka__min_u32(p->taps, OWN_TAPS), rows = p->entries * p->tokens;
    uint64_t units = (uint64_t)quads_of(c) * vka__div_up(p->taps, own);
    uint32_t chunks = rows ? vka__sum_choose_parts(c->caps, units, (uint64_t)p->channels * p->taps, rows) : 0;
    p->chunk = chunks ? vka__div_up(rows, chunks) : 0;
    p->chunks = chunks ? vka__div_up(rows, p->chunk) : 0;
    const uint32_t shape[VKA_MAX_RANK] = {1, p->chunks, p->channels, p->taps};
    s->partials = vka__call_place(c, shape);
    if (!p->chunks || !vka__sees_all(c->caps, &s->partials, "d_weight", &c->refusal))
        return !p->chunks;
    if (units * p->chunks > UINT32_MAX)
        return vka__refuse(&c->refusal, "d_weight", "has more than 2^32 - 1 sums");
    vka__pipeline_key *key =
        add_step(c, TO_PARTIALS, VKA__causal_conv_backward_weight, units * p->chunks, 1, (uint64_t)8 * own * p->chunk);
    bool vec4 = vka__view_vec4(&s->g) && vka__view_vec4(&c->view[X]) && vka__view_vec4(&c->view[STATE_IN]);
    key->spec[VKA_SPEC_RM] = own;
    key->spec[VKA_SPEC_FLAGS] = (has_elements(c, STATE_IN) ? VKA_FLAG_CONV_D_STATE : 0) | (vec4 ? VKA_FLAG_VEC4 : 0);
    key->spec[VKA_SPEC_TYPES] = vka__call_type(c, X, VKA_ROLE_X) | (uint32_t)s->g.dtype << 4 * VKA_ROLE_D_OUT |
                                vka__call_type(c, STATE_IN, VKA_ROLE_CONV_D_OF_STATE);
    return true;
}

static bool plan_sum(vka__call *c, int step, uint32_t arg, const vka__view *x, int first, vka__sum *sum) {
    *sum = (vka__sum){.field = "d_out",
                      .out_field = args[arg].name,
                      .x = *x,
                      .out = c->view[arg],
                      .accumulate = VKA__DESC(c, vka_causal_conv_backward_desc)->accumulate,
                      .workspace = c->workspace_bytes};
    if (!vka__sum_plan(c, sum, &VKA__PARAMS_AT(c, block, first)->sum, &VKA__PARAMS_AT(c, block, first + 1)->sum))
        return false;
    VKA__STATE(c, state)->dispatches[step] = vka__sum_dispatches(sum);
    c->workspace_bytes += sum->workspace_bytes;
    return true;
}

static void plan_d_x(vka__call *c) {
    static const uint32_t by_token[] = {D_STATE_OUT, D_X, D_STATE_IN};
    const state *s = state_of(c);
    bool d_x = has_elements(c, D_X), d_state_in = has_elements(c, D_STATE_IN), vec4 = vka__view_vec4(&s->g);
    uint32_t taps = taps_of(c), inputs = (d_x ? vka__call_letter(c, 'T') : 0) + (d_state_in ? taps - 1 : 0);
    for (int i = 0; i < 3; ++i)
        vec4 = vec4 && vka__view_vec4(&c->view[by_token[i]]);
    if (!inputs)
        return;
    uint64_t units = (uint64_t)quads_of(c) * vka__div_up(inputs, run_of(c));
    vka__pipeline_key *key =
        add_step(c, TO_D_X, VKA__causal_conv_backward, units, vka__call_letter(c, 'B'), (uint64_t)8 * taps * run_of(c));
    key->spec[VKA_SPEC_RM] = taps <= VKA_CONV_MAX_HELD ? taps : 0;
    key->spec[VKA_SPEC_FLAGS] = (d_x ? VKA_FLAG_CONV_D_X : 0) | (d_state_in ? VKA_FLAG_CONV_D_STATE_IN : 0) |
                                (has_elements(c, D_STATE_OUT) ? VKA_FLAG_CONV_D_STATE_OUT : 0) |
                                (is_time_first(&c->view[D_OUT]) ? VKA_FLAG_CONV_D_TIME : 0) |
                                (vec4 ? VKA_FLAG_VEC4 : 0);
    key->spec[VKA_SPEC_TYPES] = (uint32_t)s->g.dtype << 4 * VKA_ROLE_D_OUT | vka__call_type(c, D_X, VKA_ROLE_OUT) |
                                vka__call_type(c, WEIGHT, VKA_ROLE_CONV_D_WEIGHT) |
                                vka__call_type(c, D_STATE_IN, VKA_ROLE_CONV_D_STATE_IN) |
                                vka__call_type(c, D_STATE_OUT, VKA_ROLE_CONV_D_STATE_OUT);
}

static bool plan(vka__call *c) {
    state *s = VKA__STATE(c, state);
    if (!vka__call_sees_whole(c))
        return false;
    s->g = c->view[D_OUT];
    if (c->number[ACTIVATION] != VKA_ACTIVATION_NONE && has_elements(c, D_OUT)) {
        s->g = vka__call_place(c, c->view[D_OUT].shape);
        if (!vka__sees_all(c->caps, &s->g, "d_out", &c->refusal))
            return false;
        plan_g(c);
    }
    fill_gradient(c);
    if (vka__call_has(c, D_WEIGHT) &&
        (!plan_partials(c) || !plan_sum(c, TO_D_WEIGHT, D_WEIGHT, &s->partials, WEIGHT_SUM, &s->weight)))
        return false;
    if (vka__call_has(c, D_BIAS) && !plan_sum(c, TO_D_BIAS, D_BIAS, &s->g, BIAS_SUM, &s->bias))
        return false;
    plan_d_x(c);
    for (int i = 0; i < STEPS; ++i)
        c->dispatches += s->dispatches[i];
    return true;
}

/* ---- dispatches ------------------------------------------------------------------------------------------------- */

typedef struct bound {
    const vka__view *view;
    uint32_t binding;
    vka__access access;
} bound;

static void bind(const vka__call *c, const bound *list, size_t count, vka__dispatch *out) {
    for (size_t i = 0; i < count; ++i)
        vka__bind_all(c->caps, list[i].view, list[i].binding, list[i].access, out);
}

static void bind_step(const vka__call *c, int step, vka__dispatch *out) {
    const vka__view *v = c->view;
    const state *s = state_of(c);
    const bound to_g[] = {
        {&v[X], VKA_BIND_X, VKA__READ},
        {&v[WEIGHT], VKA_BIND_CONV_WEIGHT, VKA__READ},
        {&v[BIAS], VKA_BIND_CONV_BIAS, VKA__READ},
        {&v[STATE_IN], VKA_BIND_CONV_STATE_IN, VKA__READ},
        {&v[D_OUT], VKA_BIND_CONV_STATE_OUT, VKA__READ},
        {&s->g, VKA_BIND_CONV_OUT, VKA__WRITE},
    };
    const bound to_partials[] = {
        {&v[X], VKA_BIND_X, VKA__READ},
        {&v[STATE_IN], VKA_BIND_CONV_D_OF_STATE, VKA__READ},
        {&s->g, VKA_BIND_CONV_G, VKA__READ},
        {&s->partials, VKA_BIND_CONV_PARTIALS, VKA__WRITE},
    };
    const bound to_d_x[] = {
        {&v[WEIGHT], VKA_BIND_CONV_D_WEIGHT, VKA__READ},         {&s->g, VKA_BIND_CONV_G, VKA__READ},
        {&v[D_STATE_OUT], VKA_BIND_CONV_D_STATE_OUT, VKA__READ}, {&v[D_X], VKA_BIND_CONV_D_X, VKA__WRITE},
        {&v[D_STATE_IN], VKA_BIND_CONV_D_STATE_IN, VKA__WRITE},
    };
    if (step == TO_G)
        bind(c, to_g, sizeof to_g / sizeof *to_g, out);
    else if (step == TO_PARTIALS)
        bind(c, to_partials, sizeof to_partials / sizeof *to_partials, out);
    else
        bind(c, to_d_x, sizeof to_d_x / sizeof *to_d_x, out);
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const state *s = state_of(c);
    uint32_t first[3];
    int step = TO_G;
    for (; index >= s->dispatches[step]; ++step)
        index -= s->dispatches[step];
    if (step == TO_D_WEIGHT || step == TO_D_BIAS) {
        vka__sum_dispatch(c, step == TO_D_WEIGHT ? &s->weight : &s->bias, index, out);
        out->params = (step == TO_D_WEIGHT ? WEIGHT_SUM : BIAS_SUM) + (uint32_t)index;
        return;
    }
    vka__grid_chunk(&s->grid[step], index, first, out);
    out->key = s->key[step];
    out->params = step == TO_G ? SLOPES : GRADIENT;
    out->push.x0 = first[0];
    out->push.y0 = first[1];
    out->push.rows = vka__call_letter(c, 'T');
    out->push.row0 = vka__call_letter(c, 'C');
    out->push.dim2 = vka__call_letter(c, 'B');
    bind_step(c, step, out);
}

static void explain(const vka__call *c, vka__text *text) {
    const state *s = state_of(c);
    vka__say(text, "makes_g: %s\nchunks_of_weight_sums: %u\nparts_of_bias_sums: %u\n", vka__yes(s->dispatches[TO_G]),
             s->partials.shape[1], s->bias.parts);
}

VKA__OPERATION(causal_conv_backward, .params_size = sizeof(block), .param_blocks = BLOCKS, .state_size = sizeof(state),
               .workspace = DESC(workspace), .limits = limits, .sizes = sizes, .check = check, .plan = plan,
               .dispatch = dispatch, .explain = explain);
_Static_assert(sizeof(state) <= VKA__MAX_STATE, "a call has room for it");
