#version 450
// Gradients of what is added to the queries of a head before they are multiplied by keys, and by keys of relative positions:
// sums over all queries of the two parts of their gradients, which the pass over queries left in the workspace.
//
// A workgroup owns a vector of four channels of a head, of one of both (VKA_FLAG_BY_POSITION). Each invocation adds up some of the rows; their
// sums are added in order.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#define VKA_WITH_OPTIONS 1
#define VKA_BACKWARD 1
#include "elements.glsl"
#include "attention.glsl"
#include "blocks.glsl"
#include "attention_backward.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;

VKA_OUTPUT(VKA_BIND_GRAD + VKA_OPTION_BIND, grad)
VKA_WRITERS(grad, TYPE_OF(VKA_ROLE_GRAD))

#define VKA_SUBGROUP 0
#define VKA_PARTS vec4
#include "group_reduction.glsl"

void main() {
    uint d = gl_WorkGroupID.x + push.x0, head = gl_WorkGroupID.y + push.y0, t = gl_LocalInvocationIndex;
    bool by_position = has(VKA_FLAG_BY_POSITION);
    vec4 sum = vec4(0.0);
    for (uint sequence = 0u; sequence < b.sequences; ++sequence) {
        Grid g = sequence_of(head, sequence);
        for (uint query = t; query < g.q_len; query += GROUP_SIZE) {
            uint at = part_at(g, query, d, by_position);
            if (query_state(g, query).alive)
                sum += vec4(ws_f[at], ws_f[at + 1u], ws_f[at + 2u], ws_f[at + 3u]);
        }
    }
    sum = group_sum(sum) * b.grad_scale;
    vka_strides to = by_position ? b.d_position : b.d_content;
    if (t == 0u)
        grad_put_row4(push.base[VKA_BIND_GRAD + VKA_OPTION_BIND] + head * to.n, to.d, d, D, false, sum);
}
