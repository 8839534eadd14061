#version 450
// Partial sums of a gradient's squares: one of each workgroup, whose invocations take vectors in turn, sum them in blocks, and add
// up their sums in a tree.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/gradient_norm.h"
#include "blocks.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_gradient_norm_params p;
};

#define X_TYPE TYPE_OF(VKA_ROLE_X)
VKA_INPUT(VKA_BIND_X, x)
VKA_READERS(x, VKA_BIND_X, X_TYPE)
VKA_WORD_READERS(x, X_TYPE)
layout(set = 0, binding = VKA_BIND_NORM_PARTIALS, std430) writeonly buffer Partials {
    float partials[];
};

const uint BLOCK = 64u;

#define VKA_SUBGROUP 0
#define VKA_PARTS float
#include "group_reduction.glsl"

void main() {
    vka_strides s = p.gradient[push.y0];
    uint cols = push.x0, units = (cols + 3u) / 4u, vectors = push.rows * units, step = GROUP_SIZE * gl_NumWorkGroups.x;
    float sum = 0.0;
    // Indices may come close to 2^32.
    for (uint i = gl_WorkGroupID.x * GROUP_SIZE + gl_LocalInvocationIndex; i < vectors;) {
        float block = 0.0;
        for (uint n = 0u; n < BLOCK && i < vectors; ++n) {
            uint number = i / units;
            uvec3 row = uvec3(number / (push.dim1 * push.dim2), number / push.dim2 % push.dim1, number % push.dim2);
            vec4 v = x_words4(push.base[VKA_BIND_X] + row.x * s.b + row.y * s.h + row.z * s.n, s.d, i % units, cols,
                              has(VKA_FLAG_VEC4));
            block += dot(v, v);
            i = vectors - i > step ? i + step : vectors;
        }
        sum += block;
    }
    sum = group_sum(sum);
    if (gl_LocalInvocationIndex == 0u)
        partials[push.z0 + gl_WorkGroupID.x] = sum;
}
