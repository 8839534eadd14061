/* vka_capsule_routing.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <vkattn/capsule.h>

#include "op/op.h"
#include "params/capsule_routing.h"

enum { VOTES, BIAS, OUT, COUPLING, ARGS };
enum { ITERATIONS, NUMBERS };

#define BIT(arg)    (1u << (arg))
#define DESC(field) offsetof(vka_capsule_routing_desc, field)
#define MAX_OUTPUTS 2048

#define TENSOR(name, shape, f, a, b, e)                                                                                \
    { #name, shape, DESC(name), VKA__NONE, VKA__FLOATS, 0, .flags = f, .access = a, .binding = b, .extent = e }
static const vka__arg args[ARGS] = {
    [VOTES] = TENSOR(votes, "B I J D", VKA__REQUIRED, VKA__READ, VKA_BIND_X, VKA__CUSTOM),
    [BIAS] = TENSOR(bias, "J D", 0, VKA__READ, VKA_BIND_CAPSULE_BIAS, VKA__ALL),
    [OUT] = TENSOR(out, "B J D", VKA__REQUIRED, VKA__WRITE, VKA_BIND_CAPSULE_OUT, VKA__CUSTOM),
    [COUPLING] = TENSOR(coupling, "B I J", 0, VKA__WRITE, VKA_BIND_CAPSULE_COUPLING, VKA__CUSTOM),
};
static const vka__limit limits[] = {{'J', 1, MAX_OUTPUTS}, {'D', 1, UINT32_MAX}, {0}};
static const vka__number numbers[NUMBERS] = {
    [ITERATIONS] = {"iterations", DESC(iterations), VKA__NUMBER_U32, true, 1, 1000, 3, NULL},
};

/* A dispatch does all iterations of a box of entries, or one of them. */
typedef struct state {
    uint32_t entries; /* of a box              */
    uint32_t outputs; /* J                     */
    uint32_t vectors; /* of four channels, of all outputs */
    uint32_t parts;   /* of an entry's inputs  */
    uint32_t step;    /* inputs of a step      */
    bool whole;
} state;

static const state *state_of(const vka__call *c) {
    return (const state *)(const void *)c->state;
}

static uint32_t iterations_of(const vka__call *c) {
    return (uint32_t)c->number[ITERATIONS];
}

static uint32_t inputs_of(const vka__call *c) {
    return vka__call_letter(c, 'I');
}

static bool is_shared(const vka__call *c) {
    return state_of(c)->vectors <= VKA_CAPSULE_SHARED_VECTORS;
}

/* ---- kernel ----------------------------------------------------------------------------------------------------- */

#define GPU_GROUP 256
#define CPU_GROUP 32
#define GPU_STEP  64
#define CPU_STEP  32
/* Invocations that take part in softmaxes, at most. */
#define MAX_LANES 256
/* Vectors that an invocation sums in registers, at most. */
#define MAX_COLUMNS 8
/* Of shared memory, for coefficients: the rest of 16 KiB has sums, outputs and what invocations tell each other. */
#define WEIGHT_WORDS 1504

/* False: a workgroup can't have invocations enough for the outputs. */
static bool choose_kernel(vka__call *c) {
    state *s = VKA__STATE(c, state);
    bool cpu = c->caps->type == VKA_DEVICE_CPU;
    uint32_t group = vka__group_size(c->caps, cpu ? CPU_GROUP : GPU_GROUP), lanes = 1;
    uint32_t weights = is_shared(c) ? WEIGHT_WORDS : MAX_OUTPUTS;
    while (group * MAX_COLUMNS < s->vectors && 2 * group <= c->caps->max_invocations)
        group *= 2;
    if (group * MAX_COLUMNS < s->vectors)
        return vka__refuse(&c->refusal, "out",
                           "%u outputs of %u channels are more than a workgroup can sum: at most "
                           "%u vectors of four channels",
                           s->outputs, vka__call_letter(c, 'D'), group * MAX_COLUMNS);
    uint32_t step = vka__min_u32(vka__min_u32(cpu ? CPU_STEP : GPU_STEP, group), weights / s->outputs);
    s->step = vka__max_u32(vka__min_u32(step, inputs_of(c)), 1);
    while (2 * lanes * s->step <= vka__min_u32(group, MAX_LANES) && 4 * lanes <= s->outputs)
        lanes *= 2;
    vka__pipeline_key *key = vka__call_add_key(c, VKA__capsule_routing, group);
    key->spec[VKA_SPEC_D] = vka__call_letter(c, 'D');
    key->spec[VKA_SPEC_BC] = s->outputs;
    key->spec[VKA_SPEC_BR] = s->step;
    key->spec[VKA_SPEC_TC] = lanes;
    key->spec[VKA_SPEC_COLS] = vka__div_up(s->vectors, group);
    return true;
}

static void fill_key(vka__call *c, bool vec4_out) {
    uint32_t *spec = c->key[0].spec;
    spec[VKA_SPEC_FLAGS] =
        (state_of(c)->whole ? VKA_FLAG_CAPSULE_WHOLE : 0) | (is_shared(c) ? VKA_FLAG_CAPSULE_SHARED : 0) |
        (vka__call_has(c, BIAS) ? VKA_FLAG_CAPSULE_BIAS : 0) |
        (vka__call_has(c, COUPLING) ? VKA_FLAG_CAPSULE_COUPLING : 0) |
        (vka__call_vec4(c, BIT(VOTES)) ? VKA_FLAG_CAPSULE_VEC4 : 0) | (vec4_out ? VKA_FLAG_CAPSULE_VEC4_OUT : 0);
    spec[VKA_SPEC_TYPES] = vka__call_type(c, VOTES, VKA_ROLE_X) | vka__call_type(c, OUT, VKA_ROLE_OUT) |
                           vka__call_type(c, BIAS, VKA_ROLE_CAPSULE_BIAS) |
                           vka__call_type(c, COUPLING, VKA_ROLE_CAPSULE_COUPLING);
}

/* ---- entries and parts ------------------------------------------------------------------------------------------ */

/* Workgroups that keep a device busy. */
#define ENOUGH_GPU 256
#define ENOUGH_CPU 8

/* The box of a tensor that goes with so many entries from one on. */
static void box_of(const vka__call *c, uint32_t arg, uint32_t entry, uint32_t entries, uint32_t begin[3],
                   uint32_t size[3]) {
    begin[0] = entry;
    begin[1] = begin[2] = 0;
    memcpy(size, c->view[arg].shape, 3 * sizeof *size);
    size[0] = entries;
}

/* Entries that bindings of all tensors see; 0 with a refusal. */
static uint32_t visible_entries(vka__call *c) {
    uint32_t entries = vka__min_u32(c->view[VOTES].shape[0], c->caps->max_groups[1]), begin[3], size[3];
    for (uint32_t arg = 0; arg < ARGS; ++arg) {
        if (args[arg].extent != VKA__CUSTOM || !vka__call_has(c, arg) || !vka__view_extent(&c->view[arg], 0))
            continue;
        box_of(c, arg, 0, entries, begin, size);
        if (!vka__cut_to_binding(c->caps, &c->view[arg], 1, size)) {
            vka__refuse_span(c->caps, args[arg].name, "an entry", &c->refusal);
            return 0;
        }
        entries = size[0];
    }
    return entries;
}

/* Of an entry's workspace, and its counter's. */
static uint64_t entry_bytes(const state *s) {
    return (uint64_t)16 * (s->parts + 2) * s->vectors + 4;
}

/* A workgroup for each entry, or several where entries are few; the latter where sums don't fit shared memory, too. */
static bool choose_parts(vka__call *c) {
    state *s = VKA__STATE(c, state);
    bool cpu = c->caps->type == VKA_DEVICE_CPU;
    uint64_t bytes = vka__min_u64(c->caps->storage_range, UINT64_C(1) << 32) - 256;
    uint32_t steps = vka__max_u32(vka__div_up(inputs_of(c), s->step), 1);
    s->entries = visible_entries(c);
    if (!s->entries)
        return false;
    s->parts = vka__min_u32(vka__div_up(cpu ? ENOUGH_CPU : ENOUGH_GPU, s->entries), steps);
    s->parts = vka__min_u32(s->parts, c->caps->max_groups[0]);
    while (s->parts > 1 && entry_bytes(s) > bytes)
        s->parts /= 2;
    s->whole = s->parts == 1 && is_shared(c);
    uint64_t ops = (uint64_t)16 * s->vectors * vka__max_u32(inputs_of(c), 1) * (s->whole ? iterations_of(c) : 1);
    s->entries = (uint32_t)vka__min_u64(s->entries, vka__max_u64(vka__dispatch_ops(c->caps) / ops, 1));
    if (s->whole)
        return true;
    if (entry_bytes(s) > bytes)
        return vka__refuse_span(c->caps, "workspace", "an entry", &c->refusal);
    s->entries = (uint32_t)vka__min_u64(s->entries, bytes / entry_bytes(s));
    c->workspace_bytes = vka__align_up(s->entries * entry_bytes(s), 256);
    return true;
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

static vka_strides strides_of(const vka__call *c, uint32_t arg) {
    uint32_t begin[3], size[3];
    box_of(c, arg, 0, state_of(c)->entries, begin, size);
    return vka__box_strides(&c->view[arg], size);
}

static void fill_params(vka__call *c) {
    const state *s = state_of(c);
    uint32_t steps = vka__div_up(inputs_of(c), s->step);
    *VKA__PARAMS(c, vka_capsule_routing_params) = (vka_capsule_routing_params){
        .votes = strides_of(c, VOTES),
        .out_ = strides_of(c, OUT),
        .coupling = strides_of(c, COUPLING),
        .bias = {.n = (uint32_t)c->view[BIAS].stride[2], .d = (uint32_t)c->view[BIAS].stride[3]},
        .inputs = inputs_of(c),
        .iterations = iterations_of(c),
        .parts = s->parts,
        .part_inputs = vka__div_up(steps, s->parts) * s->step,
        .counters = 4 * s->entries * (s->parts + 2) * s->vectors,
    };
}

static bool plan(vka__call *c) {
    state *s = VKA__STATE(c, state);
    if (!c->view[VOTES].shape[0])
        return true;
    s->outputs = vka__call_letter(c, 'J');
    uint64_t vectors = (uint64_t)s->outputs * vka__div_up(vka__call_letter(c, 'D'), 4);
    s->vectors = (uint32_t)vka__min_u64(vectors, UINT32_MAX);
    bool vec4_out = vka__call_vec4(c, BIT(OUT));
    vka__view_append_one(&c->view[OUT]); /* now entries are dimension 0 of all */
    vka__view_append_one(&c->view[COUPLING]);
    if (!vka__call_sees_whole(c) || !choose_kernel(c) || !choose_parts(c))
        return false;
    fill_key(c, vec4_out);
    fill_params(c);
    c->dispatches = (uint64_t)vka__div_up(c->view[VOTES].shape[0], s->entries) * (s->whole ? 1 : iterations_of(c));
    return true;
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const state *s = state_of(c);
    uint32_t rounds = s->whole ? 1 : iterations_of(c), entry = (uint32_t)(index / rounds) * s->entries;
    uint32_t entries = vka__min_u32(s->entries, c->view[VOTES].shape[0] - entry), begin[3], size[3];
    out->push.z0 = (uint32_t)(index % rounds);
    out->groups[0] = s->whole ? 1 : out->push.z0 ? s->parts : vka__min_u32(s->outputs, c->caps->max_groups[0]);
    out->groups[1] = entries;
    out->groups[2] = 1;
    bool writes = s->whole || out->push.z0 + 1 == rounds;
    vka__call_bind_whole(c, ~0u, out);
    for (uint32_t arg = 0; arg < ARGS; ++arg) {
        box_of(c, arg, entry, entries, begin, size);
        if (args[arg].extent == VKA__CUSTOM && (arg == VOTES || writes))
            vka__call_bind_box(c, arg, begin, size, out);
    }
    if (!s->whole)
        out->binding[VKA_BIND_CAPSULE_WORKSPACE] =
            (vka__binding){.access = VKA__READ_WRITE, .source = VKA__SOURCE_WORKSPACE, .range = c->workspace_bytes};
}

static void explain(const vka__call *c, vka__text *text) {
    const state *s = state_of(c);
    const uint32_t *spec = c->key[0].spec;
    vka__say(text, "iterations: %s\nstep: %u inputs\nlanes: %u\nregister_vectors: %u\nsums: %s\nvector_loads: %s\n",
             s->whole ? "all in one dispatch" : "a dispatch each", s->step, spec[VKA_SPEC_TC], spec[VKA_SPEC_COLS],
             is_shared(c) ? "shared memory" : "workspace", vka__yes(spec[VKA_SPEC_FLAGS] & VKA_FLAG_CAPSULE_VEC4));
    vka__say(text, "parts: %u\nentries_per_dispatch: %u\n", s->parts, s->entries);
}

VKA__OPERATION(capsule_routing, .params_size = sizeof(vka_capsule_routing_params), .state_size = sizeof(state),
               .workspace = DESC(workspace), .limits = limits, .plan = plan, .dispatch = dispatch, .explain = explain);
