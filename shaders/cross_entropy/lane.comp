#version 450
// Cross entropy where an invocation owns a row, for software drivers: no barriers, no shared memory.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "cross_entropy.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

void main() {
    uint number = gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    if (number >= push.rows)
        return;
    Row row = find_row(number);
    store_row(row, walk(row.x, needs_logits(row) ? p.cols : 0u, 0u, 1u, fast()));
}
