#version 450
// The outputs of a linear layer whose columns were split: the sums of all splits, in their order. An invocation has one vector
// of four outputs.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "linear.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

void main() {
    uint vectors = (push.dim1 + 3u) / 4u, d = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y;
    if (d >= vectors)
        return;
    vec4 y = vec4(0.0);
    for (uint split = 0u; split < p.splits; ++split)
        y += workspace[((split * push.b0 + gl_WorkGroupID.z) * push.rows + row) * vectors + d];
    uint b = gl_WorkGroupID.z / push.dim2, h = gl_WorkGroupID.z % push.dim2;
    put_results(Batch(0u, 0u, push.base[VKA_BIND_LINEAR_RESIDUAL] + b * p.residual.b + h * p.residual.h,
                      push.base[VKA_BIND_LINEAR_OUT] + b * p.out_.b + h * p.out_.h, gl_WorkGroupID.z, 0u, 0u, 0u),
                row, d, y);
}
