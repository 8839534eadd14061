#version 450
// Counts how many entries of lists of keys name each key, so that a key finds the queries that list it: the first step of a
// sort by counting, of which the others are lsh/offsets.comp and lsh/place.comp, and so are the parameters and the scratch
// memory. A row is what one head of a batch entry lists, a token an entry of its lists, in the order of queries; a bucket is a
// key, and the last one takes what lists none: entries behind a list's end, and those that are no key of k.
//
// p.x: b of a batch entry, h of a head, n of a query, d of an entry; dim is how many entries a list has. A workgroup owns a
// block of entries, which is whole lists.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "lsh.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;

VKA_INPUT_I32(VKA_BIND_X, lists)

shared uint stop; // the first entry behind a list's end

void count_list(LshRow row, uint line, uint query) {
    uint at = row.entry * p.x.b + row.head * p.x.h + query * p.x.n;
    if (gl_LocalInvocationIndex == 0u)
        stop = p.dim;
    barrier();
    for (uint i = gl_LocalInvocationIndex; i < p.dim; i += GROUP_SIZE)
        if (lists_at(at + i * p.x.d) < 0)
            atomicMin(stop, i);
    barrier();
    for (uint i = gl_LocalInvocationIndex; i < p.dim; i += GROUP_SIZE) {
        uint none = p.buckets - 1u, bucket = i < stop ? min(uint(lists_at(at + i * p.x.d)), none) : none;
        scratch[bucket_place(row, query * p.dim + i)] = bucket;
        atomicAdd(scratch[line + bucket], 1u);
    }
    barrier();
}

void main() {
    uint block = gl_WorkGroupID.x + push.x0;
    LshRow row = find_row(gl_WorkGroupID.y + push.y0);
    uint line = block_line(row, block);
    for (uint i = gl_LocalInvocationIndex; i < p.buckets; i += GROUP_SIZE)
        scratch[line + i] = 0u;
    memoryBarrierBuffer();
    barrier();
    uint end = min((block + 1u) * p.block, p.tokens) / p.dim;
    for (uint query = block * p.block / p.dim; query < end; ++query)
        count_list(row, line, query);
}
