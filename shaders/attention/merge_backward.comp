#version 450
// The gradient of a merge (merge_parts.comp) with respect to one part, a: with weights w_a and w_b, d_a = w_a d_out and
// d_a_lse = w_a (d_lse + w_b d_out . (a - b)).
//
// A workgroup has GROUP_SIZE / TC rows; TC invocations share a row, each does every TC-th vector of four channels. They add up
// what they found of the product in shared memory. With TC = 1 (software drivers) there is no barrier.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/merge.h"
#include "merge.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;
layout(constant_id = VKA_SPEC_TC) const uint TC = 1u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_merge_backward_params p;
};

const uint A_TYPE = TYPE_OF(VKA_ROLE_A);
const uint B_TYPE = TYPE_OF(VKA_ROLE_B);
const uint D_OUT_TYPE = TYPE_OF(VKA_ROLE_MERGE_D_OUT);
const uint D_A_TYPE = TYPE_OF(VKA_ROLE_OUT);

VKA_INPUT(VKA_BIND_A, a)
VKA_INPUT(VKA_BIND_B, b)
VKA_INPUT_F32(VKA_BIND_A_LSE, a_lse)
VKA_INPUT_F32(VKA_BIND_B_LSE, b_lse)
VKA_INPUT(VKA_BIND_MERGE_D_OUT, d_out)
VKA_INPUT_F32(VKA_BIND_MERGE_D_LSE, d_lse)
VKA_OUTPUT(VKA_BIND_D_A, d_a)
VKA_OUTPUT_F32(VKA_BIND_D_A_LSE, d_a_lse)
VKA_READERS(a, VKA_BIND_A, A_TYPE)
VKA_READERS(b, VKA_BIND_B, B_TYPE)
VKA_READERS(d_out, VKA_BIND_MERGE_D_OUT, D_OUT_TYPE)
VKA_WRITERS(d_a, D_A_TYPE)

shared float products[GROUP_SIZE];

uint row_at(uint binding, vka_strides s, uvec3 row) {
    return push.base[binding] + row.x * s.b + row.y * s.h + row.z * s.n;
}

vec2 weights_of(uvec3 row) {
    float lse;
    return weigh(a_lse_at(row_at(VKA_BIND_A_LSE, p.a_lse, row)), b_lse_at(row_at(VKA_BIND_B_LSE, p.b_lse, row)), lse);
}

// An invocation's channels of d_a, and of d_out . (a - b), which is asked for where neither part is empty.
float do_channels(uvec3 row, uint lane, vec2 weight) {
    uint a = row_at(VKA_BIND_A, p.a, row), b = row_at(VKA_BIND_B, p.b, row);
    uint d_out = row_at(VKA_BIND_MERGE_D_OUT, p.d_out, row), d_a = row_at(VKA_BIND_D_A, p.d_a, row);
    bool fast = has(VKA_FLAG_VEC4), both = weight.x != EMPTY && weight.y != EMPTY && has(VKA_FLAG_D_A_LSE);
    float product = 0.0;
    for (uint c = lane; c < (p.cols + 3u) / 4u; c += TC) {
        vec4 gradient = d_out_row4(d_out, p.d_out.d, c, p.cols, fast);
        if (both) {
            vec4 x = a_row4(a, p.a.d, c, p.cols, fast) - b_row4(b, p.b.d, c, p.cols, fast);
            product += dot(gradient, x);
        }
        if (D_A_TYPE != 0u)
            d_a_put_row4(d_a, p.d_a.d, c, p.cols, fast, weight.x != EMPTY ? weight.x * gradient : vec4(0.0));
    }
    return product;
}

void main() {
    uint lane = gl_LocalInvocationIndex % TC, number = gl_WorkGroupID.x * (GROUP_SIZE / TC) + gl_LocalInvocationIndex / TC;
    uvec3 row = uvec3(number / (push.dim1 * push.dim2), number / push.dim2 % push.dim1, number % push.dim2);
    bool exists = number < push.rows;
    vec2 weight = exists ? weights_of(row) : vec2(EMPTY);
    float product = exists ? do_channels(row, lane, weight) : 0.0;
    if (TC > 1u) {
        products[gl_LocalInvocationIndex] = product;
        barrier();
        product = 0.0;
        for (uint i = 0u; i < TC; ++i)
            product += products[gl_LocalInvocationIndex - lane + i];
    }
    if (!exists || lane != 0u || !has(VKA_FLAG_D_A_LSE))
        return;
    float sum = has(VKA_FLAG_MERGED_LSE) ? d_lse_at(row_at(VKA_BIND_MERGE_D_LSE, p.d_lse, row)) : 0.0;
    if (weight.y != EMPTY)
        sum += weight.y * product;
    d_a_lse_put(row_at(VKA_BIND_D_A_LSE, p.d_a_lse, row), weight.x != EMPTY ? weight.x * sum : 0.0);
}
