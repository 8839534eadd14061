/* vka_relative_bias_span_backward.
 * SPDX-License-Identifier: MIT */
#include "ops/relative/relative.h"

enum { SPANS, D_OUT, D_SPANS, ARGS };
enum { RAMP, NUMBERS };

#define DESC(field) offsetof(vka_relative_bias_span_backward_desc, field)
#define F32         VKA__TYPE(VKA_F32)

static const vka__arg args[ARGS] = {
    [SPANS] = {"spans", "H", DESC(spans), VKA__NONE, F32, .flags = VKA__REQUIRED, .access = VKA__READ,
               .binding = VKA_BIND_SPANS, .extent = VKA__ALL},
    [D_OUT] = {"d_out", "H L", DESC(d_out), VKA__NONE, F32, .flags = VKA__REQUIRED, .access = VKA__READ,
               .binding = VKA_BIND_BIASES, .extent = VKA__ALL},
    [D_SPANS] = {"d_spans", "H", DESC(d_spans), VKA__NONE, F32, .flags = VKA__REQUIRED, .access = VKA__READ_WRITE,
                 .binding = VKA_BIND_D_SUMS, .extent = VKA__ALL},
};
static const vka__number numbers[NUMBERS] = {
    [RAMP] = {"ramp", DESC(ramp), VKA__NUMBER_F32, false, VKA__LEAST, VKA__MAX_DISTANCE, 0, NULL},
};

static vka_status check(vka__call *c) {
    return vka__relative_check_zero(c, VKA__DESC(c, vka_relative_bias_span_backward_desc)->relative_zero);
}

static bool plan(vka__call *c) {
    const vka_relative_bias_span_backward_desc *d = VKA__DESC(c, vka_relative_bias_span_backward_desc);
    const vka__view *d_out = &c->view[D_OUT];
    *VKA__PARAMS(c, vka_relative_span_params) = (vka_relative_span_params){
        .spans_step = (uint32_t)c->view[SPANS].stride[3],
        .d_spans_step = (uint32_t)c->view[D_SPANS].stride[3],
        .out_row = (uint32_t)d_out->stride[2],
        .out_step = (uint32_t)d_out->stride[3],
        .cols = d_out->shape[3],
        .zero = (int32_t)d->relative_zero,
        .ramp = (float)c->number[RAMP],
    };
    return vka__relative_plan_sums(c, VKA__relative_bias_span_backward, d_out->shape[2], 1, d->accumulate);
}

VKA__OPERATION(relative_bias_span_backward, .params_size = sizeof(vka_relative_span_params),
               .state_size = sizeof(vka__relative_grid), .check = check, .plan = plan,
               .dispatch = vka__relative_dispatch);
