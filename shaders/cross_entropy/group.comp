#version 450
// Cross entropy where a workgroup owns a row, for GPUs: neighbours read neighbouring columns, once.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#if VKA_SUBGROUP
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_basic : require
#endif
#include "elements.glsl"
#include "cross_entropy.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;

#define VKA_PARTS float
#include "group_reduction.glsl"
#include "softmax_group.glsl"

void main() {
    Row row = find_row(gl_WorkGroupID.x);
    uint live = needs_logits(row) ? p.cols : 0u;
    State s = group_state(walk(row.x, live, gl_LocalInvocationIndex, GROUP_SIZE, fast()));
    if (gl_LocalInvocationIndex == 0u)
        store_row(row, s);
}
