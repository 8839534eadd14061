/* vka_attention.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "ops/attention/check.h"
#include "ops/attention/paths.h"
#include "ops/attention/slices.h"
#include "ops/attention/tensors.h"

enum { ARGS = VKA__ATTENTION_ARGS };
enum { SIDES = 2 }; /* keys, values */
enum { NUMBERS = VKA__ATTENTION_NUMBER_COUNT };

static const vka__arg args[ARGS] = {VKA__ATTENTION_TENSORS("", 0, VKA__CACHES, 0, VKA__WRITE)};
static const vka__limit limits[] = {VKA__ATTENTION_LIMITS, {0}};
static const vka__number numbers[NUMBERS] = {VKA__ATTENTION_NUMBERS("", 0)};

#define DESC(field) offsetof(vka_attention_desc, field)

static bool is_empty(const vka__attention_problem *p) {
    return !p->batch || !p->q.shape[1] || !p->q_len;
}

/* With keys and values that are dequantised first, if that is worth it: the problem then reads those. */
static void plan_dequantised(const vka__call *c, vka__attention_state *s, uint64_t *workspace) {
    vka__refusal refusal;
    if (!vka__dequantise_pays(c->caps, &s->problem, &s->plan))
        return;
    vka__attention_problem dense = s->problem;
    vka__attention_plan planned;
    vka__dequantise d = {0};
    uint64_t bytes = vka__dequantise_problem(&dense, &s->plan, &d);
    if (vka__plan_attention(c->caps, &dense, &planned, &refusal) != VKA_OK)
        return;
    /* In front are partial results, if keys are split. */
    vka__dequantise_move(&dense, &d, planned.workspace_bytes);
    *workspace = planned.workspace_bytes + bytes;
    s->problem = dense;
    s->plan = planned;
    s->dequantise = d;
}

static bool plan_problem(const vka__call *c, vka__attention_state *s, uint64_t *workspace, vka__refusal *refusal) {
    if (vka__plan_attention(c->caps, &s->problem, &s->plan, refusal) != VKA_OK)
        return false;
    *workspace = s->plan.workspace_bytes;
    plan_dequantised(c, s, workspace);
    return true;
}

/* Where no buffers tell whether v is a view of k: what is needed if it is. */
static uint64_t workspace_of_view(const vka__call *c, const vka__attention_problem *p) {
    vka__attention_state s = {.problem = *p};
    vka__refusal refusal;
    uint64_t bytes = 0;
    s.problem.v.offset = p->k.offset;
    s.problem.values_are_keys = vka__view_begins(&p->k, &s.problem.v);
    bool unknown = !c->source[VKA__ATTENTION_K].buffer || !c->source[VKA__ATTENTION_V].buffer;
    return unknown && s.problem.values_are_keys && plan_problem(c, &s, &bytes, &refusal) ? bytes : 0;
}

static void add_dequantise(vka__call *c) {
    vka__attention_state *s = VKA__STATE(c, vka__attention_state);
    vka__dequantise *d = &s->dequantise;
    c->param_blocks = 1 + SIDES;
    vka__dequantise_plan(c->caps, &s->problem, d, VKA__PARAMS_AT(c, vka_attention_params, 1));
    for (int side = 0; side < SIDES; ++side)
        c->key[c->key_count++] = d->on[side] ? d->key[side] : (vka__pipeline_key){.kernel = VKA__KERNEL_COUNT};
    c->dispatches += vka__dequantise_dispatches(d);
}

static bool plan(vka__call *c) {
    vka__attention_state *s = VKA__STATE(c, vka__attention_state);
    vka__attention_plan *plan = &s->plan;
    c->param_blocks = 1;
    if (is_empty(&s->problem))
        return true;
    s->problem.tuning = c->device ? vka__device_tuning(c->device) : NULL;
    uint64_t of_view = workspace_of_view(c, &s->problem);
    if (!plan_problem(c, s, &c->workspace_bytes, &c->refusal))
        return false;
    c->workspace_bytes = vka__max_u64(c->workspace_bytes, of_view);
    *VKA__PARAMS_AT(c, vka_attention_params, 0) = plan->params;
    vka__attention_keys(plan, c->key);
    c->key_count = VKA__ATTENTION_KEYS;
    c->counts = plan->indirect;
    c->dispatches = vka__attention_dispatches(plan);
    if (s->dequantise.on[0] || s->dequantise.on[1])
        add_dequantise(c);
    return true;
}

static const vka__attention_state *state_of(const vka__call *c) {
    return (const vka__attention_state *)(const void *)c->state;
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const vka__attention_state *s = state_of(c);
    /* What computes numbers of workgroups comes before everything else. */
    uint64_t first = s->plan.indirect, count = vka__dequantise_dispatches(&s->dequantise);
    uint32_t side;
    if (index < first || index >= first + count) {
        vka__attention_dispatch(c->caps, &s->problem, &s->plan, index < first ? index : index - count, out);
        return;
    }
    vka__dequantise_dispatch(c->caps, &s->problem, &s->dequantise, index - first, &side, out);
    out->key = VKA__ATTENTION_KEYS + side;
    out->params = 1 + side;
}

static void explain(const vka__call *c, vka__text *text) {
    const vka__attention_state *s = state_of(c);
    vka__explain_attention(&s->problem, &s->plan, text);
    vka__say(text, "dequantised_first: %s\n", vka__yes(s->dequantise.on[0] || s->dequantise.on[1]));
}

VKA__OPERATION(attention, .params_size = sizeof(vka_attention_params), .param_blocks = 1 + SIDES,
               .state_size = sizeof(vka__attention_state), .paths = &vka__attention_paths,
               .problem = offsetof(vka__attention_state, problem), .asked = DESC(path),
               .asked_size = DESC(workspace) - DESC(path), .workspace = DESC(workspace), .limits = limits,
               .sizes = vka__attention_sizes_of, .check = vka__attention_check, .plan = plan, .dispatch = dispatch,
               .explain = explain);
VKA__CANDIDATE(attention);
