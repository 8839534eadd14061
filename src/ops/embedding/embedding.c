/* vka_embedding: an operation on elements, but for where its rows come from. A table that no binding sees is cut into
 * ranges of rows, and each box of results goes through all of them. SPDX-License-Identifier: MIT */
#include <vkattn/embedding.h>

#include "ops/elementwise/elementwise.h"

enum { TABLE, OUT, IDS, POSITION, ARGS };
enum { MULTIPLIER, NUMBERS };

#define DESC(field)    offsetof(vka_embedding_desc, field)
#define STRIDES(field) offsetof(vka_elementwise_params, field)

static const vka__arg args[ARGS] = {
    [TABLE] = {"table", "V C", DESC(table), VKA__NONE, VKA__WEIGHTS, .flags = VKA__REQUIRED, .access = VKA__READ,
               .binding = VKA_BIND_FIRST, .extent = VKA__CUSTOM},
    [OUT] = {"out", "... C", DESC(out), STRIDES(out_), VKA__FLOATS, .flags = VKA__REQUIRED, .access = VKA__WRITE,
             .binding = VKA_BIND_RESULT},
    [IDS] = {"ids", "...", DESC(ids), STRIDES(third), VKA__TYPE(VKA_I32), .flags = VKA__REQUIRED | VKA__PER_ROW,
             .access = VKA__READ, .binding = VKA_BIND_THIRD},
    [POSITION] = {"position", NULL, DESC(position), STRIDES(second), VKA__FLOATS, .access = VKA__READ,
                  .binding = VKA_BIND_SECOND},
};
static const vka__number numbers[NUMBERS] = {
    [MULTIPLIER] = {"scale", DESC(scale), VKA__NUMBER_F32, true, -VKA__FINITE, VKA__FINITE, 1, NULL},
};

typedef struct state {
    uint32_t range, ranges; /* rows of the table that a dispatch sees, and how many such there are */
} state;

static vka_status check(vka__call *c) {
    vka_status status = vka__check_broadcast(c, POSITION, OUT);
    return status == VKA_OK ? vka__call_check_rows(c, OUT, c->view[OUT].shape) : status;
}

static bool plan(vka__call *c) {
    vka_elementwise_params *params = VKA__PARAMS(c, vka_elementwise_params);
    state *s = VKA__STATE(c, state);
    const vka__view *table = &c->view[TABLE];
    uint32_t part[3] = {1, 1, vka__max_u32(table->shape[2], 1)};
    if (!vka__cut_to_binding(c->caps, table, VKA__DIMS_ALL, part))
        return vka__refuse_span(c->caps, "table", "one row", &c->refusal);
    s->ranges = vka__div_up(vka__max_u32(table->shape[2], 1), part[2]);
    s->range = vka__div_up(table->shape[2], s->ranges);
    params->first = vka__box_strides(table, part);
    params->table = table->shape[2];
    params->scale = (float)c->number[MULTIPLIER];
    uint32_t flags =
        (c->number[MULTIPLIER] != 1 ? VKA_FLAG_AFFINE : 0) | (vka__call_has(c, POSITION) ? VKA_FLAG_POSITION : 0);
    bool fits = vka__elementwise_plan(c, VKA__embedding, OUT, vka__div_up(c->view[OUT].shape[3], 4), flags);
    c->dispatches *= s->ranges;
    return fits;
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const state *s = (const state *)(const void *)c->state;
    uint32_t first = (uint32_t)(index % s->ranges) * s->range;
    vka__rows_dispatch(c, index / s->ranges, out);
    out->push.y0 = first;
    out->push.z0 = vka__min_u32(s->range, c->view[TABLE].shape[2] - first);
    vka__call_bind_box(c, TABLE, (uint32_t[]){0, 0, first}, (uint32_t[]){1, 1, out->push.z0}, out);
}

static void explain(const vka__call *c, vka__text *text) {
    vka__elementwise_explain(c, text);
    vka__say(text, "table_parts: %u\n", ((const state *)(const void *)c->state)->ranges);
}

VKA__OPERATION(embedding, .params_size = sizeof(vka_elementwise_params), .state_size = sizeof(state), .check = check,
               .plan = plan, .dispatch = dispatch, .explain = explain);
