/* SPDX-License-Identifier: MIT */
#include "ops/norm/backward.h"

#define STATE(c) VKA__STATE(c, vka__norm_backward_state)

vka_status vka__norm_backward_check(vka__call *c, const char *inverse) {
    if (!vka__call_has(c, VKA__NORM_D_X) && !vka__call_has(c, VKA__NORM_D_WEIGHT) &&
        !vka__call_has(c, VKA__NORM_D_BIAS))
        return vka__call_fail(c, VKA_INVALID, "d_x",
                              "is absent, and so are gradients of parameters: there is no result");
    const vka__arg *mean = &c->op->args[VKA__NORM_D_MEAN];
    bool has_mean = !(mean->flags & VKA__INTERNAL);
    if (has_mean && vka__call_has(c, VKA__NORM_D_MEAN) != vka__call_has(c, VKA__NORM_D_INVERSE))
        return vka__call_fail(c, VKA_INVALID, "mean", "and %s must both be there, or none", inverse);
    return VKA_OK;
}

/* ---- statistics ------------------------------------------------------------------------------------------------ */

static vka__view in_workspace(const vka__view *x, uint64_t offset) {
    uint64_t n = x->shape[2], h = x->shape[1];
    return (vka__view){.present = true,
                       .source = VKA__SOURCE_WORKSPACE,
                       .dtype = VKA_F32,
                       .size = 4,
                       .block = 1,
                       .offset = offset,
                       .shape = {x->shape[0], x->shape[1], x->shape[2], 1},
                       .stride = {h * n, n, 1, 0}};
}

/* Those that are missing lie at the beginning of the workspace; returns its bytes. */
static uint64_t place_statistics(vka__call *c) {
    vka__norm_backward_state *s = STATE(c);
    vka__view rows = c->view[VKA__NORM_X];
    rows.shape[2] = s->kind.groups ? 1 : rows.shape[2];
    uint64_t each = vka__align_up(4 * vka__volume(rows.shape), 256);
    c->view[VKA__NORM_D_INVERSE] = in_workspace(&rows, 0);
    if (!s->kind.rms)
        c->view[VKA__NORM_D_MEAN] = in_workspace(&rows, each);
    return s->kind.rms ? each : 2 * each;
}

/* ---- keys ------------------------------------------------------------------------------------------------------ */

static uint32_t add_rows_key(vka__call *c, const vka__row_kernels *kernels, bool vec4, uint32_t *key) {
    const vka__view *x = &c->view[VKA__NORM_X];
    *key = c->key_count;
    if (STATE(c)->kind.groups)
        return vka__groups_add_key(c, kernels, VKA__NORM_PATH);
    vka__row_problem problem = {
        .path = VKA__NORM_PATH, .rows = vka__volume(x->shape), .cols = x->shape[3], .most = 256, .vec4 = vec4};
    return vka__rows_add_key(c, kernels, &problem);
}

/* Of tensors of rows, as bits, that a step reads and writes; weights that lie along rows are read likewise. */
static uint32_t flags_of(const vka__call *c, uint32_t tensors, bool last) {
    const vka__norm_backward_kind *kind = &STATE(c)->kind;
    bool residual = tensors >> VKA__NORM_D_RESIDUAL & 1 && vka__call_has(c, VKA__NORM_D_RESIDUAL);
    return (residual ? VKA_FLAG_RESIDUAL : 0) | (kind->rms ? VKA_FLAG_RMS : 0) | (last ? VKA_FLAG_CHANNELS_LAST : 0) |
           (vka__call_vec4(c, tensors) ? VKA_FLAG_VEC4 : 0);
}

static uint32_t add_statistics_key(vka__call *c, bool last) {
    vka__norm_backward_state *s = STATE(c);
    uint32_t flags = flags_of(c, 1u << VKA__NORM_X | 1u << VKA__NORM_D_RESIDUAL, last);
    s->statistics_rows = add_rows_key(c, s->kind.groups ? &vka__group_norm_kernels : &vka__norm_kernels,
                                      flags & VKA_FLAG_VEC4, &s->statistics_key);
    uint32_t *spec = c->key[s->statistics_key].spec;
    spec[VKA_SPEC_FLAGS] = flags | VKA_FLAG_STATISTICS | VKA_FLAG_INV_STD | (s->kind.rms ? 0 : VKA_FLAG_MEAN);
    spec[VKA_SPEC_TYPES] = vka__call_type(c, VKA__NORM_X, VKA_ROLE_X);
    return s->statistics_rows;
}

static uint32_t add_d_x_key(vka__call *c, bool last) {
    static const vka__row_kernels of_rows = {VKA__norm_backward_lane, VKA__norm_backward_group,
                                             VKA__norm_backward_group_sg, 8, 0},
                                  of_groups = {VKA__group_norm_backward_lane, VKA__group_norm_backward_group,
                                               VKA__group_norm_backward_group_sg, 0, 0};
    vka__norm_backward_state *s = STATE(c);
    bool groups = s->kind.groups, along = !groups || last; /* do weights lie along rows? */
    uint32_t tensors = 1u << VKA__NORM_X | 1u << VKA__NORM_D_OUT | 1u << VKA__NORM_D_RESIDUAL | 1u << VKA__NORM_D_SUM |
                       1u << VKA__NORM_D_X | (along ? 1u << VKA__NORM_D_OF_WEIGHT : 0);
    uint32_t flags = flags_of(c, tensors, last);
    s->d_x_rows = add_rows_key(c, groups ? &of_groups : &of_rows, flags & VKA_FLAG_VEC4, &s->d_x_key);
    uint32_t *spec = c->key[s->d_x_key].spec;
    if (!(flags & VKA_FLAG_VEC4) && spec[VKA_SPEC_COLS] > 4)
        spec[VKA_SPEC_COLS] = 0; /* loads of single elements need registers, too */
    spec[VKA_SPEC_FLAGS] = flags | (vka__call_has(c, VKA__NORM_D_OF_WEIGHT) ? VKA_FLAG_WEIGHT : 0) |
                           (vka__call_has(c, VKA__NORM_D_SUM) ? VKA_FLAG_SUM : 0) |
                           (s->kind.zero_centred ? VKA_FLAG_ZERO_CENTRED : 0);
    spec[VKA_SPEC_TYPES] =
        vka__call_type(c, VKA__NORM_X, VKA_ROLE_X) | vka__call_type(c, VKA__NORM_D_OF_WEIGHT, VKA_ROLE_TABLE);
    return s->d_x_rows;
}

/* ---- plan ------------------------------------------------------------------------------------------------------ */

static void split_views(vka__call *c, bool last) {
    static const uint8_t rows[] = {VKA__NORM_X, VKA__NORM_D_OUT, VKA__NORM_D_X};
    uint32_t groups = vka__call_letter(c, 'G');
    for (size_t i = 0; i < sizeof rows; ++i)
        vka__groups_split(&c->view[rows[i]], groups, last);
    vka__groups_split_statistic(&c->view[VKA__NORM_D_MEAN]);
    vka__groups_split_statistic(&c->view[VKA__NORM_D_INVERSE]);
}

static bool plan_rows(vka__call *c, uint32_t group_rows) {
    const vka__view *x = &c->view[VKA__NORM_X];
    vka_norm_params *params = VKA__PARAMS(c, vka_norm_params);
    if (STATE(c)->kind.groups) {
        vka__groups_fill(c, VKA__NORM_D_OF_WEIGHT, vka__call_letter(c, 'C') / vka__call_letter(c, 'G'), params);
        return vka__groups_plan(c, group_rows);
    }
    params->weight_stride = (uint32_t)c->view[VKA__NORM_D_OF_WEIGHT].stride[3];
    params->cols = x->shape[3];
    params->epsilon = (float)c->number[VKA__NORM_EPSILON];
    return vka__rows_plan(c, VKA__NORM_X, 1, group_rows);
}

/* Which steps there are. */
static void choose_steps(vka__call *c, const vka__norm_backward_kind *kind) {
    vka__norm_backward_state *s = STATE(c);
    s->kind = *kind;
    s->empty = kind->groups ? !vka__call_letter(c, 'B') : !vka__volume(c->view[VKA__NORM_X].shape);
    bool weight = vka__call_has(c, VKA__NORM_D_WEIGHT);
    s->sums = (weight || vka__call_has(c, VKA__NORM_D_BIAS)) && !(s->empty && kind->accumulate);
    s->d_x = vka__call_has(c, VKA__NORM_D_X) && !s->empty;
    s->statistics = !vka__call_has(c, VKA__NORM_D_INVERSE) && (s->d_x || weight) && !s->empty;
}

bool vka__norm_backward_plan(vka__call *c, const vka__norm_backward_kind *kind) {
    vka__norm_backward_state *s = STATE(c);
    choose_steps(c, kind);
    const vka__view x = c->view[VKA__NORM_X], d_out = c->view[VKA__NORM_D_OUT];
    bool last = kind->groups && vka__groups_channels_last(&x);
    if (kind->groups)
        split_views(c, last);
    uint64_t bytes = s->statistics ? place_statistics(c) : 0;
    uint32_t group_rows = UINT32_MAX;
    if (s->d_x)
        group_rows = add_d_x_key(c, last);
    if (s->statistics)
        group_rows = vka__min_u32(group_rows, add_statistics_key(c, last));
    if (s->sums)
        vka__norm_columns_add_keys(c, &x, &d_out);
    if (!s->empty && !plan_rows(c, group_rows == UINT32_MAX ? 1 : group_rows))
        return false;
    s->boxes = (uint32_t)c->dispatches;
    if (s->sums && !vka__norm_columns_plan(c, bytes))
        return false;
    c->workspace_bytes = vka__max_u64(bytes, s->partials + s->partials_bytes);
    uint32_t steps = (s->statistics ? 1 : 0) + (s->sums ? 1 : 0) + (s->d_x ? 1 : 0);
    c->dispatches = (uint64_t)s->boxes * steps + (s->sums ? 1 : 0);
    return true;
}

/* ---- dispatches ------------------------------------------------------------------------------------------------ */

/* A step on rows, by one of the row kernels. */
static void dispatch_rows(const vka__call *c, uint64_t box, uint32_t key, uint32_t group_rows, uint32_t tensors,
                          vka__dispatch *out) {
    uint32_t begin[3], size[3];
    vka__rows rows = c->rows;
    rows.group = group_rows;
    vka__rows_at(&rows, box, begin, size, out);
    out->key = key;
    for (uint32_t i = 0; i < VKA__NORM_D_ARGS; ++i)
        if (tensors >> i & 1) {
            if (STATE(c)->kind.groups)
                vka__groups_bind(c, i, begin, size, out);
            else
                vka__call_bind_box(c, i, begin, size, out);
        }
}

#define STATISTICS (1u << VKA__NORM_D_MEAN | 1u << VKA__NORM_D_INVERSE)

static void dispatch_statistics(const vka__call *c, uint64_t box, vka__dispatch *out) {
    const vka__norm_backward_state *s = STATE(c);
    dispatch_rows(c, box, s->statistics_key, s->statistics_rows,
                  1u << VKA__NORM_X | 1u << VKA__NORM_D_RESIDUAL | STATISTICS, out);
    out->binding[VKA_BIND_STATS_INV].access = VKA__WRITE;
    if (!s->kind.rms)
        out->binding[VKA_BIND_STATS_MEAN].access = VKA__WRITE;
}

static void dispatch_d_x(const vka__call *c, uint64_t box, vka__dispatch *out) {
    const vka__norm_backward_state *s = STATE(c);
    dispatch_rows(c, box, s->d_x_key, s->d_x_rows, VKA__NORM_D_IN_PLACE | 1u << VKA__NORM_D_X | STATISTICS, out);
    vka__call_bind_whole(c, 1u << VKA__NORM_D_OF_WEIGHT, out);
}

void vka__norm_backward_dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const vka__norm_backward_state *s = STATE(c);
    if (s->statistics) {
        if (index < s->boxes) {
            dispatch_statistics(c, index, out);
            return;
        }
        index -= s->boxes;
    }
    if (s->sums) {
        if (index < s->boxes)
            vka__norm_columns_sums(c, index, out);
        else if (index == s->boxes)
            vka__norm_columns_reduce(c, out);
        if (index <= s->boxes)
            return;
        index -= s->boxes + 1;
    }
    dispatch_d_x(c, index, out);
}

void vka__norm_backward_explain(const vka__call *c, vka__text *text) {
    const vka__norm_backward_state *s = STATE(c);
    if (s->d_x) /* its pipeline is the first */
        vka__rows_explain(c, VKA__NORM_PATH, 8, text);
    vka__say(text, "statistics: %s\nparameters: %s\n", s->statistics ? "computed" : "given, or not needed",
             !s->sums  ? "no gradients"
             : s->runs ? "sums along positions"
                       : "sums of columns");
}
