#version 450
// Softmax where a workgroup owns a row, for GPUs: neighbours read neighbouring columns. Or a subgroup of its own does, for
// software drivers whose lanes load together: no barriers, BR rows one after the other.
//
// Invocation t owns the vectors of four columns t, t + GROUP_SIZE, .. Rows of up to COLS vectors an invocation are kept in
// registers: read once, and each exponential taken once. Longer ones (COLS = 0) are walked for maximum and sum, and read
// again for the result.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#if VKA_SUBGROUP
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_basic : require
#endif
#include "elements.glsl"
#include "softmax_rows.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;
layout(constant_id = VKA_SPEC_COLS) const uint COLS = 0u;
layout(constant_id = VKA_SPEC_BR) const uint BR = 1u;

#define VKA_PARTS float
#include "group_reduction.glsl"
#include "softmax_group.glsl"

const uint KEPT = COLS > 0u ? COLS : 1u;

uint vector(uint i) {
    return i * GROUP_SIZE + gl_LocalInvocationIndex;
}

// Of the vectors that are kept, all but the last one are in every row that has no length.
bool is_whole(uint i) {
    return i + 1u < COLS && !has(VKA_FLAG_LENGTHS);
}

void kept_row(Row row) {
    Values kept[KEPT];
    vec4 weight[KEPT];
    State s = no_values();
    [[unroll]] for (uint i = 0u; i < KEPT; ++i) {
        kept[i] = row_values(row, vector(i), is_whole(i));
        s.maximum = max(s.maximum, largest(kept[i].x));
        s.spoilt = s.spoilt || spoils(kept[i]);
    }
    s.maximum = group_max(s.spoilt ? LOWEST : s.maximum);
    vec4 sums = vec4(0.0);
    [[unroll]] for (uint i = 0u; i < KEPT; ++i) {
        weight[i] = weights(kept[i], s.maximum);
        sums += weight[i];
    }
    s.sum = group_sum(s.spoilt ? not_a_number() : total(sums));
    s.spoilt = is_nonfinite(s.sum);
    float normal = normaliser(s);
    [[unroll]] for (uint i = 0u; i < KEPT; ++i)
        if (i + 1u < COLS || 4u * vector(i) < p.cols)
            out_put_words4(row.out_, p.out_.d, vector(i), p.cols, fast(),
                           result(row, vector(i), is_whole(i), kept[i], s, weight[i], normal));
}

void do_row(Row row) {
    if (COLS > 0u) {
        kept_row(row);
        return;
    }
    State s = group_state(walk(row.x, row.live, gl_LocalInvocationIndex, GROUP_SIZE, fast()));
    float normal = normaliser(s);
    for (uint c = gl_LocalInvocationIndex; 4u * c < p.cols; c += GROUP_SIZE)
        out_put_words4(row.out_, p.out_.d, c, p.cols, fast(), later_result(row, c, s, normal));
}

void main() {
    uint first = gl_WorkGroupID.x * BR;
    [[dont_unroll]] for (uint i = 0u; i < BR && (i == 0u || first + i < push.rows); ++i)
        do_row(find_row(first + i));
}
