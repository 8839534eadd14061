#version 450
// Merges two results of the same queries over different keys (Flash-Decoding, Dao 2023; cascade inference, Ye 2024).
//
// A workgroup has GROUP_SIZE / TC rows; TC invocations share a row, each does every TC-th vector of four channels. One
// of them alone reads the row's log-sum-exps, tells the others what the parts weigh, and stores the merged one: it may
// lie where one of the parts' did. A channel is read and written by the same invocation, so that the output may lie
// where a part did. With TC = 1 (software drivers) there is no barrier.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/merge.h"
#include "merge.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;
layout(constant_id = VKA_SPEC_TC) const uint TC = 1u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_merge_params p;
};

const uint ROWS = GROUP_SIZE / TC;
const uint A_TYPE = TYPE_OF(VKA_ROLE_A);
const uint B_TYPE = TYPE_OF(VKA_ROLE_B);
const uint OUT_TYPE = TYPE_OF(VKA_ROLE_OUT);
VKA_INPUT(VKA_BIND_A, a)
VKA_INPUT(VKA_BIND_B, b)
VKA_OUTPUT(VKA_BIND_MERGED, out)
VKA_INPUT_F32(VKA_BIND_A_LSE, a_lse)
VKA_INPUT_F32(VKA_BIND_B_LSE, b_lse)
VKA_OUTPUT_F32(VKA_BIND_MERGED_LSE, lse)
VKA_READERS(a, VKA_BIND_A, A_TYPE)
VKA_READERS(b, VKA_BIND_B, B_TYPE)
VKA_WRITERS(out, OUT_TYPE)

shared vec2 weights[ROWS]; // of the parts of every row

uint row_at(uint binding, vka_strides s, uvec3 row) {
    return push.base[binding] + row.x * s.b + row.y * s.h + row.z * s.n;
}

vec2 merge_row(uvec3 row) {
    float lse;
    vec2 weight =
        weigh(a_lse_at(row_at(VKA_BIND_A_LSE, p.a_lse, row)), b_lse_at(row_at(VKA_BIND_B_LSE, p.b_lse, row)), lse);
    if (has(VKA_FLAG_MERGED_LSE))
        lse_put(row_at(VKA_BIND_MERGED_LSE, p.lse, row), lse);
    return weight;
}

void main() {
    uint in_group = gl_LocalInvocationIndex / TC, lane = gl_LocalInvocationIndex % TC;
    uint number = gl_WorkGroupID.x * ROWS + in_group;
    uvec3 row = uvec3(number / (push.dim1 * push.dim2), number / push.dim2 % push.dim1, number % push.dim2);
    // The last one: on a driver that runs them in order, the tests then see whether the barrier is there.
    if (lane == TC - 1u && number < push.rows)
        weights[in_group] = merge_row(row);
    if (TC > 1u)
        barrier();
    if (number >= push.rows)
        return;
    vec2 weight = weights[in_group];
    uint a = row_at(VKA_BIND_A, p.a, row), b = row_at(VKA_BIND_B, p.b, row);
    uint merged = row_at(VKA_BIND_MERGED, p.out_, row);
    bool fast = has(VKA_FLAG_VEC4);
    for (uint c = lane; c < (p.cols + 3u) / 4u; c += TC) {
        vec4 x = vec4(0.0);
        if (weight.x != EMPTY)
            x = weight.x * a_row4(a, p.a.d, c, p.cols, fast);
        if (weight.y != EMPTY)
            x = fma(vec4(weight.y), b_row4(b, p.b.d, c, p.cols, fast), x);
        out_put_row4(merged, p.out_.d, c, p.cols, fast, x);
    }
}
