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

void main() {
    uint number = (gl_WorkGroupID.x + push.x0) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    if (number >= p.rows)
        return;
    Row row = find_row(number);
    float origin = row_origin(row);
    vec4 sums = vec4(0.0);
    for (uint c = 0u; 4u * c < p.cols; ++c)
        sums += deviation(first_values(row, c), origin, c);
    float centre = origin + total(sums) / float(p.cols);
    sums = vec4(0.0);
    for (uint c = 0u; 4u * c < p.cols; ++c) {
        vec4 d = deviation(later_values(row, c), centre, c);
        sums = fma(d, d, sums);
    }
    float inverse = 1.0 / sqrt(total(sums) / float(p.cols) + p.epsilon);
    for (uint c = 0u; 4u * c < p.cols; ++c)
        store_values(row, c, later_values(row, c), centre, inverse);
    store_statistics(row, centre, inverse);
}
