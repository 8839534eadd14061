#version 450
// T5's biases of relative positions (Raffel 2020): of every head, the embedding of each distance's bucket.
//
// An invocation owns one element. Buckets grow with the distance, so that a bucket's number is how many of the others
// begin nearer or here: `edges`, which the host computed, as a GPU's logarithm may put an edge one key off.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/relative.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_relative_t5_params p;
};

const uint TABLE_TYPE = TYPE_OF(VKA_ROLE_BIAS_TABLE);

VKA_INPUT(VKA_BIND_BIAS_TABLE, table)
VKA_READERS(table, VKA_BIND_BIAS_TABLE, TABLE_TYPE)
VKA_INPUT_I32(VKA_BIND_EDGES, edges)
VKA_OUTPUT_F32(VKA_BIND_BIASES, biases)

uint bucket_of(int ahead) {
    int distance = p.ahead != 0u ? abs(ahead) : max(-ahead, 0);
    uint bucket = 0u;
    for (uint i = 0u; i < p.edges; ++i)
        bucket += edges_at(i) <= distance ? 1u : 0u;
    return ahead > 0 ? bucket + p.ahead : bucket;
}

void main() {
    uint l = (gl_WorkGroupID.x + push.x0) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    uint head = gl_WorkGroupID.y + push.y0;
    if (l >= p.cols)
        return;
    uint bucket = bucket_of(int(l) - p.zero);
    biases_put(push.base[VKA_BIND_BIASES] + head * p.out_row + l * p.out_step,
               table_at(push.base[VKA_BIND_BIAS_TABLE] + bucket * p.table_row + head * p.table_step));
}
