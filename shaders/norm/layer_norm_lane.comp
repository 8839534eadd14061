#version 450
// Layer norm where an invocation owns a row (Ba 2016), for software drivers: no barriers, no shared memory.
//
// Three passes over the row, which stays in a CPU's cache: mean, deviations squared, result. Every pass keeps four
// sums, one for each column of a vector.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "storage.glsl"
#include "norm.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

// Sums are taken of blocks, and then of blocks' sums: one long sum of a row of 65536 would lose digits.
const uint BLOCK = 64u;

void main() {
    uint number = gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    if (number >= push.rows)
        return;
    Row row = find_row(number);
    uint vectors = (p.cols + 3u) / 4u;
    float origin = row_origin(row);
    vec4 sums = vec4(0.0);
    for (uint begin = 0u; begin < vectors; begin += BLOCK) {
        vec4 block = vec4(0.0);
        for (uint c = begin; c < min(begin + BLOCK, vectors); ++c)
            block += deviation(first_values(row, c), origin, c);
        sums += block;
    }
    float centre = origin + total(sums) / float(p.cols);
    sums = vec4(0.0);
    for (uint begin = 0u; begin < vectors; begin += BLOCK) {
        vec4 block = vec4(0.0);
        for (uint c = begin; c < min(begin + BLOCK, vectors); ++c) {
            vec4 d = deviation(later_values(row, c), centre, c);
            block = fma(d, d, block);
        }
        sums += block;
    }
    float inverse = 1.0 / sqrt(total(sums) / float(p.cols) + p.epsilon);
    for (uint c = 0u; c < vectors; ++c)
        store_values(row, c, later_values(row, c), centre, inverse);
    store_statistics(row, centre, inverse);
}
