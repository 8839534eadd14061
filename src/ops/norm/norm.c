/* SPDX-License-Identifier: MIT */
#include "ops/norm/norm.h"

const vka__row_kernels vka__norm_kernels = {.lane = VKA__norm_lane,
                                            .group = VKA__norm_group,
                                            .group_subgroup = VKA__norm_group_sg,
                                            .lane_int64 = VKA__norm_lane_int64,
                                            .group_subgroup_int64 = VKA__norm_group_sg_int64,
                                            .subgroup_rows = 16,
                                            .long_rows = 16};

vka_status vka__norm_check(vka__call *c) {
    if (vka__call_has(c, VKA__NORM_SUM) && !vka__call_has(c, VKA__NORM_RESIDUAL))
        return vka__call_fail(c, VKA_INVALID, "sum", "needs residual");
    return vka__call_check_rows(c, VKA__NORM_X, c->view[VKA__NORM_X].shape);
}

static uint32_t flags_of(const vka__call *c) {
    static const uint32_t optional[VKA__NORM_ARGS] = {
        [VKA__NORM_WEIGHT] = VKA_FLAG_WEIGHT,
        [VKA__NORM_RESIDUAL] = VKA_FLAG_RESIDUAL,
        [VKA__NORM_SUM] = VKA_FLAG_SUM,
        [VKA__NORM_INVERSE] = VKA_FLAG_INV_STD,
    };
    uint32_t flags = 0, vectors = ~(1u << VKA__NORM_INVERSE);
    for (uint32_t i = 0; i < VKA__NORM_ARGS; ++i)
        flags |= vka__call_has(c, i) ? optional[i] : 0;
    for (uint32_t i = VKA__NORM_ARGS; i < c->op->arg_count; ++i)
        vectors &= c->op->args[i].flags & VKA__PER_ROW ? ~(1u << i) : ~0u;
    return flags | (vka__call_vec4(c, vectors) ? VKA_FLAG_VEC4 : 0);
}

bool vka__norm_plan(vka__call *c, uint32_t bias, uint32_t flags) {
    const vka__view *x = &c->view[VKA__NORM_X], *weight = &c->view[VKA__NORM_WEIGHT];
    vka_norm_params *params = VKA__PARAMS(c, vka_norm_params);
    flags |= flags_of(c);
    vka__row_problem problem = {.path = VKA__NORM_PATH,
                                .rows = vka__volume(x->shape),
                                .cols = x->shape[3],
                                .most = 256,
                                .vec4 = flags & VKA_FLAG_VEC4};
    uint32_t group_rows = vka__rows_add_key(c, &vka__norm_kernels, &problem);
    c->key[0].spec[VKA_SPEC_FLAGS] = flags;
    c->key[0].spec[VKA_SPEC_TYPES] = vka__call_type(c, VKA__NORM_X, VKA_ROLE_X) |
                                     vka__call_type(c, weight->present ? VKA__NORM_WEIGHT : bias, VKA_ROLE_TABLE);
    params->weight_stride = (uint32_t)weight->stride[3];
    params->bias_stride = (uint32_t)c->view[bias].stride[3];
    params->cols = x->shape[3];
    params->epsilon = (float)c->number[VKA__NORM_EPSILON];
    return vka__rows_plan(c, VKA__NORM_X, 1, group_rows);
}

void vka__norm_explain(const vka__call *c, vka__text *text) {
    vka__rows_explain(c, VKA__NORM_PATH, 8, text); /* a pair of sums of each */
    vka__say(text, "cols: %u\n", c->view[VKA__NORM_X].shape[3]);
}
