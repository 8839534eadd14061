/* vka_dynamic_conv.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <vkattn/conv.h>

#include "op/op.h"
#include "ops/conv/boxes.h"
#include "params/dynamic_conv.h"

enum { X, WEIGHT, LENGTHS, OUT, ARGS };
enum { AHEAD, NUMBERS };

#define BIT(arg)    (1u << (arg))
#define DESC(field) offsetof(vka_dynamic_conv_desc, field)
#define MAX_TAPS    256

#define TENSOR(name, shape, a, b)                                                                                      \
    {                                                                                                                  \
#        name, shape, DESC(name), VKA__NONE, VKA__FLOATS, 0, .flags = VKA__REQUIRED, .access = a, .binding = b,        \
                                                             .extent = VKA__CUSTOM                                     \
    }
static const vka__arg args[ARGS] = {
    [X] = TENSOR(x, "B T C", VKA__READ, VKA_BIND_X),
    [WEIGHT] = TENSOR(weight, "1|B 1|T H K", VKA__READ, VKA_BIND_SHARE_WEIGHT),
    [LENGTHS] = {"lengths", "B", DESC(lengths), VKA__NONE, VKA__TYPE(VKA_I32), .flags = VKA__LIST, .access = VKA__READ,
                 .binding = VKA_BIND_SHARE_LENGTHS, .extent = VKA__ALL},
    [OUT] = TENSOR(out, "B T C", VKA__WRITE, VKA_BIND_SHARE_OUT),
};
static const vka__limit limits[] = {
    {'C', 1, UINT32_MAX}, {'H', 1, UINT32_MAX}, {'K', 1, MAX_TAPS}, {'T', 0, 1u << 30}, {0}};
static const vka__number numbers[NUMBERS] = {
    [AHEAD] = {"ahead", DESC(ahead), VKA__NUMBER_U32, false, 0, MAX_TAPS - 1, 0, NULL},
};

/* A dispatch does a box of entries, tokens and channels, and of its grid what the device can have. */
typedef struct state {
    uint32_t part[3], parts[3];
    vka__grid grid; /* tiles of an entry, entries */
} state;

static const state *state_of(const vka__call *c) {
    return (const state *)(const void *)c->state;
}

static uint32_t taps_of(const vka__call *c) {
    return vka__call_letter(c, 'K');
}

static uint32_t ahead_of(const vka__call *c) {
    return (uint32_t)c->number[AHEAD];
}

static uint32_t head_channels_of(const vka__call *c) {
    return vka__call_letter(c, 'C') / vka__call_letter(c, 'H');
}

/* Shares are computed for each token. */
static bool is_per_token(const vka__call *c) {
    return c->view[WEIGHT].shape[TOKENS] > 1 || VKA__DESC(c, vka_dynamic_conv_desc)->renormalise;
}

static vka_status check(vka__call *c) {
    uint32_t channels = vka__call_letter(c, 'C'), heads = vka__call_letter(c, 'H'), tokens = vka__call_letter(c, 'T');
    if (channels % heads)
        return vka__call_fail(c, VKA_INVALID, "weight", "%u channels don't go with %u heads: they must divide them",
                              channels, heads);
    if (ahead_of(c) >= taps_of(c))
        return vka__call_fail(c, VKA_INVALID, "ahead", "%u is not below the number of taps, %u", ahead_of(c),
                              taps_of(c));
    return vka__call_check_list(c, LENGTHS, false, vka__call_letter(c, 'B'), tokens, tokens);
}

/* ---- boxes ------------------------------------------------------------------------------------------------------ */

/* The box of a tensor that goes with a box of the output. */
static void box_of(const vka__call *c, uint32_t arg, uint32_t begin[3], uint32_t size[3]) {
    const uint32_t *shape = c->view[arg].shape;
    if (arg == X) {
        uint32_t end = begin[TOKENS] + size[TOKENS];
        begin[TOKENS] -= vka__min_u32(begin[TOKENS], taps_of(c) - 1 - ahead_of(c));
        size[TOKENS] = vka__min_u32(end + ahead_of(c), shape[TOKENS]) - begin[TOKENS];
    }
    if (arg == WEIGHT) {
        for (int dim = ENTRIES; dim <= TOKENS; ++dim) {
            begin[dim] = shape[dim] > 1 ? begin[dim] : 0;
            size[dim] = shape[dim] > 1 ? size[dim] : 1;
        }
        begin[CHANNELS] = 0;
        size[CHANNELS] = shape[CHANNELS];
    }
}

/* All heads of a token stay together. */
static bool cut_to_weight(const vka__call *c, uint32_t part[3]) {
    uint32_t first[3] = {0}, box[3];
    memcpy(box, part, sizeof box);
    box_of(c, WEIGHT, first, box);
    if (!vka__cut_to_binding(c->caps, &c->view[WEIGHT], 1u << ENTRIES | 1u << TOKENS, box))
        return false;
    for (int dim = ENTRIES; dim <= TOKENS; ++dim)
        part[dim] = c->view[WEIGHT].shape[dim] > 1 ? box[dim] : part[dim];
    return true;
}

static bool choose_boxes(vka__call *c) {
    state *s = VKA__STATE(c, state);
    const uint32_t *whole = c->view[OUT].shape;
    memcpy(s->part, whole, sizeof s->part);
    if (!vka__conv_cut(c->caps, &c->view[X], taps_of(c) - 1, s->part))
        return vka__refuse_span(c->caps, "x", "K tokens of four channels", &c->refusal);
    if (!vka__conv_cut(c->caps, &c->view[OUT], 0, s->part))
        return vka__refuse_span(c->caps, "out", "four channels of a token", &c->refusal);
    if (!cut_to_weight(c, s->part))
        return vka__refuse_span(c->caps, "weight", "a token", &c->refusal);
    vka__conv_even_out(whole, s->part, s->parts);
    return true;
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

#define RUN          8
#define GPU_GROUP    64
#define GPU_COLUMNS  16
#define CPU_GROUP    8
#define SHARED_WORDS 4096

/* Of a workgroup: vectors of four channels side by side, runs of tokens, tokens of a run. */
typedef struct tile {
    uint32_t columns, runs, run;
} tile;

/* Channels lie apart where a channel's tokens lie side by side. */
static bool is_time_first(const vka__call *c) {
    const vka__view *x = &c->view[X];
    return x->shape[TOKENS] > 1 && x->shape[CHANNELS] > 1 && x->stride[TOKENS] < x->stride[CHANNELS];
}

/* Heads that a tile's channels may belong to. Boxes of some of the channels begin anywhere in a head. */
static uint32_t heads_of(const vka__call *c, const tile *t) {
    uint32_t channels = 4 * t->columns, of_head = head_channels_of(c), heads = (channels - 2) / of_head + 2;
    if (state_of(c)->parts[CHANNELS] == 1 && (of_head % channels == 0 || channels % of_head == 0))
        heads = vka__div_up(channels, of_head);
    return vka__min_u32(heads, vka__call_letter(c, 'H'));
}

static uint32_t shared_words(const vka__call *c, const tile *t) {
    return heads_of(c, t) * (is_per_token(c) ? t->runs * t->run : 1) * (taps_of(c) | 1);
}

/* Runs as long as there are tokens for them; a few channels side by side, as many as memory is read at once. */
static tile choose_tile(const vka__call *c) {
    const uint32_t *part = state_of(c)->part;
    bool cpu = c->caps->type == VKA_DEVICE_CPU;
    uint32_t group = vka__group_size(c->caps, cpu ? CPU_GROUP : GPU_GROUP), quads = vka__div_up(part[CHANNELS], 4);
    uint32_t most = vka__min_u32(group, is_time_first(c) ? 1 : GPU_COLUMNS);
    tile t = {.columns = 1, .run = RUN};
    while (t.run > 1 && t.run / 2 >= part[TOKENS])
        t.run /= 2;
    while (t.columns < most && t.columns < quads)
        t.columns *= 2;
    t.runs = group / t.columns;
    while (t.runs > 1 && t.runs / 2 * t.run >= part[TOKENS]) {
        t.runs /= 2;
        t.columns *= t.columns < quads ? 2 : 1;
    }
    while (shared_words(c, &t) > SHARED_WORDS) {
        uint32_t *side = t.runs > 1 ? &t.runs : t.columns > 1 ? &t.columns : &t.run;
        *side /= 2;
    }
    return t;
}

static void choose_kernel(vka__call *c, const tile *t, bool vec4) {
    vka__pipeline_key *key = vka__call_add_key(c, VKA__dynamic_conv, t->columns * t->runs);
    key->spec[VKA_SPEC_BR] = taps_of(c);
    key->spec[VKA_SPEC_RM] = t->run;
    key->spec[VKA_SPEC_TC] = t->columns;
    key->spec[VKA_SPEC_BC] = heads_of(c, t);
    key->spec[VKA_SPEC_FLAGS] = (vka__call_has(c, LENGTHS) ? VKA_FLAG_LENGTHS : 0) | (vec4 ? VKA_FLAG_VEC4 : 0) |
                                (is_per_token(c) ? VKA_FLAG_SHARE_TOKENS : 0) |
                                (VKA__DESC(c, vka_dynamic_conv_desc)->renormalise ? VKA_FLAG_SHARE_VALID : 0) |
                                (head_channels_of(c) % 4 == 0 ? VKA_FLAG_SHARE_QUADS : 0) |
                                (is_time_first(c) ? VKA_FLAG_SHARE_TIME_FIRST : 0);
    key->spec[VKA_SPEC_TYPES] = vka__call_type(c, X, VKA_ROLE_X) | vka__call_type(c, OUT, VKA_ROLE_OUT) |
                                vka__call_type(c, WEIGHT, VKA_ROLE_SHARE_WEIGHT);
}

static vka_strides strides_of(const vka__call *c, uint32_t arg) {
    uint32_t begin[3] = {0}, size[3];
    memcpy(size, state_of(c)->part, sizeof size);
    if (arg == X) /* of a box in the middle */
        size[TOKENS] = vka__min_u32(size[TOKENS] + taps_of(c) - 1, c->view[X].shape[TOKENS]);
    else
        box_of(c, arg, begin, size);
    return vka__box_strides(&c->view[arg], size);
}

static void fill_params(vka__call *c) {
    *VKA__PARAMS(c, vka_dynamic_conv_params) = (vka_dynamic_conv_params){
        .x = strides_of(c, X),
        .out_ = strides_of(c, OUT),
        .weight = strides_of(c, WEIGHT),
        .lengths_step = (uint32_t)c->view[LENGTHS].stride[3],
        .tokens = vka__call_letter(c, 'T'),
        .heads = vka__call_letter(c, 'H'),
        .head_channels = head_channels_of(c),
        .before = taps_of(c) - 1 - ahead_of(c),
        .ahead = ahead_of(c),
    };
}

static bool plan(vka__call *c) {
    state *s = VKA__STATE(c, state);
    if (!vka__view_extent(&c->view[OUT], 0))
        return true;
    bool vec4 = vka__call_vec4(c, BIT(X) | BIT(OUT));
    vka__view_append_one(&c->view[X]); /* now entries, tokens and channels are dimensions 0 to 2 */
    vka__view_append_one(&c->view[OUT]);
    if (!vka__call_sees_whole(c) || !choose_boxes(c))
        return false;
    const tile t = choose_tile(c);
    choose_kernel(c, &t, vec4);
    fill_params(c);
    uint64_t tiles = (uint64_t)vka__div_up(vka__div_up(s->part[CHANNELS], 4), t.columns) *
                     vka__div_up(s->part[TOKENS], t.runs * t.run);
    s->grid = vka__grid_of(c->caps, (uint32_t)tiles, s->part[ENTRIES], 1);
    vka__grid_cap_ops(&s->grid, c->caps, (uint64_t)8 * taps_of(c) * t.run * t.runs * t.columns);
    c->dispatches = vka__volume(s->parts) * vka__grid_chunks(&s->grid);
    return true;
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const state *s = state_of(c);
    uint64_t chunks = vka__grid_chunks(&s->grid);
    uint32_t begin[3], size[3], first[3];
    vka__box_at(c->view[OUT].shape, s->part, s->parts, index / chunks, begin, size);
    vka__grid_chunk(&s->grid, index % chunks, first, out);
    out->push.x0 = first[0];
    out->push.y0 = first[1];
    out->push.b0 = begin[ENTRIES];
    out->push.z0 = begin[TOKENS];
    out->push.h0 = begin[CHANNELS];
    out->push.rows = size[TOKENS];
    out->push.row0 = size[CHANNELS];
    out->push.dim1 = vka__min_u32(begin[TOKENS], taps_of(c) - 1 - ahead_of(c));
    out->push.dim2 = size[ENTRIES];
    vka__call_bind_whole(c, ~0u, out);
    for (uint32_t arg = 0; arg < ARGS; ++arg) {
        uint32_t at[3], part[3];
        memcpy(at, begin, sizeof at);
        memcpy(part, size, sizeof part);
        box_of(c, arg, at, part);
        if (args[arg].extent == VKA__CUSTOM)
            vka__call_bind_box(c, arg, at, part, out);
    }
}

static void explain(const vka__call *c, vka__text *text) {
    const uint32_t *spec = c->key[0].spec, *part = state_of(c)->part;
    vka__say(text, "tile: %u vectors, %u runs of %u tokens\nheads_of_tile: %u\nshares: %s\nvector_loads: %s\n",
             spec[VKA_SPEC_TC], spec[VKA_SPEC_GROUP_SIZE] / spec[VKA_SPEC_TC], spec[VKA_SPEC_RM], spec[VKA_SPEC_BC],
             is_per_token(c) ? "each token's" : "all tokens'", vka__yes(spec[VKA_SPEC_FLAGS] & VKA_FLAG_VEC4));
    vka__say(text, "box: %u entries, %u tokens, %u channels\n", part[ENTRIES], part[TOKENS], part[CHANNELS]);
}

VKA__OPERATION(dynamic_conv, .params_size = sizeof(vka_dynamic_conv_params), .state_size = sizeof(state),
               .limits = limits, .check = check, .plan = plan, .dispatch = dispatch, .explain = explain);
