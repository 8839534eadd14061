/* vka_embedding_backward: ids are sorted by counting, each row of the table sums its own, and a sum over dimensions
 * makes the gradient of positions. SPDX-License-Identifier: MIT */
#include <vkattn/embedding.h>

#include "ops/elementwise/elementwise.h"
#include "ops/elementwise/sum.h"
#include "ops/lsh/blocks.h"
#include "params/embedding_backward.h"

enum { D_OUT, IDS, D_TABLE, D_POSITION, ARGS };
enum { MULTIPLIER, TABLE_ROWS, NUMBERS };
enum { BUCKETS, OFFSETS, PLACE, GATHER, SUM, STEPS };

#define DESC(field) offsetof(vka_embedding_backward_desc, field)

static const vka__arg args[ARGS] = {
    [D_OUT] = {"d_out", "... C", DESC(d_out), VKA__NONE, VKA__FLOATS, .flags = VKA__REQUIRED, .access = VKA__READ,
               .binding = VKA_BIND_FIRST, .extent = VKA__ALL},
    [IDS] = {"ids", "...", DESC(ids), VKA__NONE, VKA__TYPE(VKA_I32), .flags = VKA__REQUIRED | VKA__PER_ROW,
             .access = VKA__READ, .binding = VKA_BIND_X, .extent = VKA__ALL},
    [D_TABLE] = {"d_table", "V C", DESC(d_table), VKA__NONE, VKA__FLOATS, .access = VKA__READ_WRITE,
                 .binding = VKA_BIND_RESULT, .extent = VKA__CUSTOM},
    [D_POSITION] = {"d_position", NULL, DESC(d_position), VKA__NONE, VKA__FLOATS, .access = VKA__READ_WRITE,
                    .binding = VKA_BIND_RESULT, .extent = VKA__ALL},
};
static const vka__number numbers[NUMBERS] = {
    [MULTIPLIER] = {"scale", DESC(scale), VKA__NUMBER_F32, true, -VKA__FINITE, VKA__FINITE, 1, NULL},
    [TABLE_ROWS] = {"table_rows", DESC(table_rows), VKA__NUMBER_U32, false, 0, UINT32_MAX, 0, NULL},
};

typedef union block {
    vka_lsh_params sort;
    vka_embedding_backward_params gather;
    vka_sum_params sum;
} block;
/* The sort's steps share one, the second dispatch of a sum has its own. */
enum { SORT_BLOCK, GATHER_BLOCK, SUM_BLOCK, SUM_PARTS_BLOCK, BLOCKS };

typedef struct state {
    uint32_t key[STEPS];
    uint64_t dispatches[STEPS];
    uint64_t order; /* where in the workspace, behind the sort's scratch memory, the order lies */
    uint64_t order_bytes;
    vka__rows rows; /* of the table */
    vka__sum sum;
} state;

static const state *state_of(const vka__call *c) {
    return (const state *)(const void *)c->state;
}

static vka_status check(vka__call *c) {
    if (!vka__call_has(c, D_TABLE) && !vka__call_has(c, D_POSITION))
        return vka__call_fail(c, VKA_INVALID, "d_table", "is absent, and so is d_position: there is no result");
    if (!vka__call_has(c, D_TABLE) && c->number[TABLE_ROWS] == 0)
        return vka__call_fail(c, VKA_INVALID, "table_rows", "is required without d_table");
    if (vka__call_has(c, D_TABLE) && c->number[TABLE_ROWS] != 0 && c->number[TABLE_ROWS] != c->view[D_TABLE].shape[2])
        return vka__call_fail(c, VKA_INVALID, "table_rows", "is %.0f, but d_table has V = %u", c->number[TABLE_ROWS],
                              c->view[D_TABLE].shape[2]);
    if (vka__call_has(c, D_TABLE) && c->view[D_TABLE].shape[2] == UINT32_MAX)
        return vka__call_fail(c, VKA_UNSUPPORTED, "d_table", "has more than 2^32 - 2 rows");
    vka_status status = vka__check_broadcast(c, D_POSITION, D_OUT);
    return status == VKA_OK ? vka__call_check_rows(c, D_OUT, c->view[D_OUT].shape) : status;
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

static void add_key(vka__call *c, int step, vka__kernel kernel, uint32_t cpu, uint32_t gpu) {
    state *s = VKA__STATE(c, state);
    s->key[step] = c->key_count;
    s->dispatches[step] = 1;
    vka__call_add_key(c, kernel, vka__group_size(c->caps, c->caps->type == VKA_DEVICE_CPU ? cpu : gpu));
}

static bool plan_sort(vka__call *c) {
    state *s = VKA__STATE(c, state);
    const vka__view *ids = &c->view[IDS];
    vka_lsh_params *p = &VKA__PARAMS_AT(c, block, SORT_BLOCK)->sort;
    uint32_t rows = c->view[D_TABLE].shape[2];
    p->tokens = (uint32_t)vka__volume(ids->shape);
    p->dim = rows;
    p->x = vka__box_strides(ids, ids->shape);
    p->permutation.d = 1;
    vka__lsh_choose_blocks(p, vka__max_u32(p->tokens, 1), rows + 1);
    uint64_t counts = (uint64_t)p->blocks * p->buckets;
    p->ws_buckets = (uint32_t)counts;
    s->order = vka__align_up(4 * (counts + p->tokens), 256);
    s->order_bytes = vka__align_up(4 * (uint64_t)p->tokens, 256);
    if (s->order > vka__min_u64(c->caps->storage_range, UINT64_C(1) << 32))
        return vka__refuse_span(c->caps, "workspace", "the counts of the table's rows", &c->refusal);
    add_key(c, BUCKETS, VKA__embedding_buckets, 16, VKA__BLOCK_TOKENS);
    add_key(c, OFFSETS, VKA__lsh_offsets, 16, VKA__BLOCK_TOKENS);
    add_key(c, PLACE, VKA__lsh_place, 32, VKA__BLOCK_TOKENS);
    c->workspace_bytes = s->order + s->order_bytes;
    return true;
}

static bool plan_gather(vka__call *c) {
    state *s = VKA__STATE(c, state);
    const vka__view *table = &c->view[D_TABLE], *d_out = &c->view[D_OUT];
    const vka_lsh_params *sort = &VKA__PARAMS_AT(c, block, SORT_BLOCK)->sort;
    vka_embedding_backward_params *p = &VKA__PARAMS_AT(c, block, GATHER_BLOCK)->gather;
    uint32_t group = vka__elementwise_group(c->caps);
    p->cols = d_out->shape[3];
    p->units = vka__elementwise_units(c->caps, vka__div_up(p->cols, 4));
    p->dim1 = d_out->shape[1];
    p->dim2 = d_out->shape[2];
    p->ends = (sort->blocks - 1) * sort->buckets;
    p->scale = (float)c->number[MULTIPLIER];
    s->rows = vka__rows_of(table->shape, p->units, group);
    if (!vka__cut_to_binding(c->caps, table, VKA__DIMS_ALL, s->rows.part))
        return vka__refuse_span(c->caps, "d_table", "one row", &c->refusal);
    vka__rows_cut(c->caps, &s->rows);
    p->d_out = vka__box_strides(d_out, d_out->shape);
    p->out_ = vka__box_strides(table, s->rows.part);
    s->key[GATHER] = c->key_count;
    s->dispatches[GATHER] = vka__volume(s->rows.parts);
    vka__pipeline_key *key = vka__call_add_key(c, VKA__embedding_backward, group);
    key->spec[VKA_SPEC_TYPES] = vka__call_type(c, D_OUT, VKA_ROLE_FIRST) | vka__call_type(c, D_TABLE, VKA_ROLE_OUT);
    key->spec[VKA_SPEC_FLAGS] = (vka__view_vec4(d_out) ? VKA_FLAG_X_VEC4 : 0) |
                                (vka__view_vec4(table) ? VKA_FLAG_VEC4 : 0) |
                                (VKA__DESC(c, vka_embedding_backward_desc)->accumulate ? VKA_FLAG_ADD_TABLE : 0);
    return true;
}

static bool plan_sum(vka__call *c) {
    state *s = VKA__STATE(c, state);
    s->sum = (vka__sum){
        .field = "d_out",
        .out_field = "d_position",
        .x = c->view[D_OUT],
        .out = c->view[D_POSITION],
        .ids = c->view[IDS],
        .table = vka__call_has(c, D_TABLE) ? c->view[D_TABLE].shape[2] : (uint32_t)c->number[TABLE_ROWS],
        .accumulate = VKA__DESC(c, vka_embedding_backward_desc)->accumulate,
        .workspace = c->workspace_bytes,
    };
    if (!vka__sum_plan(c, &s->sum, &VKA__PARAMS_AT(c, block, SUM_BLOCK)->sum,
                       &VKA__PARAMS_AT(c, block, SUM_PARTS_BLOCK)->sum))
        return false;
    s->dispatches[SUM] = vka__sum_dispatches(&s->sum);
    c->workspace_bytes += s->sum.workspace_bytes;
    return true;
}

static bool plan(vka__call *c) {
    state *s = VKA__STATE(c, state);
    if (!vka__sees_all(c->caps, &c->view[D_OUT], "d_out", &c->refusal) ||
        !vka__sees_all(c->caps, &c->view[IDS], "ids", &c->refusal))
        return false;
    if (vka__volume(c->view[D_TABLE].shape) && c->view[D_TABLE].shape[3] && (!plan_sort(c) || !plan_gather(c)))
        return false;
    if (vka__call_has(c, D_POSITION) && !plan_sum(c))
        return false;
    for (int i = 0; i < STEPS; ++i)
        c->dispatches += s->dispatches[i];
    return true;
}

/* ---- dispatches ------------------------------------------------------------------------------------------------- */

static void dispatch_sort(const vka__call *c, int step, vka__dispatch *out) {
    const state *s = state_of(c);
    const vka_lsh_params *p = (const vka_lsh_params *)(const void *)c->params;
    out->binding[VKA_BIND_SCRATCH] =
        (vka__binding){.access = VKA__READ_WRITE, .source = VKA__SOURCE_WORKSPACE, .range = s->order};
    if (step == PLACE && s->order_bytes)
        out->binding[VKA_BIND_SORTED] = (vka__binding){
            .access = VKA__WRITE, .source = VKA__SOURCE_WORKSPACE, .offset = s->order, .range = s->order_bytes};
    if (step == BUCKETS)
        vka__bind_all(c->caps, &c->view[IDS], VKA_BIND_X, VKA__READ, out);
    out->params = SORT_BLOCK;
    out->push.dim1 = step == BUCKETS ? vka__max_u32(c->view[IDS].shape[1], 1) : 1;
    out->push.dim2 = step == BUCKETS ? vka__max_u32(c->view[IDS].shape[2], 1) : 1;
    out->groups[0] = step == OFFSETS ? 1 : p->blocks;
    out->groups[1] = out->groups[2] = 1;
}

static void dispatch_gather(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const state *s = state_of(c);
    uint32_t begin[3], size[3];
    vka__rows_at(&s->rows, index, begin, size, out);
    vka__call_bind_box(c, D_TABLE, begin, size, out);
    vka__bind_all(c->caps, &c->view[D_OUT], VKA_BIND_FIRST, VKA__READ, out);
    out->binding[VKA_BIND_ENDS] =
        (vka__binding){.access = VKA__READ, .source = VKA__SOURCE_WORKSPACE, .range = s->order};
    if (s->order_bytes)
        out->binding[VKA_BIND_ORDER] = (vka__binding){
            .access = VKA__READ, .source = VKA__SOURCE_WORKSPACE, .offset = s->order, .range = s->order_bytes};
    out->params = GATHER_BLOCK;
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const state *s = state_of(c);
    int step = BUCKETS;
    for (; index >= s->dispatches[step]; ++step)
        index -= s->dispatches[step];
    if (step == SUM) {
        vka__sum_dispatch(c, &s->sum, index, out);
        out->params = SUM_BLOCK + (uint32_t)index;
        return;
    }
    if (step == GATHER)
        dispatch_gather(c, index, out);
    else
        dispatch_sort(c, step, out);
    out->key = s->key[step];
}

static void explain(const vka__call *c, vka__text *text) {
    const state *s = state_of(c);
    const vka_lsh_params *p = (const vka_lsh_params *)(const void *)c->params;
    vka__say(text, "blocks_of_ids: %u\ntable_parts: %llu\nparts_of_position_sums: %u\n", p->blocks,
             (unsigned long long)s->dispatches[GATHER], s->sum.parts);
}

VKA__OPERATION(embedding_backward, .params_size = sizeof(block), .param_blocks = BLOCKS, .state_size = sizeof(state),
               .workspace = DESC(workspace), .check = check, .plan = plan, .dispatch = dispatch, .explain = explain);
