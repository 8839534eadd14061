#version 450
// What a row that counts has of the mean of all losses: 1 over how many such rows there are. One workgroup.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/cross_entropy.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_cross_entropy_backward_params p;
};
VKA_INPUT_I32(VKA_BIND_TARGETS, targets)
VKA_OUTPUT_F32(VKA_BIND_SHARE, share)

shared uint counts[GROUP_SIZE];

void main() {
    uint t = gl_LocalInvocationIndex, count = 0u;
    // Indices may come close to 2^32.
    for (uint row = t; row < p.rows;) {
        uvec3 i = uvec3(row / (p.rows_h * p.rows_n), row / p.rows_n % p.rows_h, row % p.rows_n);
        int target = targets_at(i.x * p.all_targets.b + i.y * p.all_targets.h + i.z * p.all_targets.n);
        count += target == p.ignored ? 0u : 1u;
        row = p.rows - row > GROUP_SIZE ? row + GROUP_SIZE : p.rows;
    }
    counts[t] = count;
    for (uint width = 1u; width < GROUP_SIZE; width *= 2u) {
        barrier();
        uint at = t * width * 2u;
        if (at + width < GROUP_SIZE)
            counts[at] += counts[at + width];
    }
    if (t == 0u)
        share_put(0u, 1.0 / float(max(counts[0], 1u)));
}
