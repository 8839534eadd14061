/* vka_sample.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include <vkattn/sampling.h>

#include "ops/sampling/sampling.h"
#include "params/sample.h"

enum { LOGITS, IDS, LOG_PROBS, HISTORY, LENGTHS, NEW, ARGS };
enum { TEMPERATURE, TOP_P, MIN_P, PENALTY, NUMBERS };

#define DESC(field)    offsetof(vka_sample_desc, field)
#define STRIDES(field) offsetof(vka_sample_params, field)
#define I32            VKA__TYPE(VKA_I32)

/* The history is also written: with `append`. */
static const vka__arg args[ARGS] = {
    [LOGITS] = {"logits", "B V", DESC(logits), STRIDES(x), VKA__FLOATS, .flags = VKA__REQUIRED, .access = VKA__READ,
                .binding = VKA_BIND_X},
    [IDS] = {"ids", "B", DESC(ids), STRIDES(ids), I32, .flags = VKA__REQUIRED | VKA__PER_ROW, .access = VKA__WRITE,
             .binding = VKA_BIND_SAMPLE_IDS},
    [LOG_PROBS] = {"log_probs", "B", DESC(log_probs), STRIDES(log_probs), VKA__TYPE(VKA_F32), .flags = VKA__PER_ROW,
                   .access = VKA__WRITE, .binding = VKA_BIND_SAMPLE_LOG_PROBS},
    [HISTORY] = {"history", "B L", DESC(history), STRIDES(history), I32, .access = VKA__READ_WRITE,
                 .binding = VKA_BIND_SAMPLE_HISTORY},
    [LENGTHS] = {"lengths", "B", DESC(lengths), VKA__NONE, I32, .flags = VKA__LIST, .access = VKA__READ,
                 .binding = VKA_BIND_SAMPLE_LENGTHS, .extent = VKA__ALL},
    [NEW] = {"new_lengths", "B", DESC(new_lengths), VKA__NONE, I32, 1u << LENGTHS, .access = VKA__WRITE,
             .binding = VKA_BIND_SAMPLE_NEW_LENGTHS, .extent = VKA__ALL},
};
static const vka__number numbers[NUMBERS] = {
    [TEMPERATURE] = {"temperature", DESC(temperature), VKA__NUMBER_F32, true, 1e-30, 1e30, 0, NULL},
    [TOP_P] = {"top_p", DESC(top_p), VKA__NUMBER_F32, true, VKA__LEAST, 1, 1, NULL},
    [MIN_P] = {"min_p", DESC(min_p), VKA__NUMBER_F32, false, 0, 1, 0, NULL},
    [PENALTY] = {"repetition_penalty", DESC(repetition_penalty), VKA__NUMBER_F32, true, 0.01, 100, 1, NULL},
};
static const vka__limit limits[] = {{'V', 1, 1u << 24}, {'L', 0, INT32_MAX}, {0}};

static bool is_penalised(const vka__call *c) {
    return c->number[PENALTY] != 1;
}

static bool has_lengths(const vka__call *c) {
    return vka__call_has(c, LENGTHS);
}

static vka_status check(vka__call *c) {
    const vka_sample_desc *d = VKA__DESC(c, vka_sample_desc);
    if (is_penalised(c) && !vka__call_has(c, HISTORY))
        return vka__call_fail(c, VKA_INVALID, "history", "is required with a repetition penalty");
    if (d->append && !vka__call_has(c, HISTORY))
        return vka__call_fail(c, VKA_INVALID, "append", "is true, but there is no history");
    if (d->append && !has_lengths(c))
        return vka__call_fail(c, VKA_INVALID, "append", "is true, but there are no lengths, which say where");
    if (vka__call_has(c, NEW) && !has_lengths(c))
        return vka__call_fail(c, VKA_INVALID, "new_lengths", "is there, but there are no lengths");
    uint32_t most = vka__call_has(c, HISTORY) ? vka__call_letter(c, 'L') : INT32_MAX;
    return vka__call_check_lengths(c, LENGTHS, vka__call_letter(c, 'B'), most);
}

/* What may be drawn; a temperature of 0 takes the largest, which each of these keeps. */
static uint32_t random_flags(const vka__call *c) {
    const vka_sample_desc *d = VKA__DESC(c, vka_sample_desc);
    if (c->number[TEMPERATURE] <= 0)
        return 0;
    return VKA_FLAG_SAMPLE_RANDOM | (d->top_k && d->top_k < vka__call_letter(c, 'V') ? VKA_FLAG_SAMPLE_TOP_K : 0) |
           (c->number[TOP_P] < 1 ? VKA_FLAG_SAMPLE_TOP_P : 0) | (c->number[MIN_P] > 0 ? VKA_FLAG_SAMPLE_MIN_P : 0);
}

static uint32_t flags_of(const vka__call *c) {
    return random_flags(c) | (is_penalised(c) ? VKA_FLAG_SAMPLE_PENALTY : 0) | (has_lengths(c) ? VKA_FLAG_LENGTHS : 0) |
           (vka__call_has(c, LOG_PROBS) ? VKA_FLAG_SAMPLE_LOG_PROBS : 0) |
           (vka__call_has(c, NEW) ? VKA_FLAG_SAMPLE_NEW_LENGTHS : 0) |
           (VKA__DESC(c, vka_sample_desc)->append ? VKA_FLAG_SAMPLE_APPEND : 0) |
           (vka__call_vec4(c, 1u << LOGITS) ? VKA_FLAG_VEC4 : 0);
}

static void fill_params(const vka__call *c) {
    const vka_sample_desc *d = VKA__DESC(c, vka_sample_desc);
    vka_sample_params *params = VKA__PARAMS(c, vka_sample_params);
    double temperature = c->number[TEMPERATURE] > 0 ? c->number[TEMPERATURE] : 1, min_p = c->number[MIN_P];
    params->cols = vka__call_letter(c, 'V');
    params->history_size = vka__call_has(c, HISTORY) ? vka__call_letter(c, 'L') : 0;
    params->length_step = (uint32_t)c->view[LENGTHS].stride[3];
    params->new_length_step = (uint32_t)c->view[NEW].stride[3];
    params->window = d->penalty_window ? d->penalty_window : UINT32_MAX;
    params->top_k = d->top_k;
    params->top_p = (uint32_t)vka__min_u64(vka__max_u64((uint64_t)(c->number[TOP_P] * 0x1p32), 1), UINT32_MAX);
    params->least = min_p > 0 ? (float)(0.5 * temperature * log(min_p)) : 0;
    params->penalty = (float)c->number[PENALTY];
    params->score_scale = (float)(2 / temperature);
    params->model_exp_scale = (float)(2 * 1.4426950408889634); /* log2(e) */
    params->exp_scale = (float)(2 * 1.4426950408889634 / temperature);
    params->seed_lo = (uint32_t)d->seed;
    params->seed_hi = (uint32_t)(d->seed >> 32);
    params->random_offset = d->random_offset;
}

static bool plan(vka__call *c) {
    uint32_t cols = vka__call_letter(c, 'V');
    uint32_t *spec = vka__call_add_key(c, VKA__sample, vka__selection_group(c->caps, cols))->spec;
    spec[VKA_SPEC_FLAGS] = flags_of(c);
    spec[VKA_SPEC_TYPES] = vka__call_type(c, LOGITS, VKA_ROLE_X);
    fill_params(c);
    if (!vka__rows_plan(c, LOGITS, 1, 1))
        return false;
    if (is_penalised(c))
        c->workspace_bytes =
            vka__align_up(4 * (uint64_t)vka__div_up(cols, 32) * vka__volume(c->view[LOGITS].shape), 256);
    return c->workspace_bytes <= vka__min_u64(c->caps->storage_range, UINT64_C(1) << 32) ||
           vka__refuse_span(c->caps, "workspace", "a bit of each logit", &c->refusal);
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    vka__rows_dispatch(c, index, out);
    if (is_penalised(c))
        out->binding[VKA_BIND_SAMPLE_SEEN] =
            (vka__binding){.access = VKA__READ_WRITE, .source = VKA__SOURCE_WORKSPACE, .range = c->workspace_bytes};
}

static void explain(const vka__call *c, vka__text *text) {
    uint32_t flags = c->key[0].spec[VKA_SPEC_FLAGS];
    vka__say(text, "choice: %s\ntop_k: %s\ntop_p: %s\nmin_p: %s\npenalty: %s\nvector_loads: %s\n",
             flags & VKA_FLAG_SAMPLE_RANDOM ? "random" : "largest", vka__yes(flags & VKA_FLAG_SAMPLE_TOP_K),
             vka__yes(flags & VKA_FLAG_SAMPLE_TOP_P), vka__yes(flags & VKA_FLAG_SAMPLE_MIN_P),
             vka__yes(flags & VKA_FLAG_SAMPLE_PENALTY), vka__yes(flags & VKA_FLAG_VEC4));
}

VKA__OPERATION(sample, .params_size = sizeof(vka_sample_params), .workspace = DESC(workspace), .limits = limits,
               .check = check, .plan = plan, .dispatch = dispatch, .explain = explain);
