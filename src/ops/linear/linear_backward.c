/* vka_linear_backward: linear layers of other tensors. d_x is that of g by the weights with their last two dimensions
 * swapped, d_weight that of g and x with theirs swapped; what they need first is made in the workspace.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "ops/elementwise/elementwise.h"
#include "ops/elementwise/sum.h"
#include "ops/linear/plan.h"

enum { X, WEIGHT, BIAS, Z, D_OUT, D_X, D_WEIGHT, D_BIAS, ARGS };
enum { ACTIVATION, PATH, DETERMINISM, NUMBERS };

#define DESC(field) offsetof(vka_linear_backward_desc, field)
#define TENSOR(field, shape, types_, f, access_)                                                                       \
    { #field, shape, DESC(field), VKA__NONE, types_, .flags = f, .access = access_, .extent = VKA__CUSTOM }

static const vka__arg args[ARGS] = {
    [X] = TENSOR(x, "... K", VKA__FLOATS, 0, VKA__READ),
    [WEIGHT] = TENSOR(weight, NULL, VKA__WEIGHTS, 0, VKA__READ),
    [BIAS] = TENSOR(bias, "N", VKA__FLOATS, 0, VKA__READ),
    [Z] = TENSOR(z, "... N", VKA__FLOATS, 0, VKA__READ),
    [D_OUT] = TENSOR(d_out, "... N", VKA__FLOATS, VKA__REQUIRED, VKA__READ),
    [D_X] = TENSOR(d_x, "... K", VKA__FLOATS, 0, VKA__WRITE),
    [D_WEIGHT] = TENSOR(d_weight, NULL, VKA__FLOATS, 0, VKA__READ_WRITE),
    [D_BIAS] = TENSOR(d_bias, "N", VKA__FLOATS, 0, VKA__READ_WRITE),
};
static const vka__number numbers[NUMBERS] = {
    [ACTIVATION] = VKA__ACTIVATION_NUMBER(vka_linear_backward_desc),
    [PATH] = {"path", DESC(path), VKA__NUMBER_ENUM, false, 0, VKA_LINEAR_PATH_COOPMAT2, 0, "vka_linear_path"},
    [DETERMINISM] = {"determinism", DESC(determinism), VKA__NUMBER_ENUM, false, 0, VKA_DETERMINISM_BATCH, 0,
                     "vka_determinism"},
};

/* In this order, those that there are. */
enum { TO_Z, TO_G, TO_WEIGHT, TO_X, TO_D_X, TO_D_WEIGHT, TO_D_BIAS, STEPS };
enum { PRODUCT_Z, PRODUCT_D_X, PRODUCT_D_WEIGHT, PRODUCTS };
/* Each step has a parameter block, and the second dispatch of a sum. */
enum { SUM_PARTS_BLOCK = STEPS, BLOCKS };

typedef union block {
    vka_linear_params linear;
    vka_elementwise_params elements;
    vka_sum_params sum;
} block;
_Static_assert(BLOCKS * sizeof(block) <= VKA__MAX_ALL_PARAMS, "a call has room for them");

typedef struct product {
    vka__linear_state linear;
    uint32_t key;
    uint64_t workspace; /* where its partial results lie */
} product;

typedef struct state {
    product product[PRODUCTS];
    vka__element_step g, weight, x;
    vka__sum bias;
    uint64_t dispatches[STEPS];
} state;

static const state *state_of(const vka__call *c) {
    return (const state *)(const void *)c->state;
}

/* ---- check ------------------------------------------------------------------------------------------------------ */

static bool needs_g(const vka__call *c) {
    return c->number[ACTIVATION] != VKA_ACTIVATION_NONE;
}

static bool needs_z(const vka__call *c) {
    return needs_g(c) && !vka__call_has(c, Z);
}

static vka_status check_needs(const vka__call *c) {
    const struct {
        uint32_t arg;
        bool needed;
        const char *why;
    } needs[] = {
        {D_X, !vka__call_has(c, D_WEIGHT) && !vka__call_has(c, D_BIAS),
         "is absent, and so are d_weight and d_bias: there is no result"},
        {X, vka__call_has(c, D_WEIGHT), "is required for d_weight"},
        {WEIGHT, vka__call_has(c, D_X), "is required for d_x"},
        {X, needs_z(c), "is required with an activation and without z"},
        {WEIGHT, needs_z(c), "is required with an activation and without z"},
    };
    for (size_t i = 0; i < sizeof needs / sizeof *needs; ++i)
        if (needs[i].needed && !vka__call_has(c, needs[i].arg))
            return vka__call_fail(c, VKA_INVALID, args[needs[i].arg].name, "%s", needs[i].why);
    if (vka__call_has(c, Z) && !needs_g(c))
        return vka__call_fail(c, VKA_INVALID, "z", "is of use with an activation alone");
    return VKA_OK;
}

static vka_status check_weights(const vka__call *c) {
    uint32_t columns = vka__call_has(c, X) ? X : D_X;
    vka_status status = VKA_OK;
    if (vka__call_has(c, WEIGHT) && (vka__call_has(c, X) || vka__call_has(c, D_X)))
        status = vka__linear_check_weight(c, WEIGHT, D_OUT, D_OUT, columns);
    if (status == VKA_OK && vka__call_has(c, D_WEIGHT))
        status = vka__linear_check_weight(c, D_WEIGHT, D_OUT, D_OUT, columns);
    if (status != VKA_OK || !vka__call_has(c, WEIGHT) || !vka__call_has(c, D_WEIGHT))
        return status;
    if (vka_dtype_block(c->view[WEIGHT].dtype) > 1)
        return vka__call_fail(c, VKA_INVALID, "d_weight", "quantised weights have no gradient");
    for (uint32_t dim = 0; dim < 2; ++dim)
        if (c->view[D_WEIGHT].shape[dim] != c->view[WEIGHT].shape[dim])
            return vka__call_fail(c, VKA_INVALID, "d_weight",
                                  "dimension %u from the end is %u, but that of weight is %u", VKA_MAX_RANK - dim,
                                  c->view[D_WEIGHT].shape[dim], c->view[WEIGHT].shape[dim]);
    return VKA_OK;
}

static vka_status check(vka__call *c) {
    vka_status status = check_needs(c);
    if (status == VKA_OK)
        status = check_weights(c);
    return status == VKA_OK ? vka__call_check_rows(c, D_OUT, c->view[D_OUT].shape) : status;
}

/* ---- views ------------------------------------------------------------------------------------------------------ */

static vka__view swapped(vka__view v) {
    uint32_t size = v.shape[2];
    uint64_t stride = v.stride[2];
    v.shape[2] = v.shape[3];
    v.stride[2] = v.stride[3];
    v.shape[3] = size;
    v.stride[3] = stride;
    return v;
}

/* Leading dimensions that d_weight sums over, as bits. */
static uint32_t summed(const vka__call *c) {
    uint32_t dims = 0;
    for (uint32_t dim = 0; dim < 2 && vka__call_has(c, D_WEIGHT); ++dim)
        dims |= c->view[D_WEIGHT].shape[dim] == 1 ? 1u << dim : 0;
    return dims;
}

/* Makes rows of them. False: they do not lie as evenly. */
static bool merge(vka__view *v, uint32_t dims) {
    for (uint32_t dim = 2; dim-- > 0;) {
        if (!(dims >> dim & 1))
            continue;
        if (!vka__linear_can_merge(v, dim))
            return false;
        vka__linear_merge(v, dim);
    }
    return true;
}

/* A tensor of the workspace, dense, but that dimensions of `dims` lie next to the rows, which `merge` then takes. */
static vka__view place(vka__call *c, const vka__view *like, vka_dtype dtype, uint32_t dims) {
    static const uint32_t orders[2][VKA_MAX_RANK] = {{3, 2, 1, 0}, {3, 2, 0, 1}};
    const uint32_t *order = orders[dims == 1];
    vka__view v = {.present = true,
                   .source = VKA__SOURCE_WORKSPACE,
                   .dtype = dtype,
                   .size = vka_dtype_size(dtype),
                   .block = 1,
                   .offset = c->workspace_bytes};
    uint64_t stride = 1;
    for (uint32_t i = 0; i < VKA_MAX_RANK; stride *= like->shape[order[i]], ++i) {
        v.shape[order[i]] = like->shape[order[i]];
        v.stride[order[i]] = like->shape[order[i]] > 1 ? stride : 0;
    }
    c->workspace_bytes += vka__align_up(stride * v.size, 256);
    return v;
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

static bool plan_elements(vka__call *c, int step, vka__kernel kernel, uint32_t flags, vka__element_step *s) {
    vka_elementwise_params *params = &VKA__PARAMS_AT(c, block, step)->elements;
    params->scale = 1;
    if (!vka__element_step_plan(c, kernel, flags, params, s))
        return false;
    VKA__STATE(c, state)->dispatches[step] = s->dispatches;
    return true;
}

/* Tensors of the problem have names of their own. */
static bool rename_refusal(vka__call *c, int index) {
    static const char *const names[PRODUCTS][3] = {
        {"x", "weight", "workspace"}, {"d_out", "weight", "d_x"}, {"d_out", "x", "d_weight"}};
    static const char *const fields[3] = {"x", "weight", "out"};
    for (int i = 0; i < 3; ++i)
        if (c->refusal.field && !strcmp(c->refusal.field, fields[i])) {
            c->refusal.field = names[index][i];
            break;
        }
    return false;
}

/* A linear layer by the views of its problem. */
static bool plan_product(vka__call *c, int step, int index, vka_determinism determinism) {
    state *s = VKA__STATE(c, state);
    product *made = &s->product[index];
    vka__linear_problem *p = &made->linear.problem;
    vka__linear_plan *plan = &made->linear.plan;
    vka__linear_measure(p, determinism);
    if (!p->batch[0] || !p->batch[1] || !p->rows || !p->outputs)
        return true;
    p->path = VKA__DESC(c, vka_linear_backward_desc)->path;
    p->tuning = c->device ? vka__device_tuning(c->device) : NULL;
    if (!vka__plan_linear(c->caps, p, plan, &c->refusal))
        return rename_refusal(c, index);
    VKA__PARAMS_AT(c, block, step)->linear = plan->params;
    made->key = c->key_count;
    c->key[c->key_count++] = plan->main;
    if (plan->params.splits > 1)
        c->key[c->key_count++] = plan->reduce;
    made->workspace = c->workspace_bytes;
    c->workspace_bytes += plan->workspace_bytes;
    s->dispatches[step] = vka__linear_dispatches(plan);
    return true;
}

/* g, and z before it, where that is computed anew: g then takes its place. */
static bool plan_g(vka__call *c, vka__view *g) {
    state *s = VKA__STATE(c, state);
    vka__view test = *g;
    if (!needs_g(c) && merge(&test, summed(c)))
        return true;
    vka__view made = place(c, g, g->dtype, summed(c)), z = vka__call_has(c, Z) ? c->view[Z] : made;
    if (needs_z(c)) {
        vka__view *v = s->product[PRODUCT_Z].linear.problem.view;
        v[VKA__LINEAR_X] = c->view[X];
        v[VKA__LINEAR_WEIGHT] = c->view[WEIGHT];
        v[VKA__LINEAR_BIAS] = c->view[BIAS];
        v[VKA__LINEAR_OUT] = made;
        if (!plan_product(c, TO_Z, PRODUCT_Z, VKA__DESC(c, vka_linear_backward_desc)->determinism))
            return false;
    }
    s->g = (vka__element_step){
        .field = "d_out",
        .view = {[VKA_BIND_FIRST] = needs_g(c) ? z : *g, [VKA_BIND_SECOND] = *g, [VKA_BIND_RESULT] = made}};
    *g = made;
    return plan_elements(c, TO_G, VKA__map_backward,
                         vka__activation_flag(VKA__DESC(c, vka_linear_backward_desc)->activation), &s->g);
}

static bool plan_d_x(vka__call *c, const vka__view *g) {
    state *s = VKA__STATE(c, state);
    vka__view weight = c->view[WEIGHT], *v = s->product[PRODUCT_D_X].linear.problem.view;
    if (weight.block > 1) { /* blocks lie along the columns of x, which are outputs here */
        vka__view floats = place(c, &weight, g->dtype, 0);
        s->weight =
            (vka__element_step){.field = "weight", .view = {[VKA_BIND_FIRST] = weight, [VKA_BIND_RESULT] = floats}};
        if (!plan_elements(c, TO_WEIGHT, VKA__map, 0, &s->weight))
            return false;
        weight = floats;
    }
    v[VKA__LINEAR_X] = *g;
    v[VKA__LINEAR_WEIGHT] = swapped(weight);
    v[VKA__LINEAR_OUT] = c->view[D_X];
    return plan_product(c, TO_D_X, PRODUCT_D_X, VKA__DESC(c, vka_linear_backward_desc)->determinism);
}

static bool plan_d_weight(vka__call *c, vka__view g) {
    state *s = VKA__STATE(c, state);
    vka__view x = c->view[X], *v = s->product[PRODUCT_D_WEIGHT].linear.problem.view;
    uint32_t dims = summed(c);
    if (!merge(&x, dims)) {
        vka__view copy = place(c, &c->view[X], x.dtype, dims);
        s->x = (vka__element_step){.field = "x", .view = {[VKA_BIND_FIRST] = c->view[X], [VKA_BIND_RESULT] = copy}};
        if (!plan_elements(c, TO_X, VKA__map, 0, &s->x))
            return false;
        x = copy;
        (void)merge(&x, dims);
    }
    (void)merge(&g, dims);
    v[VKA__LINEAR_X] = swapped(g);
    v[VKA__LINEAR_WEIGHT] = swapped(x);
    v[VKA__LINEAR_OUT] = c->view[D_WEIGHT];
    if (VKA__DESC(c, vka_linear_backward_desc)->accumulate)
        v[VKA__LINEAR_RESIDUAL] = c->view[D_WEIGHT];
    return plan_product(c, TO_D_WEIGHT, PRODUCT_D_WEIGHT, VKA_DETERMINISM_CALL);
}

static bool plan_d_bias(vka__call *c, const vka__view *g) {
    state *s = VKA__STATE(c, state);
    s->bias = (vka__sum){.field = "d_out",
                         .out_field = "d_bias",
                         .x = *g,
                         .out = c->view[D_BIAS],
                         .accumulate = VKA__DESC(c, vka_linear_backward_desc)->accumulate,
                         .workspace = c->workspace_bytes};
    if (!vka__sum_plan(c, &s->bias, &VKA__PARAMS_AT(c, block, TO_D_BIAS)->sum,
                       &VKA__PARAMS_AT(c, block, SUM_PARTS_BLOCK)->sum))
        return false;
    s->dispatches[TO_D_BIAS] = vka__sum_dispatches(&s->bias);
    c->workspace_bytes += s->bias.workspace_bytes;
    return true;
}

static bool plan(vka__call *c) {
    const state *s = state_of(c);
    vka__view g = c->view[D_OUT];
    if (!plan_g(c, &g) || (vka__call_has(c, D_X) && !plan_d_x(c, &g)) ||
        (vka__call_has(c, D_WEIGHT) && !plan_d_weight(c, g)) || (vka__call_has(c, D_BIAS) && !plan_d_bias(c, &g)))
        return false;
    for (int i = 0; i < STEPS; ++i)
        c->dispatches += s->dispatches[i];
    return true;
}

/* ---- dispatches ------------------------------------------------------------------------------------------------- */

static void dispatch_product(const vka__call *c, int index, uint64_t at, vka__dispatch *out) {
    const product *p = &state_of(c)->product[index];
    vka__linear_dispatch(c->caps, &p->linear.problem, &p->linear.plan, at, out);
    out->key += p->key;
    out->binding[VKA_BIND_LINEAR_WORKSPACE].offset += p->workspace;
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const state *s = state_of(c);
    int step = TO_Z;
    for (; index >= s->dispatches[step]; ++step)
        index -= s->dispatches[step];
    out->params = (uint32_t)step;
    switch (step) {
    case TO_Z:
        dispatch_product(c, PRODUCT_Z, index, out);
        break;
    case TO_G:
        vka__element_step_dispatch(c->caps, &s->g, index, out);
        break;
    case TO_WEIGHT:
        vka__element_step_dispatch(c->caps, &s->weight, index, out);
        break;
    case TO_X:
        vka__element_step_dispatch(c->caps, &s->x, index, out);
        break;
    case TO_D_X:
        dispatch_product(c, PRODUCT_D_X, index, out);
        break;
    case TO_D_WEIGHT:
        dispatch_product(c, PRODUCT_D_WEIGHT, index, out);
        break;
    default:
        vka__sum_dispatch(c, &s->bias, index, out);
        out->params = index ? SUM_PARTS_BLOCK : TO_D_BIAS;
    }
}

static void explain(const vka__call *c, vka__text *text) {
    static const char *const names[PRODUCTS] = {"z", "d_x", "d_weight"};
    static const int steps[PRODUCTS] = {TO_Z, TO_D_X, TO_D_WEIGHT};
    const state *s = state_of(c);
    for (int i = 0; i < PRODUCTS; ++i) {
        const vka__linear_plan *plan = &s->product[i].linear.plan;
        const vka__tile *t = &plan->choice.tile;
        if (s->dispatches[steps[i]])
            vka__say(text, "%s: path %s (%s), tile %u x %u x %u, team %u, splits %u\n", names[i],
                     vka__path_name(&vka__linear_paths, plan->choice.path), plan->choice.why, t->br, t->bc, t->rm,
                     t->tc, plan->params.splits);
    }
    vka__say(text, "makes_g: %s\nmakes_floats_of_weight: %s\ncopies_x: %s\nparts_of_bias_sums: %u\n",
             vka__yes(s->dispatches[TO_G]), vka__yes(s->dispatches[TO_WEIGHT]), vka__yes(s->dispatches[TO_X]),
             s->bias.parts);
}

VKA__OPERATION(linear_backward, .params_size = sizeof(block), .param_blocks = BLOCKS, .state_size = sizeof(state),
               .workspace = DESC(workspace), .check = check, .plan = plan, .dispatch = dispatch, .explain = explain);
_Static_assert(sizeof(state) <= VKA__MAX_STATE, "a call has room for it");
