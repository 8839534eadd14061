#version 450
// Puts tokens in their slots of the sorted order.
//
// A workgroup owns a block of a row, and takes GROUP_SIZE of its tokens at a time, a token an invocation. A token's slot is
// its bucket's next one, and as many further as tokens before it in the group have the same bucket: each invocation looks at
// all of them, which costs less than the hash did. The table then has the bucket's next slot for the next group.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "lsh.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;

layout(set = 0, binding = VKA_BIND_SORTED, std430) writeonly buffer Order {
    int permutation[];
};

const uint NONE = 0xffffffffu; // no bucket

shared uint group[GROUP_SIZE];

// Tokens of the group that have this bucket: those before the invocation's own, and all.
uvec2 count(uint bucket) {
    uvec2 n = uvec2(0u);
    for (uint i = 0u; i < GROUP_SIZE; ++i)
        if (group[i] == bucket)
            n += uvec2(i < gl_LocalInvocationIndex ? 1u : 0u, 1u);
    return n;
}

void main() {
    uint block = gl_WorkGroupID.x + push.x0;
    LshRow row = find_row(gl_WorkGroupID.y + push.y0);
    uint to = row_base(row, VKA_BIND_SORTED, p.permutation), end = min((block + 1u) * p.block, p.tokens);
    for (uint first = block * p.block; first < end; first += GROUP_SIZE) {
        uint token = first + gl_LocalInvocationIndex, line = block_line(row, block);
        bool here = token < row.tokens;
        uint bucket = here ? scratch[bucket_place(row, token)] : NONE;
        group[gl_LocalInvocationIndex] = bucket;
        barrier();
        uvec2 same = count(bucket);
        uint next = here ? scratch[line + bucket] : 0u;
        if (here)
            permutation[to + (next + same.x) * p.permutation.d] = int(token);
        else if (token < end)
            permutation[to + token * p.permutation.d] = HOLE;
        // Everybody has read both before the last one of a bucket says what is next.
        barrier();
        if (here && same.x + 1u == same.y)
            scratch[line + bucket] = next + same.y;
        memoryBarrierBuffer();
        barrier();
    }
}
