#version 450
// The gradient of adaptive spans (Sukhbaatar 2019): of those of log(m), m = (z - x) / ramp + 1, on the slope of the mask, where
// it is d / (m ramp).
//
// A workgroup owns a head. Each invocation adds up some of the distances; their sums are added in order.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/relative.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_relative_span_params p;
};

VKA_INPUT_F32(VKA_BIND_SPANS, spans)
VKA_INPUT_F32(VKA_BIND_BIASES, d_biases)
VKA_INOUT(VKA_BIND_D_SUMS, d_spans)
VKA_READERS(d_spans, VKA_BIND_D_SUMS, VKA_TYPE_F32)
VKA_WRITERS(d_spans, VKA_TYPE_F32)

#define VKA_SUBGROUP 0
#define VKA_PARTS float
#include "group_reduction.glsl"

void main() {
    uint head = gl_WorkGroupID.x + push.x0;
    float z = spans_at(push.base[VKA_BIND_SPANS] + head * p.spans_step), sum = isnan(z) ? z : 0.0;
    for (uint l = gl_LocalInvocationIndex; l < p.cols; l += GROUP_SIZE) {
        float beyond = float(p.zero - 1 - int(l)) - z;
        if (beyond > 0.0 && beyond < p.ramp)
            sum += d_biases_at(push.base[VKA_BIND_BIASES] + head * p.out_row + l * p.out_step) / (p.ramp - beyond);
    }
    sum = group_sum(sum);
    uint at = push.base[VKA_BIND_D_SUMS] + head * p.d_spans_step;
    if (gl_LocalInvocationIndex == 0u)
        d_spans_put(at, has(VKA_FLAG_ADD_SUMS) ? d_spans_at(at) + sum : sum);
}
