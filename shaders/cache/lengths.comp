#version 450
// The lengths of sequences after an append. An invocation takes every so many sequences.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "cache.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

layout(set = 0, binding = VKA_BIND_NEW, std430) writeonly buffer New {
    int new_lengths[];
};

void main() {
    uint first = gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    for (uint i = first; i < p.sequences; i += gl_NumWorkGroups.x * gl_WorkGroupSize.x) {
        uint length = min(old_length(i) + new_tokens(i).y, p.capacity);
        new_lengths[push.base[VKA_BIND_NEW] + i * p.new_step] = int(length);
    }
}
