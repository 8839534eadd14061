/* Plans of linear layers: path, splits, and how large tensors are cut.
 * SPDX-License-Identifier: MIT */
#include "ops/linear/plan.h"

#include <string.h>

#include "op/switched_off.h"

/* ---- problems --------------------------------------------------------------------------------------------------- */

vka_status vka__linear_check_weight(const vka__call *c, uint32_t weight, uint32_t lead, uint32_t outputs,
                                    uint32_t columns) {
    const vka__arg *args = c->op->args;
    const char *field = args[weight].name;
    const vka__view *view = c->view;
    uint32_t rank = vka__call_tensor(c, weight)->rank, most = vka__call_tensor(c, lead)->rank;
    if (rank < 2 || (rank > 2 && rank > most))
        return vka__call_fail(c, VKA_INVALID, field, "rank is %u, but must be 2%s%s", rank,
                              most > 2 ? ", or up to that of " : "", most > 2 ? args[lead].name : "");
    for (uint32_t dim = 0; dim < 2; ++dim)
        if (view[weight].shape[dim] != 1 && view[weight].shape[dim] != view[lead].shape[dim])
            return vka__call_fail(c, VKA_INVALID, field, "shape[%u] is %u, but must be 1 or that of %s, %u",
                                  dim + rank - VKA_MAX_RANK, view[weight].shape[dim], args[lead].name,
                                  view[lead].shape[dim]);
    if (view[weight].shape[2] != view[outputs].shape[3])
        return vka__call_fail(c, VKA_INVALID, field, "shape[%u] is %u, but %s has N = %u", rank - 2,
                              view[weight].shape[2], args[outputs].name, view[outputs].shape[3]);
    if (view[weight].shape[3] != view[columns].shape[3])
        return vka__call_fail(c, VKA_INVALID, field, "shape[%u] is %u, but %s has K = %u", rank - 1,
                              view[weight].shape[3], args[columns].name, view[columns].shape[3]);
    return VKA_OK;
}

bool vka__linear_can_merge(const vka__view *v, uint32_t dim) {
    return !v->present || v->shape[dim] <= 1 || v->shape[2] <= 1 || v->stride[dim] == v->shape[2] * v->stride[2];
}

void vka__linear_merge(vka__view *v, uint32_t dim) {
    v->stride[2] = v->shape[2] > 1 ? v->stride[2] : v->stride[dim];
    v->shape[2] *= v->shape[dim];
    v->shape[dim] = 1;
    v->stride[dim] = 0;
}

/* Entries of dimension `dim` become rows, if rows of all tensors lie as evenly as those of one dimension, and the
 * weights are the same. */
static void merge_rows(vka__linear_problem *p, uint32_t dim) {
    static const uint32_t with_rows[] = {VKA__LINEAR_X, VKA__LINEAR_RESIDUAL, VKA__LINEAR_OUT};
    bool merges = p->view[VKA__LINEAR_WEIGHT].shape[dim] == 1;
    for (uint32_t i = 0; i < 3; ++i)
        merges = merges && vka__linear_can_merge(&p->view[with_rows[i]], dim);
    for (uint32_t i = 0; i < 3 && merges; ++i)
        vka__linear_merge(&p->view[with_rows[i]], dim);
}

/* What all calls take themselves for whose results must not depend on how many rows there are. */
#define MANY_ROWS (1u << 20)

void vka__linear_measure(vka__linear_problem *p, vka_determinism determinism) {
    merge_rows(p, 1);
    if (p->view[VKA__LINEAR_X].shape[1] == 1)
        merge_rows(p, 0);
    p->batch[0] = p->view[VKA__LINEAR_X].shape[0];
    p->batch[1] = p->view[VKA__LINEAR_X].shape[1];
    p->rows = p->view[VKA__LINEAR_X].shape[2];
    p->outputs = p->view[VKA__LINEAR_OUT].shape[3];
    p->columns = p->view[VKA__LINEAR_X].shape[3];
    p->batch_invariant = determinism == VKA_DETERMINISM_BATCH;
    p->choice_rows = p->batch_invariant ? MANY_ROWS : p->rows;
}

/* ---- paths ------------------------------------------------------------------------------------------------------ */

static const vka__path *const table[] = {
    [VKA_LINEAR_PATH_VECTOR] = &vka__linear_path_vector.path,
    [VKA_LINEAR_PATH_TILE] = &vka__linear_path_tile.path,
    [VKA_LINEAR_PATH_COOPMAT] = &vka__linear_path_coopmat.path,
    [VKA_LINEAR_PATH_ROW] = &vka__linear_path_row.path,
    [VKA_LINEAR_PATH_DOT] = &vka__linear_path_dot.path,
    [VKA_LINEAR_PATH_COOPMAT2] = &vka__linear_path_coopmat2.path,
};

static const vka__linear_path *linear_path(uint32_t path) {
    return (const vka__linear_path *)(const void *)table[path];
}

static const vka__path_rule rules[] = {
    {true, 8, VKA_LINEAR_PATH_VECTOR, "few rows: weights are read once"},
    {true, VKA__ANY_ROWS, VKA_LINEAR_PATH_ROW, "software driver: broadcasts, no barriers"},
    {true, VKA__ANY_ROWS, VKA_LINEAR_PATH_TILE, "software driver without subgroups of known width"},
    {false, 8, VKA_LINEAR_PATH_VECTOR, "few rows: weights are read once"},
    {false, VKA__ANY_ROWS, VKA_LINEAR_PATH_COOPMAT2, "f16 and matrices of a workgroup"},
    {false, VKA__ANY_ROWS, VKA_LINEAR_PATH_COOPMAT, "cooperative matrices of this type"},
    {false, VKA__ANY_ROWS, VKA_LINEAR_PATH_DOT, "f16 and an instruction for dot products of pairs"},
    {false, VKA__ANY_ROWS, VKA_LINEAR_PATH_TILE, "GPU: operands staged in shared memory"},
    {false, VKA__ANY_ROWS, VKA_LINEAR_PATH_VECTOR, "no tile fits this device's shared memory"},
};

static void say_problem(const void *problem, vka__text *text) {
    const vka__linear_problem *p = problem;
    vka__say(text, "%u rows of %u columns", p->rows, p->columns);
}

static uint32_t kernel_of(const vka_device_caps *caps, const void *problem, uint32_t path, const vka__tile *tile) {
    vka__linear_plan plan = {0};
    linear_path(path)->fill(caps, problem, tile, &plan);
    return plan.main.kernel;
}

const vka__paths vka__linear_paths = {
    .path = table,
    .path_count = sizeof table / sizeof *table,
    .rules = rules,
    .rule_count = sizeof rules / sizeof *rules,
    .tuning = {.list = "linear",
               .size = {{"rows", "rows_above", true},
                        {"outputs", "outputs_above", true},
                        {"columns", "columns_above", true}},
               .br = "row_tile",
               .bc = "output_tile",
               .rm = "rows_per_invocation",
               .tc = "team"},
    .say_problem = say_problem,
    .field = "x",
    .kernel = kernel_of,
};

bool vka__linear_is_wide(const vka__view *v) {
    bool ok = vka__view_vec4(v) && v->shape[3] % 8 == 0 && v->offset % 16 == 0;
    for (uint32_t i = 0; i < 3; ++i)
        ok = ok && v->stride[i] * v->size % 16 == 0;
    return ok;
}

static uint32_t flags_of(const vka__linear_problem *p) {
    const vka__view *v = p->view;
    uint32_t flags = (uint32_t)p->activation << VKA_ACT_SHIFT;
    flags |= vka__view_vec4(&v[VKA__LINEAR_X]) ? VKA_LINEAR_X_VEC4 : 0;
    flags |= vka__linear_is_wide(&v[VKA__LINEAR_X]) ? VKA_LINEAR_X_VEC8 : 0;
    flags |= vka__view_vec4(&v[VKA__LINEAR_WEIGHT]) ? VKA_LINEAR_WEIGHT_VEC4 : 0;
    flags |= vka__linear_is_wide(&v[VKA__LINEAR_WEIGHT]) ? VKA_LINEAR_WEIGHT_VEC8 : 0;
    flags |= v[VKA__LINEAR_BIAS].present ? VKA_LINEAR_BIAS : 0;
    flags |= v[VKA__LINEAR_RESIDUAL].present ? VKA_LINEAR_RESIDUAL : 0;
    return flags;
}

/* Outputs are vectors where every dispatch begins with a whole one. */
static uint32_t output_flags(const vka__linear_problem *p, uint32_t outputs) {
    const vka__view *v = p->view;
    if (outputs % 4 && outputs < p->outputs)
        return 0;
    return (vka__view_vec4(&v[VKA__LINEAR_OUT]) ? VKA_LINEAR_OUT_VEC4 : 0) |
           (vka__view_vec4(&v[VKA__LINEAR_RESIDUAL]) ? VKA_LINEAR_RESIDUAL_VEC4 : 0) |
           (vka__view_vec4(&v[VKA__LINEAR_BIAS]) ? VKA_LINEAR_BIAS_VEC4 : 0);
}

static uint32_t types_of(const vka__linear_problem *p) {
    static const uint32_t roles[VKA__LINEAR_ARGS] = {VKA_ROLE_X, VKA_ROLE_WEIGHT, VKA_ROLE_BIAS, VKA_ROLE_RESIDUAL,
                                                     VKA_ROLE_OUT};
    uint32_t types = 0;
    for (uint32_t i = 0; i < VKA__LINEAR_ARGS; ++i)
        types |= (p->view[i].present ? (uint32_t)p->view[i].dtype : 0) << 4 * roles[i];
    return types;
}

/* ---- cutting ---------------------------------------------------------------------------------------------------- */

/* Shortens the range of outputs until one row of it fits a binding. */
static bool cut_row(const vka_device_caps *caps, const vka__view *v, uint32_t *outputs) {
    if (!v->present)
        return true;
    uint64_t most = vka__binding_elements(caps, v), step = vka__max_u64(v->stride[3], 1);
    if ((uint64_t)(*outputs - 1) * step + 1 > most)
        *outputs = most ? (uint32_t)((most - 1) / step + 1) : 0;
    return *outputs;
}

static bool cut_to_bindings(const vka_device_caps *caps, const vka__linear_problem *p, uint32_t part[VKA__LINEAR_DIMS],
                            vka__refusal *refusal) {
    const vka__view *v = p->view;
    uint32_t of_weights[3] = {part[0], part[1], part[3]};
    if (!vka__cut_to_binding(caps, &v[VKA__LINEAR_WEIGHT], VKA__DIMS_ALL, of_weights))
        return vka__refuse_span(caps, "weight", "one row", refusal);
    part[0] = of_weights[0];
    part[1] = of_weights[1];
    part[3] = of_weights[2];
    if (!cut_row(caps, &v[VKA__LINEAR_OUT], &part[3]) || !cut_row(caps, &v[VKA__LINEAR_RESIDUAL], &part[3]) ||
        !cut_row(caps, &v[VKA__LINEAR_BIAS], &part[3]))
        return vka__refuse_span(caps, "out", "one element", refusal);
    if (!vka__cut_to_binding(caps, &v[VKA__LINEAR_X], VKA__DIMS_ALL, part))
        return vka__refuse_span(caps, "x", "one row", refusal);
    for (uint32_t arg = VKA__LINEAR_RESIDUAL; arg <= VKA__LINEAR_OUT; ++arg) {
        vka__view narrow = v[arg];
        narrow.shape[3] = part[3];
        if (narrow.present && !vka__cut_to_binding(caps, &narrow, VKA__DIMS_ALL, part))
            return vka__refuse_span(caps, arg == VKA__LINEAR_OUT ? "out" : "residual", "one row", refusal);
    }
    return true;
}

/* Whole tiles, as even as they come. */
static void even_out(uint32_t size, uint32_t tile, uint32_t *part, uint32_t *parts) {
    if (*part<size && * part> tile)
        *part -= *part % tile;
    *parts = vka__div_up(size, *part);
    if (*parts > 1) {
        uint32_t even = vka__div_up(size, *parts);
        *part = vka__min_u32(*part, vka__round_up(even, *part > tile ? tile : 1));
        *parts = vka__div_up(size, *part);
    }
}

/* A grid's third dimension has batches and splits; the reduction's second one has rows. */
static void cut_to_grid(const vka_device_caps *caps, const vka__linear_plan *plan, uint32_t columns,
                        uint32_t part[VKA__LINEAR_DIMS]) {
    const vka__tile *t = &plan->choice.tile;
    const uint32_t *most = caps->max_groups;
    part[3] = (uint32_t)vka__min_u64(part[3], (uint64_t)most[0] * t->bc);
    part[2] = (uint32_t)vka__min_u64(part[2], (uint64_t)most[1] * t->br);
    part[1] = vka__min_u32(part[1], most[2]);
    part[0] = vka__min_u32(part[0], vka__max_u32(most[2] / part[1], 1));
    /* Work: batches first, then rows, then outputs. */
    uint64_t ops = vka__dispatch_ops(caps) / (2 * (uint64_t)vka__max_u32(columns, 1));
    uint64_t tile = (uint64_t)t->br * t->bc;
    for (uint32_t dim = 0; dim < VKA__LINEAR_DIMS; ++dim) {
        uint64_t rest = 1;
        for (uint32_t other = 0; other < VKA__LINEAR_DIMS; ++other)
            rest *= other == dim ? 1 : part[other];
        if (rest * part[dim] > vka__max_u64(ops, tile))
            part[dim] = (uint32_t)vka__min_u64(part[dim], vka__max_u64(ops / rest, 1));
    }
}

static bool cut(const vka_device_caps *caps, const vka__linear_problem *p, vka__linear_plan *plan,
                vka__refusal *refusal) {
    const vka__tile *t = &plan->choice.tile;
    const uint32_t size[] = {p->batch[0], p->batch[1], p->rows, p->outputs}, tile[] = {1, 1, t->br, t->bc};
    memcpy(plan->size, size, sizeof size);
    memcpy(plan->part, size, sizeof size);
    if (!cut_to_bindings(caps, p, plan->part, refusal))
        return false;
    cut_to_grid(caps, plan, p->columns, plan->part);
    for (uint32_t dim = 0; dim < VKA__LINEAR_DIMS; ++dim)
        even_out(size[dim], tile[dim], &plan->part[dim], &plan->parts[dim]);
    return true;
}

static uint64_t boxes(const vka__linear_plan *plan) {
    return vka__volume(plan->parts) * plan->parts[VKA__LINEAR_OUTPUTS];
}

/* ---- splits ----------------------------------------------------------------------------------------------------- */

#define SPLIT_STEP 64

/* Columns that repay a split. */
static uint32_t least_columns(const vka_device_caps *caps) {
    return caps->type == VKA_DEVICE_CPU ? 2048 : 512;
}

static uint64_t workspace_bytes(const vka__linear_plan *plan, uint32_t splits) {
    return 16 * vka__volume(plan->part) * vka__div_up(plan->part[VKA__LINEAR_OUTPUTS], 4) * splits;
}

/* Splits are worth their second dispatch where the grid alone leaves the device idle. Nobody tells how many invocations
 * that takes, so the targets are by class, as those of attention: some hundred subgroups on a large GPU. */
static uint32_t choose_splits(const vka_device_caps *caps, const vka__linear_problem *p, const vka__linear_plan *plan) {
    const vka__tile *t = &plan->choice.tile;
    if (p->splits || p->batch_invariant)
        return vka__max_u32(p->splits, 1);
    uint64_t groups =
        (uint64_t)p->batch[0] * p->batch[1] * vka__div_up(p->rows, t->br) * vka__div_up(p->outputs, t->bc);
    uint32_t target = caps->type == VKA_DEVICE_CPU ? 32 : caps->type == VKA_DEVICE_DISCRETE ? 32768 : 4096;
    target = vka__max_u32(target / plan->main.spec[VKA_SPEC_GROUP_SIZE], 1);
    target = plan->choice.workgroups ? plan->choice.workgroups : target;
    uint64_t wanted = vka__min_u64(target / groups, p->columns / least_columns(caps));
    return (uint32_t)vka__min_u64(vka__max_u64(wanted, 1), VKA__LINEAR_MAX_SPLITS);
}

static bool split(const vka_device_caps *caps, const vka__linear_problem *p, vka__linear_plan *plan,
                  vka__refusal *refusal) {
    vka_linear_params *params = &plan->params;
    uint32_t splits = choose_splits(caps, p, plan);
    /* Tensors that are cut keep the device busy, and the workspace must fit a binding and the reduction a grid. */
    bool fits = boxes(plan) == 1 && vka__align_up(workspace_bytes(plan, splits), 256) <= caps->storage_range &&
                plan->part[VKA__LINEAR_ROWS] <= caps->max_groups[1] &&
                (uint64_t)plan->part[0] * plan->part[1] * splits <= caps->max_groups[2];
    fits = fits && !vka__is_switched_off(caps, VKA__linear_reduce);
    if (!fits && p->batch_invariant && splits > 1)
        return vka__refuse(refusal, "splits",
                           "is %u, but so many rows are cut, or their partial results exceed what a binding sees, and "
                           "VKA_DETERMINISM_BATCH leaves no other number",
                           splits);
    splits = fits ? splits : 1;
    params->split_k = vka__round_up(vka__max_u32(vka__div_up(p->columns, splits), 1), SPLIT_STEP);
    params->splits = vka__max_u32(vka__div_up(p->columns, params->split_k), 1);
    if (params->splits == 1)
        return true;
    plan->workspace_bytes = vka__align_up(workspace_bytes(plan, params->splits), 256);
    plan->reduce.kernel = VKA__linear_reduce;
    plan->reduce.spec[VKA_SPEC_GROUP_SIZE] = vka__group_size(caps, caps->type == VKA_DEVICE_CPU ? 8 : 64);
    plan->reduce.spec[VKA_SPEC_TYPES] = plan->main.spec[VKA_SPEC_TYPES];
    plan->reduce.spec[VKA_SPEC_FLAGS] = plan->main.spec[VKA_SPEC_FLAGS];
    plan->main.spec[VKA_SPEC_FLAGS] = (plan->main.spec[VKA_SPEC_FLAGS] & VKA_LINEAR_INPUTS) | VKA_LINEAR_SPLIT;
    return true;
}

/* ---- the plan --------------------------------------------------------------------------------------------------- */

static void fill(const vka_device_caps *caps, const vka__linear_problem *p, vka__linear_plan *plan) {
    const vka__tile *t = &plan->choice.tile;
    uint32_t *spec = plan->main.spec;
    linear_path(plan->choice.path)->fill(caps, p, t, plan);
    spec[VKA_SPEC_BR] = t->br;
    spec[VKA_SPEC_BC] = t->bc;
    spec[VKA_SPEC_RM] = t->rm;
    spec[VKA_SPEC_TC] = t->tc;
    spec[VKA_SPEC_TYPES] = types_of(p);
    spec[VKA_SPEC_FLAGS] |= flags_of(p) | output_flags(p, plan->part[VKA__LINEAR_OUTPUTS]);
}

static void fill_params(const vka__linear_problem *p, vka__linear_plan *plan) {
    const uint32_t *part = plan->part, of_weights[3] = {part[0], part[1], part[3]};
    vka_linear_params *params = &plan->params;
    params->x = vka__box_strides(&p->view[VKA__LINEAR_X], part);
    params->weight = vka__box_strides(&p->view[VKA__LINEAR_WEIGHT], of_weights);
    params->residual = vka__box_strides(&p->view[VKA__LINEAR_RESIDUAL], part);
    params->out_ = vka__box_strides(&p->view[VKA__LINEAR_OUT], part);
    params->bias_stride = (uint32_t)p->view[VKA__LINEAR_BIAS].stride[3];
    params->k = p->columns;
}

bool vka__plan_linear(const vka_device_caps *caps, const vka__linear_problem *p, vka__linear_plan *plan,
                      vka__refusal *refusal) {
    const vka__path_query query = {
        .caps = caps,
        .problem = p,
        .path = p->path,
        .tile = p->tile,
        .rows = p->choice_rows,
        .tuning = p->tuning,
        .in = {p->view[VKA__LINEAR_WEIGHT].dtype, {p->choice_rows, p->outputs, p->columns}},
    };
    *plan = (vka__linear_plan){0};
    if (!vka__path_choose(&vka__linear_paths, &query, &plan->choice, refusal) || !cut(caps, p, plan, refusal))
        return false;
    fill(caps, p, plan);
    fill_params(p, plan);
    return split(caps, p, plan, refusal);
}

/* ---- dispatches ------------------------------------------------------------------------------------------------- */

uint64_t vka__linear_dispatches(const vka__linear_plan *plan) {
    return plan->params.splits > 1 ? 2 : boxes(plan);
}

/* Binds the part of a tensor that a box has: rows, or outputs, lie in dimension 2 and elements in 3. */
static void bind_part(const vka_device_caps *caps, const vka__view *view, const uint32_t begin[4],
                      const uint32_t size[4], uint32_t binding, vka__access access, vka__dispatch *out) {
    vka__view box = *view;
    uint64_t first = 0;
    if (!view->present)
        return;
    for (uint32_t dim = 0; dim < 4; ++dim) {
        first += begin[dim] * view->stride[dim];
        box.shape[dim] = size[dim];
    }
    out->binding[binding] = vka__bind(caps, &box, first, vka__view_extent(&box, 0), access, &out->push.base[binding]);
}

void vka__linear_dispatch(const vka_device_caps *caps, const vka__linear_problem *p, const vka__linear_plan *plan,
                          uint64_t index, vka__dispatch *out) {
    const vka__view *v = p->view;
    bool reduces = plan->params.splits > 1 && index == 1, splits = plan->params.splits > 1 && !reduces;
    uint32_t begin[4], size[4];
    uint64_t rest = splits || reduces ? 0 : index;
    for (uint32_t dim = 4; dim-- > 0; rest /= plan->parts[dim]) {
        begin[dim] = (uint32_t)(rest % plan->parts[dim]) * plan->part[dim];
        size[dim] = vka__min_u32(plan->part[dim], plan->size[dim] - begin[dim]);
    }
    const vka__tile *t = &plan->choice.tile;
    uint32_t batches = size[0] * size[1];
    out->key = reduces;
    out->push.rows = size[2];
    out->push.dim1 = size[3];
    out->push.dim2 = size[1];
    out->push.b0 = batches;
    out->group_ops = reduces ? 0 : 2 * (uint64_t)t->br * t->bc * vka__min_u32(plan->params.split_k, p->columns);
    out->groups[0] = reduces ? vka__div_up(vka__div_up(size[3], 4), plan->reduce.spec[VKA_SPEC_GROUP_SIZE])
                             : vka__div_up(size[3], t->bc);
    out->groups[1] = reduces ? size[2] : vka__div_up(size[2], t->br);
    out->groups[2] = batches * (reduces ? 1 : plan->params.splits);
    if (!reduces) {
        const uint32_t x_begin[4] = {begin[0], begin[1], begin[2], 0},
                       x_size[4] = {size[0], size[1], size[2], p->columns};
        const uint32_t w_begin[4] = {begin[0], begin[1], begin[3], 0},
                       w_size[4] = {size[0], size[1], size[3], p->columns};
        bind_part(caps, &v[VKA__LINEAR_X], x_begin, x_size, VKA_BIND_X, VKA__READ, out);
        bind_part(caps, &v[VKA__LINEAR_WEIGHT], w_begin, w_size, VKA_BIND_LINEAR_WEIGHT, VKA__READ, out);
    }
    if (!splits) {
        const uint32_t bias_begin[4] = {0, 0, 0, begin[3]}, bias_size[4] = {1, 1, 1, size[3]};
        bind_part(caps, &v[VKA__LINEAR_BIAS], bias_begin, bias_size, VKA_BIND_LINEAR_BIAS, VKA__READ, out);
        bind_part(caps, &v[VKA__LINEAR_RESIDUAL], begin, size, VKA_BIND_LINEAR_RESIDUAL, VKA__READ, out);
        bind_part(caps, &v[VKA__LINEAR_OUT], begin, size, VKA_BIND_LINEAR_OUT, VKA__WRITE, out);
    }
    if (splits || reduces)
        out->binding[VKA_BIND_LINEAR_WORKSPACE] = (vka__binding){
            .access = splits ? VKA__WRITE : VKA__READ, .source = VKA__SOURCE_WORKSPACE, .range = plan->workspace_bytes};
}
