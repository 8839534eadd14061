#version 450
// Softmax where an invocation owns a row, for software drivers: no barriers, no shared memory.
//
// Two passes over the row: maximum and sum; result.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "softmax_rows.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

void main() {
    uint number = gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    if (number >= push.rows)
        return;
    Row row = find_row(number);
    State s = walk(row.x, row.live, 0u, 1u, fast());
    float normal = normaliser(s);
    uint vectors = (p.cols + 3u) / 4u, carry = 0u;
    for (uint c = 0u; c < vectors; ++c)
        out_stream4(row.out_, p.out_.d, c, p.cols, fast(), later_result(row, c, s, normal), carry);
    out_stream4(row.out_, p.out_.d, vectors, p.cols, fast(), vec4(0.0), carry);
}
