/* vka_gradient_norm: partial sums of each gradient, and then all that follows from their sum.
 * SPDX-License-Identifier: MIT */
#include <vkattn/optim.h>

#include "op/op.h"
#include "params/gradient_norm.h"

_Static_assert(VKA_GRADIENTS == VKA_MAX_GRADIENTS, "kernels have as many");

enum { SUM = VKA_MAX_GRADIENTS, NORM, GRAD_SCALE, LOSS_SCALE, FINITE_STEPS, STEP, ARGS };
enum { MAX_NORM, GROWTH, BACKOFF, INTERVAL, NUMBERS };

#define DESC(field) offsetof(vka_gradient_norm_desc, field)
#define GRADIENT(i, required)                                                                                          \
    [i] = {"gradients[" #i "]",  NULL,                                                                                 \
           DESC(gradients[i]),   offsetof(vka_gradient_norm_params, gradient[i]),                                      \
           VKA__FLOATS,          .flags = required,                                                                    \
           .access = VKA__READ,  .binding = VKA_BIND_X,                                                                \
           .extent = VKA__CUSTOM}
#define SCALAR(field, type, access_, binding_)                                                                         \
    {                                                                                                                  \
#        field, "1", DESC(field), VKA__NONE, VKA__TYPE(type), .access = access_, .binding = binding_,                  \
                                                              .extent = VKA__CUSTOM                                    \
    }

static const vka__arg args[ARGS] = {
    GRADIENT(0, VKA__REQUIRED),
    GRADIENT(1, 0),
    GRADIENT(2, 0),
    GRADIENT(3, 0),
    GRADIENT(4, 0),
    GRADIENT(5, 0),
    GRADIENT(6, 0),
    GRADIENT(7, 0),
    GRADIENT(8, 0),
    GRADIENT(9, 0),
    GRADIENT(10, 0),
    GRADIENT(11, 0),
    GRADIENT(12, 0),
    GRADIENT(13, 0),
    GRADIENT(14, 0),
    GRADIENT(15, 0),
    [SUM] = SCALAR(sum, VKA_F32, VKA__READ_WRITE, VKA_BIND_NORM_SUM),
    [NORM] = SCALAR(norm, VKA_F32, VKA__WRITE, VKA_BIND_NORM_NORM),
    [GRAD_SCALE] = SCALAR(grad_scale, VKA_F32, VKA__WRITE, VKA_BIND_NORM_GRAD_SCALE),
    [LOSS_SCALE] = SCALAR(loss_scale, VKA_F32, VKA__READ_WRITE, VKA_BIND_NORM_LOSS_SCALE),
    [FINITE_STEPS] = SCALAR(finite_steps, VKA_I32, VKA__READ_WRITE, VKA_BIND_NORM_FINITE_STEPS),
    [STEP] = SCALAR(step, VKA_I32, VKA__READ_WRITE, VKA_BIND_NORM_STEP),
};
static const vka__number numbers[NUMBERS] = {
    [MAX_NORM] = {"max_norm", DESC(max_norm), VKA__NUMBER_F32, false, 0, VKA__FINITE, 0, NULL},
    [GROWTH] = {"growth", DESC(growth), VKA__NUMBER_F32, true, 1, VKA__FINITE, 2, NULL},
    [BACKOFF] = {"backoff", DESC(backoff), VKA__NUMBER_F32, true, VKA__LEAST, 1, 0.5, NULL},
    [INTERVAL] = {"interval", DESC(interval), VKA__NUMBER_U32, true, 1, UINT32_MAX, 2000, NULL},
};

/* Boxes of a gradient's rows, each a dispatch of so many workgroups. */
typedef struct gradient {
    vka__rows rows;
    uint32_t key, groups, first; /* of its partial sums */
    uint64_t boxes;
} gradient;

typedef struct state {
    gradient gradient[VKA_MAX_GRADIENTS];
} state;

static vka_status check(vka__call *c) {
    if (!vka__call_has(c, SUM) && !vka__call_has(c, NORM) && !vka__call_has(c, GRAD_SCALE))
        return vka__call_fail(c, VKA_INVALID, "grad_scale", "is absent, and so are sum and norm: there is no result");
    if (VKA__DESC(c, vka_gradient_norm_desc)->accumulate && !vka__call_has(c, SUM))
        return vka__call_fail(c, VKA_INVALID, "sum", "is required to accumulate");
    if (vka__call_has(c, FINITE_STEPS) && !vka__call_has(c, LOSS_SCALE))
        return vka__call_fail(c, VKA_INVALID, "loss_scale", "is required with finite_steps");
    vka_status status = VKA_OK;
    for (uint32_t i = 0; i < VKA_MAX_GRADIENTS && status == VKA_OK; ++i)
        if (c->view[i].present)
            status = vka__call_check_rows(c, i, c->view[i].shape);
    return status;
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

#define MOST_GROUPS 256
/* Vectors of an invocation, at least. */
#define LEAST_VECTORS 8

/* Gradients of a type share a pipeline. */
static uint32_t find_key(vka__call *c, const vka__view *v, uint32_t group) {
    uint32_t types = (uint32_t)v->dtype << 4 * VKA_ROLE_X, flags = vka__view_vec4(v) ? VKA_FLAG_VEC4 : 0, i = 0;
    while (i < c->key_count && (c->key[i].spec[VKA_SPEC_TYPES] != types || c->key[i].spec[VKA_SPEC_FLAGS] != flags))
        ++i;
    if (i == c->key_count) {
        vka__pipeline_key *key = vka__call_add_key(c, VKA__gradient_squares, group);
        key->spec[VKA_SPEC_TYPES] = types;
        key->spec[VKA_SPEC_FLAGS] = flags;
    }
    return i;
}

static bool plan_gradient(vka__call *c, uint32_t index, uint32_t *partials) {
    gradient *g = &VKA__STATE(c, state)->gradient[index];
    const vka__view *v = &c->view[index];
    uint32_t group = vka__group_size(c->caps, c->caps->type == VKA_DEVICE_CPU ? 8 : 256);
    if (!v->present || !vka__view_extent(v, 0))
        return true;
    uint32_t units = vka__div_up(v->shape[3], 4);
    g->rows = vka__rows_of(v->shape, 1, 1);
    if (!vka__cut_to_binding(c->caps, v, VKA__DIMS_ALL, g->rows.part))
        return vka__refuse_span(c->caps, args[index].name, "one row", &c->refusal);
    vka__cut_to_grid(UINT32_MAX / units, g->rows.part); /* vectors are counted in 32 bits */
    vka__even_out(g->rows.shape, g->rows.part, g->rows.parts);
    g->boxes = vka__volume(g->rows.parts);
    uint64_t vectors = vka__volume(g->rows.part) * units;
    g->groups = (uint32_t)vka__min_u64((vectors - 1) / ((uint64_t)group * LEAST_VECTORS) + 1,
                                       c->caps->type == VKA_DEVICE_CPU ? 16 : MOST_GROUPS);
    g->groups = vka__min_u32(g->groups, c->caps->max_groups[0]);
    g->key = find_key(c, v, group);
    g->first = *partials;
    if (g->boxes * g->groups > (1u << 24) - *partials)
        return vka__refuse(&c->refusal, args[index].name, "is cut into too many parts");
    *partials += (uint32_t)g->boxes * g->groups;
    *(vka_strides *)(void *)(c->params + args[index].strides) = vka__box_strides(v, g->rows.part);
    c->dispatches += g->boxes;
    return true;
}

static bool plan(vka__call *c) {
    static const uint32_t flag[ARGS] = {[SUM] = VKA_FLAG_NORM_SUM,
                                        [NORM] = VKA_FLAG_NORM_NORM,
                                        [GRAD_SCALE] = VKA_FLAG_NORM_GRAD_SCALE,
                                        [LOSS_SCALE] = VKA_FLAG_NORM_LOSS_SCALE,
                                        [FINITE_STEPS] = VKA_FLAG_NORM_UPDATE,
                                        [STEP] = VKA_FLAG_NORM_STEP};
    vka_gradient_norm_params *params = VKA__PARAMS(c, vka_gradient_norm_params);
    for (uint32_t i = 0; i < VKA_MAX_GRADIENTS; ++i)
        if (!plan_gradient(c, i, &params->partials))
            return false;
    params->interval = (uint32_t)c->number[INTERVAL];
    params->max_norm = (float)c->number[MAX_NORM];
    params->growth = (float)c->number[GROWTH];
    params->backoff = (float)c->number[BACKOFF];
    uint32_t group = vka__group_size(c->caps, c->caps->type == VKA_DEVICE_CPU ? 8 : 256);
    uint32_t *flags = &vka__call_add_key(c, VKA__gradient_norm, group)->spec[VKA_SPEC_FLAGS];
    for (uint32_t i = SUM; i < ARGS; ++i)
        *flags |= vka__call_has(c, i) ? flag[i] : 0;
    *flags |= (VKA__DESC(c, vka_gradient_norm_desc)->accumulate ? VKA_FLAG_NORM_ADD : 0) |
              (c->number[MAX_NORM] > 0 ? VKA_FLAG_NORM_LIMIT : 0);
    c->workspace_bytes = vka__align_up(4 * (uint64_t)params->partials, 256);
    c->dispatches++;
    return true;
}

/* ---- dispatches ------------------------------------------------------------------------------------------------- */

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const state *s = (const state *)(const void *)c->state;
    uint32_t i = 0, begin[3], size[3];
    out->groups[0] = out->groups[1] = out->groups[2] = 1;
    if (c->workspace_bytes)
        out->binding[VKA_BIND_NORM_PARTIALS] =
            (vka__binding){.access = VKA__WRITE, .source = VKA__SOURCE_WORKSPACE, .range = c->workspace_bytes};
    if (index + 1 == c->dispatches) {
        out->key = c->key_count - 1;
        out->binding[VKA_BIND_NORM_PARTIALS].access = c->workspace_bytes ? VKA__READ : VKA__UNUSED;
        for (i = SUM; i < ARGS; ++i)
            vka__bind_all(c->caps, &c->view[i], args[i].binding, (vka__access)args[i].access, out);
        return;
    }
    for (; index >= s->gradient[i].boxes; ++i)
        index -= s->gradient[i].boxes;
    const gradient *g = &s->gradient[i];
    vka__rows_at(&g->rows, index, begin, size, out);
    vka__call_bind_box(c, i, begin, size, out);
    out->key = g->key;
    out->groups[0] = g->groups;
    out->push.x0 = c->view[i].shape[3];
    out->push.y0 = i;
    out->push.z0 = g->first + (uint32_t)index * g->groups;
}

static void explain(const vka__call *c, vka__text *text) {
    vka__say(text, "partial_sums: %u\npipelines: %u\n",
             ((const vka_gradient_norm_params *)(const void *)c->params)->partials, c->key_count);
}

VKA__OPERATION(gradient_norm, .params_size = sizeof(vka_gradient_norm_params), .state_size = sizeof(state),
               .workspace = DESC(workspace), .check = check, .plan = plan, .dispatch = dispatch, .explain = explain);
