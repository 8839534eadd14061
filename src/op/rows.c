/* Operations on rows: a dispatch does a box of them.
 * SPDX-License-Identifier: MIT */
#include "op/op.h"

#include <string.h>

bool vka__rows_plan(vka__call *c, uint32_t arg, uint32_t units, uint32_t group) {
    const vka__op *op = c->op;
    vka__rows *r = &c->rows;
    memcpy(r->shape, c->view[arg].shape, sizeof r->shape);
    memcpy(r->part, r->shape, sizeof r->part);
    r->units = units;
    r->group = group;
    if (!vka__volume(r->shape))
        return true;
    for (uint32_t i = 0; i < op->arg_count; ++i) {
        const vka__arg *a = &op->args[i];
        const vka__view *v = &c->view[i];
        if (v->present && a->extent == VKA__BOX && !vka__cut_to_binding(c->caps, v, VKA__DIMS_ALL, r->part))
            return vka__refuse_span(c->caps, a->name, "one row", &c->refusal);
        if (a->extent == VKA__ALL && !vka__sees_all(c->caps, v, a->name, &c->refusal))
            return false;
    }
    vka__even_out(r->shape, r->part, r->parts);
    vka__cut_to_grid(vka__min_u64((uint64_t)c->caps->max_groups[0] * group, UINT32_MAX) / units, r->part);
    vka__even_out(r->shape, r->part, r->parts);
    for (uint32_t i = 0; i < op->arg_count; ++i)
        if (op->args[i].strides != VKA__NONE)
            *(vka_strides *)(void *)(c->params + op->args[i].strides) = vka__box_strides(&c->view[i], r->part);
    c->dispatches = vka__volume(r->parts);
    return true;
}

void vka__rows_dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const vka__op *op = c->op;
    const vka__rows *r = &c->rows;
    uint32_t begin[3], size[3];
    vka__box_at(r->shape, r->part, r->parts, index, begin, size);
    for (uint32_t i = 0; i < op->arg_count; ++i) {
        const vka__arg *a = &op->args[i];
        if (a->extent == VKA__BOX)
            out->binding[a->binding] =
                vka__bind_box(c->caps, &c->view[i], begin, size, (vka__access)a->access, &out->push.base[a->binding]);
        else if (a->extent == VKA__ALL)
            vka__bind_all(c->caps, &c->view[i], a->binding, (vka__access)a->access, out);
    }
    out->push.rows = (uint32_t)vka__volume(size);
    out->push.dim1 = size[1];
    out->push.dim2 = size[2];
    out->push.b0 = begin[0];
    out->push.h0 = begin[1];
    out->push.x0 = begin[2];
    out->groups[0] = (uint32_t)(((uint64_t)out->push.rows * r->units + r->group - 1) / r->group);
    out->groups[1] = out->groups[2] = 1;
}
