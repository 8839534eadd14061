#version 450
// The gradient of T5's table (Raffel 2020): each bucket of a head gets the sum over the distances that it holds, which lie next
// to each other.
//
// A workgroup owns a bucket of a head. Each invocation adds up some of the distances; their sums are added in order.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/relative.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_relative_t5_params p;
};

const uint TABLE_TYPE = TYPE_OF(VKA_ROLE_BIAS_TABLE);

VKA_INPUT_F32(VKA_BIND_BIASES, d_biases)
VKA_INPUT_I32(VKA_BIND_EDGES, edges)
VKA_INOUT(VKA_BIND_D_SUMS, d_table)
VKA_READERS(d_table, VKA_BIND_D_SUMS, TABLE_TYPE)
VKA_WRITERS(d_table, TABLE_TYPE)

#define VKA_SUBGROUP 0
#define VKA_PARTS float
#include "group_reduction.glsl"

// The first and the last column of a bucket; none if the last one comes first.
ivec2 columns_of(uint bucket) {
    bool is_ahead = p.ahead != 0u && bucket >= p.ahead;
    uint i = is_ahead ? bucket - p.ahead : bucket;
    if (i > p.edges) // an odd number of buckets for both directions has one that is not used
        return ivec2(0, -1);
    int last_column = int(p.cols) - 1, nearest = i > 0u ? edges_at(i - 1u) : 0;
    int farthest = i < p.edges ? edges_at(i) - 1 : max(p.zero, last_column);
    if (is_ahead)
        return ivec2(p.zero + max(nearest, 1), min(p.zero + min(farthest, last_column), last_column));
    return ivec2(max(p.zero - farthest, 0), i == 0u && p.ahead == 0u ? last_column : p.zero - nearest);
}

void main() {
    uint bucket = gl_WorkGroupID.x + push.x0, head = gl_WorkGroupID.y + push.y0;
    ivec2 columns = columns_of(bucket);
    float sum = 0.0;
    for (int l = columns.x + int(gl_LocalInvocationIndex); l <= columns.y; l += int(GROUP_SIZE))
        sum += d_biases_at(push.base[VKA_BIND_BIASES] + head * p.out_row + uint(l) * p.out_step);
    sum = group_sum(sum);
    uint at = push.base[VKA_BIND_D_SUMS] + bucket * p.table_row + head * p.table_step;
    if (gl_LocalInvocationIndex == 0u)
        d_table_put(at, has(VKA_FLAG_ADD_SUMS) ? d_table_at(at) + sum : sum);
}
