/* Plans of vka_relative_bias_span.
 * SPDX-License-Identifier: MIT */
#include "plan/relative.h"

#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(vka_relative_span_params) <= sizeof(vka_attention_params), "a recorder's slots have room for it");

vka_status vka__plan_relative_span(const vka_device_caps *caps, const vka__relative_span_problem *p,
                                   vka__relative_span_plan *plan, vka__refusal *refusal) {
    memset(plan, 0, sizeof *plan);
    if (!vka__sees_all(caps, &p->spans, "spans", refusal) || !vka__sees_all(caps, &p->out, "out", refusal))
        return VKA_UNSUPPORTED;
    plan->grid = vka__relative_grid_of(caps, VKA__relative_bias_span, &p->out);
    plan->params = (vka_relative_span_params){
        .spans_step = (uint32_t)p->spans.stride[3],
        .out_row = (uint32_t)p->out.stride[2],
        .out_step = (uint32_t)p->out.stride[3],
        .cols = p->out.shape[3],
        .zero = (int32_t)p->zero,
        .ramp = p->ramp,
    };
    return VKA_OK;
}

void vka__relative_span_dispatch(const vka_device_caps *caps, const vka__relative_span_problem *p,
                                 const vka__relative_span_plan *plan, uint64_t index, vka__dispatch *out) {
    vka__relative_dispatch(caps, &plan->grid, &p->out, index, out);
    vka__bind_all(caps, &p->spans, VKA_BIND_SPANS, 0, VKA__READ, out);
}

size_t vka__explain_relative_span(const vka__relative_span_plan *plan, char *text, size_t capacity) {
    int n = snprintf(text, capacity, "kernel: %s\nworkgroup: %u\ndispatches: %llu\nworkspace_bytes: 0\n",
                     vka__kernel_name((vka__kernel)plan->grid.key.kernel), plan->grid.key.spec[VKA_SPEC_GROUP_SIZE],
                     (unsigned long long)vka__relative_dispatches(&plan->grid));
    return n < 0 ? 0 : (size_t)n;
}
