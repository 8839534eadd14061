/* Groups of channels as rows: views, dispatches, parameters.
 * SPDX-License-Identifier: MIT */
#include "ops/norm/norm.h"

const vka__row_kernels vka__group_norm_kernels = {VKA__group_norm_lane, VKA__group_norm_group, VKA__group_norm_group_sg,
                                                  0, 0};

vka_status vka__groups_sizes(vka__call *c, uint32_t groups) {
    if (!groups)
        return vka__call_fail(c, VKA_INVALID, "groups", "is 0, but is required");
    vka__call_bind_letter(c, 'G', groups);
    return VKA_OK;
}

vka_status vka__groups_check(vka__call *c) {
    uint32_t channels = vka__call_letter(c, 'C'), groups = vka__call_letter(c, 'G'), n = vka__call_letter(c, 'P');
    if (channels % groups)
        return vka__call_fail(c, VKA_INVALID, "groups", "is %u, but must divide C = %u", groups, channels);
    if (n > VKA_GROUP_NORM_MAX / (channels / groups))
        return vka__call_fail(c, VKA_INVALID, "x", "a group has %u channels of %u elements, but at most %u elements",
                              channels / groups, n, VKA_GROUP_NORM_MAX);
    return vka__call_check_rows(c, VKA__NORM_X, (const uint32_t[]){1, vka__call_letter(c, 'B'), groups});
}

bool vka__groups_channels_last(const vka__view *x) {
    return x->shape[3] > 1 && x->shape[2] > 1 && x->stride[2] < x->stride[3];
}

void vka__groups_split(vka__view *v, uint32_t groups, bool last) {
    uint32_t channels = v->shape[2] / groups, positions = v->shape[3];
    uint64_t channel = v->stride[2], position = v->stride[3];
    *v = (vka__view){
        v->present,
        v->source,
        v->dtype,
        v->size,
        v->block,
        v->offset,
        {v->shape[1], groups, last ? positions : channels, last ? channels : positions},
        {v->stride[1], groups > 1 ? channels * channel : 0, last ? position : channel, last ? channel : position}};
}

void vka__groups_split_statistic(vka__view *v) {
    for (uint32_t i = 0; i < 2 && v->present; ++i) {
        v->shape[i] = v->shape[i + 2];
        v->stride[i] = v->stride[i + 2];
        v->shape[i + 2] = 1;
        v->stride[i + 2] = 0;
    }
}

uint32_t vka__groups_add_key(vka__call *c, const vka__row_kernels *kernels, uint32_t path) {
    const vka__view *x = &c->view[VKA__NORM_X];
    uint32_t columns = 4 * vka__div_up(x->shape[3], 4) * x->shape[2];
    vka__row_problem problem = {.path = path, .cols = columns, .most = columns > 65536 ? 512 : 256};
    return vka__rows_add_key(c, kernels, &problem);
}

bool vka__groups_plan(vka__call *c, uint32_t group_rows) {
    const vka__view *x = &c->view[VKA__NORM_X];
    const vka__arg *args = c->op->args;
    uint32_t part[] = {x->shape[0], x->shape[1], x->shape[2]};
    c->rows = vka__rows_of((const uint32_t[]){x->shape[0], x->shape[1], 1}, 1, group_rows);
    for (uint32_t i = 0; i < c->op->arg_count; ++i)
        if (c->view[i].present && args[i].strides != VKA__NONE && !vka__cut_to_binding(c->caps, &c->view[i], 3, part))
            return vka__refuse_span(c->caps, args[i].name, "one group", &c->refusal);
    if (!vka__call_sees_whole(c))
        return false;
    c->rows.part[0] = part[0];
    c->rows.part[1] = part[1];
    vka__rows_cut(c->caps, &c->rows);
    part[0] = c->rows.part[0];
    part[1] = c->rows.part[1];
    for (uint32_t i = 0; i < c->op->arg_count; ++i)
        if (args[i].strides != VKA__NONE)
            *(vka_strides *)(void *)(c->params + args[i].strides) = vka__box_strides(&c->view[i], part);
    c->dispatches = vka__volume(c->rows.parts);
    return true;
}

void vka__groups_fill(const vka__call *c, uint32_t weight, uint32_t channels, vka_norm_params *params) {
    const vka__view *x = &c->view[VKA__NORM_X];
    params->weight_stride = (uint32_t)c->view[weight].stride[3];
    params->epsilon = (float)c->number[VKA__NORM_EPSILON];
    params->cols = x->shape[2] * x->shape[3];
    params->inner = x->shape[3];
    params->inner_vectors = vka__div_up(x->shape[3], 4);
    params->outer = x->shape[2];
    params->channels = channels;
}

void vka__groups_bind(const vka__call *c, uint32_t arg, const uint32_t begin[3], const uint32_t size[3],
                      vka__dispatch *out) {
    const uint32_t all[] = {size[0], size[1], c->view[arg].shape[2]};
    vka__call_bind_box(c, arg, begin, all, out);
}
