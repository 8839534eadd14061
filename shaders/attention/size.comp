#version 450
// How many workgroups an attention needs whose lengths are only known on the device: those of its longest sequence. Writes
// the sizes of the dispatches that follow.
//
// One workgroup; invocations share the sequences. Expects in the push constants what does not depend on lengths: the
// workgroups in y and z of the main kernel (x0, y0), those in y of the merge (z0), and its invocations (rows).
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#define VKA_WITH_OPTIONS 1
#include "elements.glsl"
#include "attention.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

layout(set = 0, binding = VKA_BIND_WORKSPACE, std430) writeonly buffer Sizes {
    uint sizes[6]; // VkDispatchIndirectCommand of the main kernel and of the merge
};

shared uint longest_q, most_splits;

void main() {
    if (gl_LocalInvocationIndex == 0u)
        longest_q = most_splits = 0u;
    barrier();
    for (uint b = gl_LocalInvocationIndex; b < push.y0; b += gl_WorkGroupSize.x) {
        Grid g = sequence_of(0u, b);
        atomicMax(longest_q, g.q_len);
        atomicMax(most_splits, g.splits);
    }
    barrier();
    if (gl_LocalInvocationIndex != 0u)
        return;
    uint rows = has(VKA_FLAG_PACK) ? p.group * longest_q : longest_q, tiles = (rows + BR - 1u) / BR;
    // A tile's splits are neighbours: of the last one only as many are needed as there is work for.
    sizes[0] = tiles == 0u ? 0u : has(VKA_FLAG_SPLIT) ? (tiles - 1u) * part_splits() + most_splits : tiles;
    sizes[1] = push.x0;
    sizes[2] = push.y0;
    sizes[3] = (longest_q * DV + push.rows - 1u) / max(push.rows, 1u);
    sizes[4] = push.z0;
    sizes[5] = push.y0;
}
