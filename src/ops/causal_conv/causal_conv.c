/* vka_causal_conv.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <vkattn/conv.h>

#include "op/op.h"
#include "ops/conv/boxes.h"
#include "params/causal_conv.h"

enum { X, WEIGHT, BIAS, STATE_IN, STATE_OUT, OUT, ARGS };
enum { ACTIVATION, NUMBERS };

#define BIT(arg)       (1u << (arg))
#define DESC(field)    offsetof(vka_causal_conv_desc, field)
#define STRIDES(field) offsetof(vka_causal_conv_params, field)

/* S: K - 1. */
#define TENSOR(name, shape, in_place, f, a, b, e)                                                                      \
    { #name, shape, DESC(name), VKA__NONE, VKA__FLOATS, in_place, .flags = f, .access = a, .binding = b, .extent = e }
static const vka__arg args[ARGS] = {
    [X] = TENSOR(x, "B T C", 0, VKA__REQUIRED, VKA__READ, VKA_BIND_X, VKA__CUSTOM),
    [WEIGHT] = TENSOR(weight, "C K", 0, VKA__REQUIRED, VKA__READ, VKA_BIND_CONV_WEIGHT, VKA__ALL),
    [BIAS] = TENSOR(bias, "C", 0, 0, VKA__READ, VKA_BIND_CONV_BIAS, VKA__ALL),
    [STATE_IN] = TENSOR(state_in, "B S C", 0, 0, VKA__READ, VKA_BIND_CONV_STATE_IN, VKA__CUSTOM),
    [STATE_OUT] = TENSOR(state_out, "B S C", BIT(STATE_IN), 0, VKA__WRITE, VKA_BIND_CONV_STATE_OUT, VKA__CUSTOM),
    [OUT] = TENSOR(out, "B T C", 0, VKA__REQUIRED, VKA__WRITE, VKA_BIND_CONV_OUT, VKA__CUSTOM),
};
static const vka__limit limits[] = {{'C', 1, UINT32_MAX}, {'K', 1, 256}, {'T', 0, 1u << 30}, {0}};
static const vka__number numbers[NUMBERS] = {
    [ACTIVATION] = {"activation", DESC(activation), VKA__NUMBER_ENUM, true, 0, VKA_ACTIVATION_SIGMOID, 0,
                    "vka_activation"},
};

/* A dispatch does a box of entries, tokens and channels, and of its grid what the device can have. */
typedef struct state {
    uint32_t shape[3]; /* at least one token, which there may not be */
    uint32_t part[3], parts[3];
    vka__grid grid; /* workgroups of an entry, entries            */
    bool vec4;
} state;

static const state *state_of(const vka__call *c) {
    return (const state *)(const void *)c->state;
}

static uint32_t history_of(const vka__call *c) {
    return vka__call_letter(c, 'K') - 1;
}

static bool has_elements(const vka__call *c, uint32_t arg) {
    return vka__call_has(c, arg) && vka__view_extent(&c->view[arg], 0);
}

/* The weight's shape is compared after this, and before those of states. */
static vka_status sizes(vka__call *c) {
    const vka_tensor *weight = &VKA__DESC(c, vka_causal_conv_desc)->weight;
    vka__call_bind_letter(c, 'S', weight->rank == 2 ? weight->shape[1] - 1 : 0);
    return VKA_OK;
}

/* ---- boxes ------------------------------------------------------------------------------------------------------ */

/* The box of a tensor that goes with a box of the output. */
static void box_of(const vka__call *c, uint32_t arg, uint32_t begin[3], uint32_t size[3]) {
    uint32_t before = vka__min_u32(begin[TOKENS], history_of(c));
    if (arg == STATE_IN || arg == STATE_OUT) {
        begin[TOKENS] = 0;
        size[TOKENS] = history_of(c);
    } else if (arg == X) {
        begin[TOKENS] -= before;
        size[TOKENS] += before;
    }
}

/* Shortens boxes until bindings see what they need of a tensor; X: with the inputs before them. */
static bool cut_to(const vka__call *c, uint32_t arg, uint32_t part[3]) {
    uint32_t history = history_of(c);
    return arg == STATE_IN || arg == STATE_OUT ? vka__conv_cut_rows(c->caps, &c->view[arg], history, part)
                                               : vka__conv_cut(c->caps, &c->view[arg], arg == X ? history : 0, part);
}

/* Where tokens are cut, parts are no shorter than what a state has: so the last one sees all inputs that make the new
 * state, and only the first one reads the old one. Channels are cut between vectors of four. */
static bool choose_boxes(vka__call *c) {
    state *s = VKA__STATE(c, state);
    const uint32_t *x = c->view[X].shape, whole[3] = {x[0], vka__max_u32(x[1], 1), x[2]};
    memcpy(s->shape, whole, sizeof whole);
    memcpy(s->part, whole, sizeof whole);
    for (uint32_t arg = 0; arg < ARGS; ++arg)
        if (args[arg].extent == VKA__CUSTOM && has_elements(c, arg) && !cut_to(c, arg, s->part))
            return vka__refuse_span(c->caps, args[arg].name, "K tokens of four channels", &c->refusal);
    vka__conv_even_out(s->shape, s->part, s->parts);
    if (s->parts[TOKENS] > 1 && s->part[TOKENS] < history_of(c))
        return vka__refuse_span(c->caps, "x", "2 K tokens of four channels", &c->refusal);
    return true;
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

/* Invocations that keep a GPU busy, and then some. */
#define ENOUGH_INVOCATIONS 131072
#define SHORT_RUN          8
#define LONG_RUN           32
#define SOFTWARE_RUN       64

/* Channels lie apart where a channel's tokens lie side by side. */
static bool is_time_first(const vka__call *c) {
    const vka__view *x = &c->view[X];
    return x->shape[TOKENS] > 1 && x->shape[CHANNELS] > 1 && x->stride[TOKENS] < x->stride[CHANNELS];
}

/* Long runs read less twice, short ones are more. The first run must have all that reads the old state, in case the new
 * one is written over it. */
static uint32_t choose_run(const vka__call *c) {
    const state *s = state_of(c);
    uint64_t tokens = vka__volume(s->part) / 4;
    uint32_t run = c->caps->type == VKA_DEVICE_CPU ? SOFTWARE_RUN : SHORT_RUN;
    while (run < LONG_RUN && !is_time_first(c) && tokens / (2 * run) >= ENOUGH_INVOCATIONS)
        run *= 2;
    bool both = vka__call_has(c, STATE_IN) && vka__call_has(c, STATE_OUT);
    return both ? vka__max_u32(run, history_of(c)) : run;
}

static void choose_kernel(vka__call *c) {
    uint32_t taps = vka__call_letter(c, 'K');
    vka__pipeline_key *key =
        vka__call_add_key(c, VKA__causal_conv, vka__group_size(c->caps, c->caps->type == VKA_DEVICE_CPU ? 8 : 64));
    key->spec[VKA_SPEC_RM] = taps <= VKA_CONV_MAX_HELD ? taps : 0;
    key->spec[VKA_SPEC_FLAGS] =
        (vka__call_has(c, BIAS) ? VKA_FLAG_CONV_BIAS : 0) | (has_elements(c, STATE_IN) ? VKA_FLAG_CONV_STATE_IN : 0) |
        (has_elements(c, STATE_OUT) ? VKA_FLAG_CONV_STATE_OUT : 0) | (is_time_first(c) ? VKA_FLAG_CONV_TIME_FIRST : 0) |
        (state_of(c)->vec4 ? VKA_FLAG_VEC4 : 0) | (uint32_t)c->number[ACTIVATION] << VKA_ACT_SHIFT;
    key->spec[VKA_SPEC_TYPES] =
        vka__call_type(c, X, VKA_ROLE_X) | vka__call_type(c, OUT, VKA_ROLE_OUT) |
        vka__call_type(c, WEIGHT, VKA_ROLE_CONV_WEIGHT) | vka__call_type(c, BIAS, VKA_ROLE_CONV_BIAS) |
        vka__call_type(c, STATE_IN, VKA_ROLE_CONV_STATE_IN) | vka__call_type(c, STATE_OUT, VKA_ROLE_CONV_STATE_OUT);
}

static vka_strides strides_of(const vka__call *c, uint32_t arg) {
    uint32_t begin[3] = {0, history_of(c), 0}, size[3];
    memcpy(size, state_of(c)->part, sizeof size);
    box_of(c, arg, begin, size);
    return vka__box_strides(&c->view[arg], size);
}

static void fill_params(vka__call *c) {
    const vka__view *weight = &c->view[WEIGHT];
    *VKA__PARAMS(c, vka_causal_conv_params) = (vka_causal_conv_params){
        .x = strides_of(c, X),
        .out_ = strides_of(c, OUT),
        .state_in = strides_of(c, STATE_IN),
        .state_out = strides_of(c, STATE_OUT),
        .weight = {.n = (uint32_t)weight->stride[2], .d = (uint32_t)weight->stride[3]},
        .bias_step = (uint32_t)c->view[BIAS].stride[3],
        .taps = vka__call_letter(c, 'K'),
        .run = choose_run(c),
    };
}

static bool plan(vka__call *c) {
    static const uint32_t by_token[] = {X, STATE_IN, STATE_OUT, OUT};
    state *s = VKA__STATE(c, state);
    const uint32_t *shape = c->view[X].shape;
    if (!shape[1] || (!shape[2] && !has_elements(c, STATE_OUT)))
        return true;
    s->vec4 = vka__call_vec4(c, BIT(X) | BIT(STATE_IN) | BIT(STATE_OUT) | BIT(OUT));
    for (int i = 0; i < 4; ++i) /* from now on entries, tokens and channels are dimensions 0 to 2 */
        vka__view_append_one(&c->view[by_token[i]]);
    if (!vka__call_sees_whole(c) || !choose_boxes(c))
        return false;
    choose_kernel(c);
    fill_params(c);
    const vka_causal_conv_params *params = VKA__PARAMS(c, vka_causal_conv_params);
    uint32_t group = c->key[0].spec[VKA_SPEC_GROUP_SIZE];
    uint64_t units = (uint64_t)vka__div_up(s->part[CHANNELS], 4) * vka__div_up(s->part[TOKENS], params->run);
    s->grid = vka__grid_of(c->caps, (uint32_t)((units + group - 1) / group), s->part[ENTRIES], 1);
    vka__grid_cap_ops(&s->grid, c->caps, (uint64_t)8 * params->taps * params->run * group);
    c->dispatches = vka__volume(s->parts) * vka__grid_chunks(&s->grid);
    return true;
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const state *s = state_of(c);
    uint64_t chunks = vka__grid_chunks(&s->grid);
    uint32_t begin[3], size[3], first[3], tokens = c->view[X].shape[TOKENS];
    vka__box_at(s->shape, s->part, s->parts, index / chunks, begin, size);
    size[TOKENS] = vka__min_u32(size[TOKENS], tokens);
    bool is_last = begin[TOKENS] + size[TOKENS] == tokens;
    vka__grid_chunk(&s->grid, index % chunks, first, out);
    out->push.x0 = first[0];
    out->push.y0 = first[1];
    out->push.z0 = is_last;
    out->push.h0 = begin[CHANNELS];
    out->push.rows = size[TOKENS];
    out->push.dim1 = vka__min_u32(begin[TOKENS], history_of(c));
    out->push.dim2 = size[ENTRIES];
    out->push.row0 = size[CHANNELS];
    vka__call_bind_whole(c, ~0u, out);
    for (uint32_t arg = 0; arg < ARGS; ++arg) {
        uint32_t at[3], part[3];
        memcpy(at, begin, sizeof at);
        memcpy(part, size, sizeof part);
        box_of(c, arg, at, part);
        bool is_used = arg == STATE_IN ? !begin[TOKENS] : arg == STATE_OUT ? is_last : true;
        if (args[arg].extent == VKA__CUSTOM && is_used)
            vka__call_bind_box(c, arg, at, part, out);
    }
}

static void explain(const vka__call *c, vka__text *text) {
    const uint32_t *spec = c->key[0].spec, *part = state_of(c)->part;
    vka__say(text, "taps_in_registers: %s\nvector_loads: %s\nrun: %u tokens\nbox: %u entries, %u tokens, %u channels\n",
             vka__yes(spec[VKA_SPEC_RM]), vka__yes(spec[VKA_SPEC_FLAGS] & VKA_FLAG_VEC4),
             ((const vka_causal_conv_params *)(const void *)c->params)->run, part[ENTRIES], part[TOKENS],
             part[CHANNELS]);
}

VKA__OPERATION(causal_conv, .params_size = sizeof(vka_causal_conv_params), .state_size = sizeof(state),
               .limits = limits, .sizes = sizes, .plan = plan, .dispatch = dispatch, .explain = explain);
