/* vka_attention.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "ops/attention/check.h"
#include "ops/attention/paths.h"
#include "ops/attention/slices.h"

enum { ARGS = VKA__ATTENTION_ARGS };
enum { SCALE, SOFTCAP, DROPOUT, SELECTION, SCORE_STAGE, DIAGONAL, PATH, SPLITS, DETERMINISM, NUMBERS };

#define DESC(field) offsetof(vka_attention_desc, field)
#define F32         VKA__TYPE(VKA_F32)
#define I32         VKA__TYPE(VKA_I32)

/* G: query heads. K: heads of keys. Y and Z: batches of keys and of values, or pages. S: sequences. F: S + 1. A and E:
 * the longest sequence's queries and keys. O: slots of a permutation. L: rows of relative keys. U: heads of lists of
 * keys, T: their slots. */
#define TENSOR(name, shape, types, flags_, access_)                                                                    \
    { #name, shape, DESC(name), VKA__NONE, types, .flags = flags_, .access = access_, .extent = VKA__CUSTOM }
static const vka__arg args[ARGS] = {
    [VKA__ATTENTION_Q] = TENSOR(q, "B G N D", VKA__FLOATS, VKA__REQUIRED, VKA__READ),
    [VKA__ATTENTION_K] = TENSOR(k, "Y K M D", VKA__CACHES, VKA__REQUIRED, VKA__READ),
    [VKA__ATTENTION_V] = TENSOR(v, "Z K M V", VKA__CACHES, VKA__REQUIRED, VKA__READ),
    [VKA__ATTENTION_OUT] = TENSOR(out, "B G N V", VKA__FLOATS, VKA__REQUIRED, VKA__WRITE),
    [VKA__ATTENTION_LSE] = TENSOR(lse, "B G N", F32, VKA__PER_ROW, VKA__WRITE),
    [VKA__ATTENTION_MASK] = TENSOR(mask, NULL, VKA__MASKS, 0, VKA__READ),
    [VKA__ATTENTION_ALIBI] = TENSOR(alibi_slopes, "G", F32, 0, VKA__READ),
    [VKA__ATTENTION_RELATIVE] = TENSOR(relative_bias, NULL, F32, 0, VKA__READ),
    [VKA__ATTENTION_SINKS] = TENSOR(sinks, "G", F32, 0, VKA__READ),
    [VKA__ATTENTION_PAGES] = TENSOR(page_table, "S C", I32, 0, VKA__READ),
    [VKA__ATTENTION_K_SCALE] = TENSOR(k_scale, "Y K M", F32, VKA__PER_ROW, VKA__READ),
    [VKA__ATTENTION_V_SCALE] = TENSOR(v_scale, "Z K M", F32, VKA__PER_ROW, VKA__READ),
    [VKA__ATTENTION_STATS] = TENSOR(stats, "B G N 2", F32, 0, VKA__WRITE),
    [VKA__ATTENTION_SCORES] = TENSOR(scores, "S G A E", VKA__FLOATS, 0, VKA__WRITE),
    [VKA__ATTENTION_PERMUTATION] = TENSOR(permutation, "1|S 1|G O", I32, VKA__PER_ROW, VKA__READ),
    [VKA__ATTENTION_COSINE_SCALE] = TENSOR(cosine_scale, "G", F32, 0, VKA__READ),
    [VKA__ATTENTION_RELATIVE_KEYS] = TENSOR(relative_keys, "1|G L D", VKA__FLOATS, 0, VKA__READ),
    [VKA__ATTENTION_CONTENT_BIAS] = TENSOR(content_bias, "G D", VKA__FLOATS, 0, VKA__READ),
    [VKA__ATTENTION_POSITION_BIAS] = {"position_bias", "G D", DESC(position_bias), VKA__NONE, VKA__FLOATS,
                                      .like = 1 + VKA__ATTENTION_CONTENT_BIAS, .access = VKA__READ,
                                      .extent = VKA__CUSTOM},
    [VKA__ATTENTION_KEY_LISTS] = TENSOR(key_lists, "B U N T", I32, 0, VKA__READ),
    [VKA__ATTENTION_Q_LENGTHS] = TENSOR(q_lengths, "S", I32, VKA__LIST, VKA__READ),
    [VKA__ATTENTION_Q_OFFSETS] = TENSOR(q_offsets, "F", I32, VKA__LIST, VKA__READ),
    [VKA__ATTENTION_KV_LENGTHS] = TENSOR(kv_lengths, "S", I32, VKA__LIST, VKA__READ),
    [VKA__ATTENTION_KV_OFFSETS] = TENSOR(kv_offsets, "F", I32, VKA__LIST, VKA__READ),
    [VKA__ATTENTION_MAP] = {"pattern", NULL, 0, VKA__NONE, I32, .flags = VKA__INTERNAL, .access = VKA__READ,
                            .extent = VKA__CUSTOM},
};

static const vka__limit limits[] = {{'D', 1, VKA_MAX_HEAD_DIM}, {'V', 1, VKA_MAX_VALUE_DIM}, {0}};

/* Scales are such that no number that kernels make of them is infinite, or so small that a device may take it for 0. */
static const vka__number numbers[NUMBERS] = {
    [SCALE] = {"scale", DESC(scale), VKA__NUMBER_F32, true, 1e-37, 1e37, 0, NULL},
    [SOFTCAP] = {"softcap", DESC(softcap), VKA__NUMBER_F32, false, 0, VKA__FINITE, 0, NULL},
    [DROPOUT] = {"dropout", DESC(dropout), VKA__NUMBER_F32, false, 0, VKA__BELOW_ONE, 0, NULL},
    [SELECTION] = {"selection", DESC(selection), VKA__NUMBER_ENUM, false, 0, VKA_SELECTION_SAMPLE, 0, "vka_selection"},
    [SCORE_STAGE] = {"score_stage", DESC(score_stage), VKA__NUMBER_ENUM, false, 0, VKA_SCORES_PROBABILITIES, 0,
                     "vka_score_stage"},
    [DIAGONAL] = {"diagonal", DESC(diagonal), VKA__NUMBER_ENUM, false, 0, VKA_DIAGONAL_EXPLICIT, 0, "vka_diagonal"},
    [PATH] = {"path", DESC(path), VKA__NUMBER_ENUM, false, 0, VKA_ATTENTION_PATH_DOT, 0, "vka_attention_path"},
    [SPLITS] = {"splits", DESC(splits), VKA__NUMBER_U32, false, 0, VKA_MAX_SPLITS, 0, NULL},
    [DETERMINISM] = {"determinism", DESC(determinism), VKA__NUMBER_ENUM, false, 0, VKA_DETERMINISM_BATCH, 0,
                     "vka_determinism"},
};

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
    c->key_count = VKA__MAX_KEYS;
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
