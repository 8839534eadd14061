#version 450
// Norms where an invocation owns a row, for software drivers: no barriers, no shared memory.
//
// Three passes over the row, which stays in a CPU's cache: mean; deviations and their squares; result. Every pass keeps
// four sums of a kind, one for each column of a vector.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "norm.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

// Rows that f32 does not hold squared: rare, so never mind how fast.
void scaled_row(Row row) {
    Centre centre = Centre(0.0, 0.0);
    vec2 sums;
    // Not unrolled: some software drivers take seconds to compile each copy of the loads.
    [[dont_unroll]] for (uint i = 0u; i < 3u; ++i) {
        sums = scaled_sums(row, 0u, 1u, centre.near);
        centre.near = nearer_centre(centre.near, sums.x, i);
    }
    float variance_ = variance(sums, centre);
    float inverse = scaled_inverse_of(variance_);
    store_scaled_values(row, 0u, 1u, centre, inverse);
    store_statistics(row, centre, inverse, SCALE);
}

void main() {
    uint number = gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    if (number >= push.rows)
        return;
    Row row = find_row(number);
    uint vectors = row_vectors();
    float origin = row_origin(row);
    vec4 sums = vec4(0.0);
    // Of root mean squares, the first pass is there to store sums.
    for (uint begin = 0u; begin < vectors && (!has(VKA_FLAG_RMS) || has(VKA_FLAG_SUM)); begin += BLOCK) {
        vec4 block = vec4(0.0);
        for (uint c = begin; c < min(begin + BLOCK, vectors); ++c)
            block += deviation(first_values(row, c), origin, c);
        sums += block;
    }
    Centre centre = Centre(has(VKA_FLAG_RMS) ? 0.0 : origin + total(sums) / float(p.cols), 0.0);
    sums = vec4(0.0);
    vec4 squares = vec4(0.0);
    for (uint begin = 0u; begin < vectors; begin += BLOCK) {
        vec4 block = vec4(0.0), block_squares = vec4(0.0);
        for (uint c = begin; c < min(begin + BLOCK, vectors); ++c) {
            vec4 d = deviation(later_values(row, c), centre.near, c);
            block += d;
            block_squares = fma(d, d, block_squares);
        }
        sums += block;
        squares += block_squares;
    }
    float variance_ = variance(vec2(total(sums), total(squares)), centre);
    if (is_nonfinite(variance_ + p.epsilon)) {
        scaled_row(row);
        return;
    }
    float inverse = inverse_of(variance_);
#if VKA_GROUPS
    for (uint c = 0u; has_results() && c < vectors; ++c)
        store_values(row, c, later_values(row, c), centre, inverse);
#else
    uint carry = 0u;
    for (uint c = 0u; has_results() && c < vectors; ++c)
        out_stream4(row.out_, p.out_.d, c, p.cols, fast(), result(row, later_values(row, c), c, centre, inverse), carry);
    if (has_results())
        out_stream4(row.out_, p.out_.d, vectors, p.cols, fast(), vec4(0.0), carry);
#endif
    store_statistics(row, centre, inverse, 1.0);
}
