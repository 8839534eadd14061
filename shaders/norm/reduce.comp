#version 450
// Gradients of weights and biases of norms, second step: sums of the partial sums of all chunks, in an order that never
// changes. BC invocations own a column each, the others of a workgroup other chunks of the same columns.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/norm.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;
layout(constant_id = VKA_SPEC_BC) const uint BC = 8u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_norm_params p;
    vka_norm_gradient_params b;
};

const uint WEIGHT_TYPE = TYPE_OF(VKA_ROLE_D_WEIGHT);
const uint BIAS_TYPE = TYPE_OF(VKA_ROLE_D_BIAS);

VKA_INPUT_F32(VKA_BIND_NORM_PARTIALS, partials)
VKA_INOUT(VKA_BIND_D_WEIGHT, d_weight)
VKA_INOUT(VKA_BIND_D_BIAS, d_bias)
VKA_READERS(d_weight, VKA_BIND_D_WEIGHT, WEIGHT_TYPE)
VKA_READERS(d_bias, VKA_BIND_D_BIAS, BIAS_TYPE)
VKA_WRITERS(d_weight, WEIGHT_TYPE)
VKA_WRITERS(d_bias, BIAS_TYPE)

const uint LANES = GROUP_SIZE / BC;
const uint BLOCK = 64u;

shared vec2 parts[GROUP_SIZE];

// Of the chunks lane, lane + LANES, .. : weights and biases.
vec2 sums_of(uint column, uint lane) {
    vec2 sums = vec2(0.0);
    uint base = push.base[VKA_BIND_NORM_PARTIALS] + column;
    for (uint begin = lane; begin < b.chunks; begin += BLOCK * LANES) {
        vec2 block = vec2(0.0);
        for (uint chunk = begin; chunk < min(begin + BLOCK * LANES, b.chunks); chunk += LANES) {
            if (has(VKA_FLAG_WEIGHT))
                block.x += partials_at(base + chunk * b.columns);
            if (has(VKA_FLAG_BIAS))
                block.y += partials_at(base + b.bias_partials + chunk * b.columns);
        }
        sums += block;
    }
    return sums;
}

void store(uint column, vec2 sums) {
    uint weight = push.base[VKA_BIND_D_WEIGHT] + column * b.d_weight_stride;
    uint bias = push.base[VKA_BIND_D_BIAS] + column * b.d_bias_stride;
    if (has(VKA_FLAG_WEIGHT))
        d_weight_put(weight, sums.x + (has(VKA_FLAG_ACCUMULATE) ? d_weight_at(weight) : 0.0));
    if (has(VKA_FLAG_BIAS))
        d_bias_put(bias, sums.y + (has(VKA_FLAG_ACCUMULATE) ? d_bias_at(bias) : 0.0));
}

void main() {
    uint across = gl_LocalInvocationIndex % BC, lane = gl_LocalInvocationIndex / BC;
    for (uint first = gl_WorkGroupID.x * BC; first < b.columns; first += gl_NumWorkGroups.x * BC) {
        uint column = first + across;
        vec2 sums = column < b.columns ? sums_of(column, lane) : vec2(0.0);
        if (LANES > 1u) {
            barrier();
            parts[gl_LocalInvocationIndex] = sums;
            barrier();
            for (uint i = 1u; i < LANES && lane == 0u; ++i)
                sums += parts[i * BC + across];
        }
        if (lane == 0u && column < b.columns)
            store(column, sums);
    }
}
