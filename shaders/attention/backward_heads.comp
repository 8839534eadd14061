#version 450
// Gradients that are sums over all queries of a head: of sinks, - exp(sink - lse) delta (a sink is a score without a value),
// and of ALiBi's slopes or cosines' factors, whose rows' sums the pass over queries left in the workspace.
//
// A workgroup owns a head. Each invocation adds up some of its rows; their sums are added in order.
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

layout(set = 0, binding = VKA_BIND_D_SINKS, std430) writeonly buffer d_sinks_floats {
    float d_sinks[];
};
layout(set = 0, binding = VKA_BIND_D_ALIBI, std430) writeonly buffer d_alibi_floats {
    float d_alibi[];
};

#define VKA_SUBGROUP 0
#define VKA_PARTS vec2
#include "group_reduction.glsl"

void main() {
    uint head = gl_WorkGroupID.x + push.x0, t = gl_LocalInvocationIndex;
    vec2 sum = vec2(0.0);
    for (uint sequence = 0u; sequence < b.sequences; ++sequence) {
        Grid g = sequence_of(head, sequence);
        for (uint query = t; query < g.q_len; query += GROUP_SIZE) {
            QueryState state = query_state(g, query);
            if (has(VKA_FLAG_D_SINKS) && state.alive)
                sum.x -= exp_of(sink_of(head) - state.lse) * state.delta;
            if (has(VKA_FLAG_D_ALIBI))
                sum.y += ws_f[b.delta.d + sum_at(g, query)];
        }
    }
    sum = group_sum(sum);
    if (t != 0u)
        return;
    if (has(VKA_FLAG_D_SINKS))
        d_sinks[push.base[VKA_BIND_D_SINKS] + head * b.d_sinks_step] = sum.x;
    if (has(VKA_FLAG_D_ALIBI))
        d_alibi[push.base[VKA_BIND_D_ALIBI] + head * b.d_alibi_step] = sum.y;
}
