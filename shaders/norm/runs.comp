#version 450
// Gradients of weights and biases of group norms whose positions lie side by side, first step, as norm/columns.comp: a
// workgroup owns a channel of a chunk of positions.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "norm_backward.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;

layout(set = 0, binding = VKA_BIND_NORM_PARTIALS, std430) writeonly buffer Partials {
    float partials[];
};

#define VKA_PARTS vec2
#include "group_reduction.glsl"

// Sums are taken of blocks, and then of blocks' sums: one long sum would lose digits.
const uint BLOCK = 64u;

void do_chunk(uint chunk, uint channel) {
    uint entry = chunk / b.entry_chunks, first = chunk % b.entry_chunks * (b.chunk / 4u);
    uint end = min(first + b.chunk / 4u, (b.positions + 3u) / 4u);
    uint x = push.base[VKA_BIND_X] + entry * b.x_column.b + channel * b.x_column.d;
    uint g = push.base[VKA_BIND_NORM_D_OUT] + entry * b.d_out_column.b + channel * b.d_out_column.d;
    float mean = 0.0, inverse = 0.0;
    if (has(VKA_FLAG_WEIGHT)) {
        uvec3 row = uvec3(entry, channel / p.channels, 0u);
        mean = mean_at(row_at(VKA_BIND_STATS_MEAN, p.mean, row));
        inverse = inv_std_at(row_at(VKA_BIND_STATS_INV, p.inv_std, row));
    }
    vec2 sums = vec2(0.0);
    for (uint begin = first + gl_LocalInvocationIndex; begin < end; begin += BLOCK * GROUP_SIZE) {
        vec2 block = vec2(0.0);
        for (uint v = begin; v < min(begin + BLOCK * GROUP_SIZE, end); v += GROUP_SIZE) {
            vec4 d = d_out_words4(g, b.d_out_column.n, v, b.positions, fast());
            if (has(VKA_FLAG_WEIGHT)) {
                vec4 y = x_words4(x, b.x_column.n, v, b.positions, fast());
                block.x += dot(d, (y - mean) * inverse);
            }
            block.y += total(d);
        }
        sums += block;
    }
    sums = group_sum(sums);
    uint at = push.base[VKA_BIND_NORM_PARTIALS] + (push.z0 + chunk) * b.columns + push.row0 + channel;
    if (gl_LocalInvocationIndex == 0u && has(VKA_FLAG_WEIGHT))
        partials[at] = sums.x;
    if (gl_LocalInvocationIndex == 0u && has(VKA_FLAG_BIAS))
        partials[at + b.bias_partials] = sums.y;
}

// push.b0: chunks of this dispatch; z0: the first of them; row0: the first channel; y0: groups.
void main() {
    for (uint chunk = gl_WorkGroupID.y; chunk < push.b0; chunk += gl_NumWorkGroups.y)
        for (uint channel = gl_WorkGroupID.x; channel < push.y0 * p.channels; channel += gl_NumWorkGroups.x)
            do_chunk(chunk, channel);
}
