#version 450
// Turns the counts of a row's table into slots: where the tokens of a block that have a bucket begin in the sorted order.
//
// A workgroup owns a row; an invocation walks down a column, a bucket of all blocks, and neighbours walk neighbouring ones.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "lsh.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;

shared uint sums[GROUP_SIZE];

// The sum of the values of all invocations up to this one.
uint sum_so_far(uint value) {
    uint lane = gl_LocalInvocationIndex;
    sums[lane] = value;
    for (uint distance = 1u; distance < GROUP_SIZE; distance *= 2u) {
        barrier();
        uint sum = sums[lane] + (lane >= distance ? sums[lane - distance] : 0u);
        barrier();
        sums[lane] = sum;
    }
    barrier();
    return sums[lane];
}

void main() {
    LshRow row = find_row(gl_WorkGroupID.y + push.y0);
    uint table = block_line(row, 0u), begin = 0u; // tokens of earlier buckets
    for (uint first = 0u; first < p.buckets; first += GROUP_SIZE) {
        uint bucket = first + gl_LocalInvocationIndex, total = 0u;
        bool exists = bucket < p.buckets;
        for (uint block = 0u; exists && block < p.blocks; ++block)
            total += scratch[table + block * p.buckets + bucket];
        uint slot = begin + sum_so_far(total) - total;
        begin += sums[GROUP_SIZE - 1u];
        for (uint block = 0u; exists && block < p.blocks; ++block) {
            uint at = table + block * p.buckets + bucket, count = scratch[at];
            scratch[at] = slot;
            slot += count;
        }
        barrier();
    }
}
