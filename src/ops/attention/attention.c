/* vka_attention.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "ops/attention/check.h"
#include "ops/attention/paths.h"
#include "ops/attention/slices.h"
#include "ops/attention/tensors.h"

enum { ARGS = VKA__ATTENTION_ARGS };
enum { NUMBERS = VKA__ATTENTION_NUMBER_COUNT };

static const vka__arg args[ARGS] = {VKA__ATTENTION_TENSORS("", 0, VKA__CACHES, 0, VKA__WRITE)};
static const vka__limit limits[] = {VKA__ATTENTION_LIMITS, {0}};
static const vka__number numbers[NUMBERS] = {VKA__ATTENTION_NUMBERS("", 0)};

#define DESC(field) offsetof(vka_attention_desc, field)

static bool is_empty(const vka__attention_problem *p) {
    return !p->batch || !p->q.shape[1] || !p->q_len;
}

static bool plan(vka__call *c) {
    vka__attention_state *s = VKA__STATE(c, vka__attention_state);
    vka__attention_plan *plan = &s->plan;
    if (is_empty(&s->problem))
        return true;
    s->problem.tuning = c->device ? vka__device_tuning(c->device) : NULL;
    if (vka__plan_attention(c->caps, &s->problem, plan, &c->refusal) != VKA_OK)
        return false;
    memcpy(c->params, &plan->params, sizeof plan->params);
    vka__attention_keys(plan, c->key);
    c->key_count = VKA__ATTENTION_KEYS;
    c->counts = plan->indirect;
    c->workspace_bytes = plan->workspace_bytes;
    c->dispatches = vka__attention_dispatches(plan);
    return true;
}

static const vka__attention_state *state_of(const vka__call *c) {
    return (const vka__attention_state *)(const void *)c->state;
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    vka__attention_dispatch(c->caps, &state_of(c)->problem, &state_of(c)->plan, index, out);
}

static void explain(const vka__call *c, vka__text *text) {
    vka__explain_attention(&state_of(c)->problem, &state_of(c)->plan, text);
}

VKA__OPERATION(attention, .params_size = sizeof(vka_attention_params), .state_size = sizeof(vka__attention_state),
               .paths = &vka__attention_paths, .problem = offsetof(vka__attention_state, problem), .asked = DESC(path),
               .asked_size = DESC(workspace) - DESC(path), .workspace = DESC(workspace), .limits = limits,
               .sizes = vka__attention_sizes_of, .check = vka__attention_check, .plan = plan, .dispatch = dispatch,
               .explain = explain);
VKA__CANDIDATE(attention);
