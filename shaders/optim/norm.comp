#version 450
// What follows from the partial sums of squares of all gradients: the norm, the factor that limits it and takes the loss scale
// away, and the next loss scale. One workgroup, in an order that never changes; what is finite the bits say.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/gradient_norm.h"
#include "float_bits.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_gradient_norm_params p;
};
layout(set = 0, binding = VKA_BIND_NORM_PARTIALS, std430) readonly buffer Partials {
    float partials[];
};
layout(set = 0, binding = VKA_BIND_NORM_SUM, std430) buffer Sum {
    float total[];
};
VKA_OUTPUT_F32(VKA_BIND_NORM_NORM, norm)
VKA_OUTPUT_F32(VKA_BIND_NORM_GRAD_SCALE, grad_scale)
layout(set = 0, binding = VKA_BIND_NORM_LOSS_SCALE, std430) buffer LossScale {
    float loss_scale[];
};
layout(set = 0, binding = VKA_BIND_NORM_FINITE_STEPS, std430) buffer FiniteSteps {
    int finite_steps[];
};
layout(set = 0, binding = VKA_BIND_NORM_STEP, std430) buffer Step {
    int steps[];
};

#define VKA_SUBGROUP 0
#define VKA_PARTS float
#include "group_reduction.glsl"

void update_loss_scale(bool finite, float scale) {
    uint at = push.base[VKA_BIND_NORM_LOSS_SCALE], count = push.base[VKA_BIND_NORM_FINITE_STEPS];
    int next = finite ? finite_steps[count] + 1 : 0;
    bool grows = finite && uint(next) >= p.interval;
    float changed = finite ? (grows ? p.growth * scale : scale) : p.backoff * scale;
    loss_scale[at] = is_nonfinite(changed) ? scale : changed;
    finite_steps[count] = grows ? 0 : next;
}

void finish(float sum) {
    if (has(VKA_FLAG_NORM_ADD))
        sum += total[push.base[VKA_BIND_NORM_SUM]];
    if (has(VKA_FLAG_NORM_SUM))
        total[push.base[VKA_BIND_NORM_SUM]] = sum;
    bool finite = !is_nonfinite(sum);
    float scale = has(VKA_FLAG_NORM_LOSS_SCALE) ? loss_scale[push.base[VKA_BIND_NORM_LOSS_SCALE]] : 1.0;
    float length = (finite ? sqrt(sum) : sum) / scale;
    float factor = has(VKA_FLAG_NORM_LIMIT) ? min(1.0, p.max_norm / (length + 1e-6)) : 1.0;
    if (has(VKA_FLAG_NORM_NORM))
        norm_put(push.base[VKA_BIND_NORM_NORM], length);
    if (has(VKA_FLAG_NORM_GRAD_SCALE))
        grad_scale_put(push.base[VKA_BIND_NORM_GRAD_SCALE], finite ? factor / scale : 0.0);
    if (has(VKA_FLAG_NORM_UPDATE))
        update_loss_scale(finite, scale);
    if (has(VKA_FLAG_NORM_STEP) && finite)
        ++steps[push.base[VKA_BIND_NORM_STEP]];
}

void main() {
    uint t = gl_LocalInvocationIndex;
    float sum = 0.0;
    for (uint i = t; i < p.partials; i += GROUP_SIZE)
        sum += partials[i];
    sum = group_sum(sum);
    if (t == 0u)
        finish(sum);
}
