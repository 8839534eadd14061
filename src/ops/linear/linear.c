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

/* A matrix, or one for each entry of x's leading dimensions. */
static vka_status check_weight(const vka__call *c) {
    const vka_linear_desc *d = VKA__DESC(c, vka_linear_desc);
    const vka_tensor *w = &d->weight, *x = &d->x;
    const vka__view *view = c->view;
    if (w->rank < 2 || (w->rank > 2 && w->rank > x->rank))
        return vka__call_fail(c, VKA_INVALID, "weight", "rank is %u, but must be 2%s", w->rank,
                              x->rank > 2 ? ", or up to that of x" : "");
    for (uint32_t dim = 0; dim < 2; ++dim)
        if (view[WEIGHT].shape[dim] != 1 && view[WEIGHT].shape[dim] != view[X].shape[dim])
            return vka__call_fail(c, VKA_INVALID, "weight", "shape[%u] is %u, but must be 1 or that of x, %u",
                                  dim + w->rank - VKA_MAX_RANK, view[WEIGHT].shape[dim], view[X].shape[dim]);
    if (view[WEIGHT].shape[2] != view[OUT].shape[3])
        return vka__call_fail(c, VKA_INVALID, "weight", "shape[%u] is %u, but out has N = %u", w->rank - 2,
                              view[WEIGHT].shape[2], view[OUT].shape[3]);
    if (view[WEIGHT].shape[3] != view[X].shape[3])
        return vka__call_fail(c, VKA_INVALID, "weight", "shape[%u] is %u, but x has K = %u", w->rank - 1,
                              view[WEIGHT].shape[3], view[X].shape[3]);
    return VKA_OK;
}

static vka_status check_tile(const vka__call *c) {
    const vka_linear_desc *d = VKA__DESC(c, vka_linear_desc);
    const vka_linear_tile *t = &d->tile;
    if ((t->row_tile || t->output_tile || t->rows_per_invocation || t->team) && !(d->path && t->output_tile))
        return vka__call_fail(c, VKA_INVALID, "tile", "needs %s", d->path ? "an output_tile" : "a path");
    return VKA_OK;
}

/* Entries of dimension `dim` become rows, if rows of all tensors lie as evenly as those of one dimension, and the
 * weights are the same. */
static void merge_rows(vka__linear_problem *p, uint32_t dim) {
    if (p->view[WEIGHT].shape[dim] != 1)
        return;
    const uint32_t with_rows[] = {X, RESIDUAL, OUT};
    for (uint32_t i = 0; i < 3; ++i) {
        const vka__view *v = &p->view[with_rows[i]];
        if (v->present && v->shape[dim] > 1 && v->shape[2] > 1 && v->stride[dim] != v->shape[2] * v->stride[2])
            return;
    }
    for (uint32_t i = 0; i < 3; ++i) {
        vka__view *v = &p->view[with_rows[i]];
        v->stride[2] = v->shape[2] > 1 ? v->stride[2] : v->stride[dim];
        v->shape[2] *= v->shape[dim];
        v->shape[dim] = 1;
        v->stride[dim] = 0;
    }
}

/* What all calls take themselves for whose results must not depend on how many rows there are. */
#define MANY_ROWS (1u << 20)

static vka_status check(vka__call *c) {
    const vka_linear_desc *d = VKA__DESC(c, vka_linear_desc);
    vka__linear_problem *p = &VKA__STATE(c, vka__linear_state)->problem;
    vka_status status = check_weight(c);
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
    merge_rows(p, 1);
    if (p->view[X].shape[1] == 1)
        merge_rows(p, 0);
    p->batch[0] = p->view[X].shape[0];
    p->batch[1] = p->view[X].shape[1];
    p->rows = p->view[X].shape[2];
    p->outputs = p->view[OUT].shape[3];
    p->columns = p->view[X].shape[3];
    p->batch_invariant = d->determinism == VKA_DETERMINISM_BATCH;
    p->choice_rows = p->batch_invariant ? MANY_ROWS : p->rows;
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
