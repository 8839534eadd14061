#version 450
// The first step of sorting ids by counting: each is its own bucket, those that are nowhere in the table have the last one. The
// other steps are those of sorts by hashes (lsh/offsets.comp and lsh/place.comp), as are the parameters and the scratch memory:
// there is one row; x is the ids, dim how many rows the table has.
//
// A workgroup owns a block of ids, and counts their buckets.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "lsh.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;

VKA_INPUT_I32(VKA_BIND_X, ids)

void main() {
    const LshRow row = LshRow(0u, 0u, 0u, 0u, p.tokens);
    uint block = gl_WorkGroupID.x, line = block_line(row, block);
    for (uint i = gl_LocalInvocationIndex; i < p.buckets; i += GROUP_SIZE)
        scratch[line + i] = 0u;
    memoryBarrierBuffer();
    barrier();
    uint end = min((block + 1u) * p.block, p.tokens);
    for (uint token = block * p.block + gl_LocalInvocationIndex; token < end; token += GROUP_SIZE) {
        uint outer = token / push.dim2;
        uint id = uint(ids_at(outer / push.dim1 * p.x.b + outer % push.dim1 * p.x.h + token % push.dim2 * p.x.n));
        uint bucket = min(id, p.dim); // large where it is negative
        scratch[bucket_place(row, token)] = bucket;
        atomicAdd(scratch[line + bucket], 1u);
    }
}
