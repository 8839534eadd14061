#version 450
// Adaptive spans (Sukhbaatar 2019) as biases of relative positions: the logarithm of each head's soft mask. Added to the
// scores it multiplies their exponentials by the mask.
//
// An invocation owns one element.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/relative.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_relative_span_params p;
};

VKA_INPUT_F32(VKA_BIND_SPANS, spans)
VKA_OUTPUT_F32(VKA_BIND_BIASES, biases)

// log(clamp((z - x) / ramp + 1, 0, 1)), with ends that are exact. NaN if z is.
float log_mask(float z, int x) {
    float beyond = float(x) - z;
    if (isnan(beyond))
        return beyond;
    if (beyond >= p.ramp)
        return uintBitsToFloat(0xff800000u);
    return beyond > 0.0 ? log((p.ramp - beyond) / p.ramp) : 0.0;
}

void main() {
    uint l = (gl_WorkGroupID.x + push.x0) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    uint head = gl_WorkGroupID.y + push.y0;
    if (l >= p.cols)
        return;
    float z = spans_at(push.base[VKA_BIND_SPANS] + head * p.spans_step);
    biases_put(push.base[VKA_BIND_BIASES] + head * p.out_row + l * p.out_step, log_mask(z, p.zero - 1 - int(l)));
}
