/* vka_linear.
 * SPDX-License-Identifier: MIT */
#include "ops/linear/plan.h"

enum {
    X = VKA__LINEAR_X,
    WEIGHT = VKA__LINEAR_WEIGHT,
    BIAS = VKA__LINEAR_BIAS,
    RESIDUAL = VKA__LINEAR_RESIDUAL,
    OUT = VKA__LINEAR_OUT,
    ARGS = VKA__LINEAR_ARGS,
};
enum { ACTIVATION, PATH, SPLITS, DETERMINISM, NUMBERS };

#define BIT(arg)    (1u << (arg))
#define DESC(field) offsetof(vka_linear_desc, field)

static const vka__arg args[ARGS] = {
    [X] = {"x", "... K", DESC(x), VKA__NONE, VKA__FLOATS, .flags = VKA__REQUIRED, .access = VKA__READ,
           .binding = VKA_BIND_X, .extent = VKA__CUSTOM},
    [WEIGHT] = {"weight", NULL, DESC(weight), VKA__NONE, VKA__WEIGHTS, .flags = VKA__REQUIRED, .access = VKA__READ,
                .binding = VKA_BIND_LINEAR_WEIGHT, .extent = VKA__CUSTOM},
    [BIAS] = {"bias", "N", DESC(bias), VKA__NONE, VKA__FLOATS, .access = VKA__READ, .binding = VKA_BIND_LINEAR_BIAS,
              .extent = VKA__CUSTOM},
    [RESIDUAL] = {"residual", "... N", DESC(residual), VKA__NONE, VKA__FLOATS, .access = VKA__READ,
                  .binding = VKA_BIND_LINEAR_RESIDUAL, .extent = VKA__CUSTOM},
    [OUT] = {"out", "... N", DESC(out), VKA__NONE, VKA__FLOATS, BIT(RESIDUAL), .flags = VKA__REQUIRED,
             .access = VKA__WRITE, .binding = VKA_BIND_LINEAR_OUT, .extent = VKA__CUSTOM},
};

static const vka__number numbers[NUMBERS] = {
    [ACTIVATION] = {"activation", DESC(activation), VKA__NUMBER_ENUM, false, 0, VKA_ACTIVATION_SIGMOID, 0,
                    "vka_activation"},
    [PATH] = {"path", DESC(path), VKA__NUMBER_ENUM, false, 0, VKA_LINEAR_PATH_COOPMAT2, 0, "vka_linear_path"},
    [SPLITS] = {"splits", DESC(splits), VKA__NUMBER_U32, false, 0, VKA__LINEAR_MAX_SPLITS, 0, NULL},
    [DETERMINISM] = {"determinism", DESC(determinism), VKA__NUMBER_ENUM, false, 0, VKA_DETERMINISM_BATCH, 0,
                     "vka_determinism"},
};

/* ---- check ------------------------------------------------------------------------------------------------------ */

static vka_status check_tile(const vka__call *c) {
    const vka_linear_desc *d = VKA__DESC(c, vka_linear_desc);
    const vka_linear_tile *t = &d->tile;
    if ((t->row_tile || t->output_tile || t->rows_per_invocation || t->team) && !(d->path && t->output_tile))
        return vka__call_fail(c, VKA_INVALID, "tile", "needs %s", d->path ? "an output_tile" : "a path");
    return VKA_OK;
}

static vka_status check(vka__call *c) {
    const vka_linear_desc *d = VKA__DESC(c, vka_linear_desc);
    vka__linear_problem *p = &VKA__STATE(c, vka__linear_state)->problem;
    vka_status status = vka__linear_check_weight(c, WEIGHT, X, OUT, X);
    if (status == VKA_OK)
        status = check_tile(c);
    if (status == VKA_OK)
        status = vka__call_check_rows(c, OUT, c->view[OUT].shape);
    if (status != VKA_OK)
        return status;
    *p = (vka__linear_problem){.activation = d->activation, .path = d->path, .splits = d->splits};
    p->tile = (vka__tile){d->tile.row_tile, d->tile.output_tile, d->tile.rows_per_invocation, d->tile.team};
    for (uint32_t i = 0; i < ARGS; ++i)
        p->view[i] = c->view[i];
    vka__linear_measure(p, d->determinism);
    return VKA_OK;
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

static bool plan(vka__call *c) {
    vka__linear_state *s = VKA__STATE(c, vka__linear_state);
    vka__linear_problem *p = &s->problem;
    if (!p->batch[0] || !p->batch[1] || !p->rows || !p->outputs)
        return true;
    p->tuning = c->device ? vka__device_tuning(c->device) : NULL;
    if (!vka__plan_linear(c->caps, p, &s->plan, &c->refusal))
        return false;
    *VKA__PARAMS(c, vka_linear_params) = s->plan.params;
    c->key[c->key_count++] = s->plan.main;
    if (s->plan.params.splits > 1)
        c->key[c->key_count++] = s->plan.reduce;
    c->workspace_bytes = s->plan.workspace_bytes;
    c->dispatches = vka__linear_dispatches(&s->plan);
    return true;
}

static const vka__linear_state *state_of(const vka__call *c) {
    return (const vka__linear_state *)(const void *)c->state;
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    vka__linear_dispatch(c->caps, &state_of(c)->problem, &state_of(c)->plan, index, out);
}

static void explain(const vka__call *c, vka__text *text) {
    const vka__linear_problem *p = &state_of(c)->problem;
    const vka__linear_plan *plan = &state_of(c)->plan;
    const vka__tile *t = &plan->choice.tile;
    uint32_t flags = plan->main.spec[VKA_SPEC_FLAGS];
    vka__say(text, "path: %s\nwhy: %s\nrow_tile: %u\noutput_tile: %u\nrows_per_invocation: %u\nteam: %u\n",
             vka__path_name(&vka__linear_paths, plan->choice.path), plan->choice.why, t->br, t->bc, t->rm, t->tc);
    vka__say(text, "shared_bytes: %u\nvector_loads: x %u, weight %u, out %u\nsplits: %u\nbatches: %u\nrows: %u\n",
             plan->shared_bytes,
             flags & VKA_LINEAR_X_VEC8   ? 8
             : flags & VKA_LINEAR_X_VEC4 ? 4
                                         : 1,
             flags & VKA_LINEAR_WEIGHT_VEC8   ? 8
             : flags & VKA_LINEAR_WEIGHT_VEC4 ? 4
                                              : 1,
             flags & VKA_LINEAR_OUT_VEC4 ? 4 : 1, plan->params.splits, p->batch[0] * p->batch[1], p->rows);
}

VKA__OPERATION(linear, .params_size = sizeof(vka_linear_params), .state_size = sizeof(vka__linear_state),
               .paths = &vka__linear_paths, .problem = offsetof(vka__linear_state, problem), .asked = DESC(path),
               .asked_size = DESC(workspace) - DESC(path), .workspace = DESC(workspace), .check = check, .plan = plan,
               .dispatch = dispatch, .explain = explain);
VKA__CANDIDATE(linear);
