/* vka_relative_bias_span, vka_relative_bias_span_left.
 * SPDX-License-Identifier: MIT */
#include "ops/relative/relative.h"

#include <math.h>

enum { SPANS = VKA__RELATIVE_IN, OUT, ARGS };
enum { RAMP, NUMBERS };

#define DESC(field) offsetof(vka_relative_bias_span_desc, field)
#define F32         VKA__TYPE(VKA_F32)

static const vka__arg args[ARGS] = {
    [SPANS] = {"spans", "H", DESC(spans), VKA__NONE, F32, .flags = VKA__REQUIRED, .access = VKA__READ,
               .binding = VKA_BIND_SPANS, .extent = VKA__ALL},
    [OUT] = {"out", "H L", DESC(out), VKA__NONE, F32, .flags = VKA__REQUIRED, .access = VKA__WRITE,
             .binding = VKA_BIND_BIASES, .extent = VKA__ALL},
};

static const vka__number numbers[NUMBERS] = {
    [RAMP] = {"ramp", DESC(ramp), VKA__NUMBER_F32, false, VKA__LEAST, VKA__MAX_DISTANCE, 0, NULL},
};

static vka_status check(vka__call *c) {
    return vka__relative_check_zero(c, VKA__DESC(c, vka_relative_bias_span_desc)->relative_zero);
}

static bool plan(vka__call *c) {
    const vka__view *out = &c->view[OUT];
    *VKA__PARAMS(c, vka_relative_span_params) = (vka_relative_span_params){
        .spans_step = (uint32_t)c->view[SPANS].stride[3],
        .out_row = (uint32_t)out->stride[2],
        .out_step = (uint32_t)out->stride[3],
        .cols = out->shape[3],
        .zero = (int32_t)VKA__DESC(c, vka_relative_bias_span_desc)->relative_zero,
        .ramp = (float)c->number[RAMP],
    };
    return vka__relative_plan(c, VKA__relative_bias_span);
}

VKA__OPERATION(relative_bias_span, .params_size = sizeof(vka_relative_span_params),
               .state_size = sizeof(vka__relative_grid), .check = check, .plan = plan,
               .dispatch = vka__relative_dispatch);

/* Key j = p - n is x = n - 1 tokens away, and lives while x < z + ramp: up to n = ceil(z + ramp), or, where a small
 * ramp is lost in that sum, up to x = floor(z). */
int32_t vka_relative_bias_span_left(const float *spans, uint32_t heads, float ramp) {
    double left = 1;
    for (uint32_t h = 0; h < heads; ++h) {
        double z = (double)spans[h], end = z + (double)ramp, last = fmax(ceil(end), floor(z) + 1);
        if (isnan(end) || last >= VKA_UNBOUNDED)
            return VKA_UNBOUNDED;
        left = fmax(left, last);
    }
    return (int32_t)left;
}
