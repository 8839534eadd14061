#version 450
// Norms where a workgroup owns a row, for GPUs: neighbours read neighbouring columns. Or a subgroup of its own does, for
// software drivers whose lanes load together: no barriers, and weights and biases are read once for BR rows.
//
// Invocation t owns the vectors of four columns t, t + GROUP_SIZE, .. Rows of up to COLS vectors an invocation are kept in
// registers and read once; longer ones (COLS = 0) are read again for the variance and the result. The mean is exact to
// rounding before deviations are squared. Sums go through subgroups where the device has their arithmetic.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#if VKA_SUBGROUP
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_basic : require
#endif
#include "elements.glsl"
#include "norm.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;
layout(constant_id = VKA_SPEC_COLS) const uint COLS = 0u;
layout(constant_id = VKA_SPEC_BR) const uint BR = 1u;

const uint KEPT = COLS > 0u ? COLS : 1u;
// Weights and biases wait in registers, if rows do.
const bool KEEPS_WEIGHTS = BR > 1u && COLS > 0u;
const uint KEPT_WEIGHTS = KEEPS_WEIGHTS ? KEPT : 1u;

vec4 scales[KEPT_WEIGHTS], shifts[KEPT_WEIGHTS];

#define VKA_PARTS vec2
#include "group_reduction.glsl"

uint vector(uint i) {
    return i * GROUP_SIZE + gl_LocalInvocationIndex;
}

// Rows that f32 does not hold squared: rare, so never mind how fast. All invocations come here, or none.
void scaled_row(Row row) {
    uint t = gl_LocalInvocationIndex;
    Centre centre = Centre(0.0, 0.0);
    vec2 sums;
    // Not unrolled: some software drivers take seconds to compile each copy of the loads.
    [[dont_unroll]] for (uint i = 0u; i < 3u; ++i) {
        sums = group_sum(scaled_sums(row, t, GROUP_SIZE, centre.near));
        centre.near = nearer_centre(centre.near, sums.x, i);
    }
    float variance_ = variance(sums, centre);
    float inverse = scaled_inverse_of(variance_);
    store_scaled_values(row, t, GROUP_SIZE, centre, inverse);
    if (t == 0u)
        store_statistics(row, centre, inverse, SCALE);
}

// Of the vectors that are kept, all but the last one are in every row.
bool is_there(uint i) {
    return i + 1u < COLS || vector(i) < row_vectors();
}

void keep_weights(Row row) {
    [[unroll]] for (uint i = 0u; i < KEPT; ++i)
        if (is_there(i)) {
            scales[i] = scale_of(row.channel, vector(i));
            shifts[i] = shift_of(row.channel, vector(i));
        }
}

void store_kept(Row row, uint i, vec4 y, Centre centre, float inverse) {
    if (KEEPS_WEIGHTS)
        put_result(row, vector(i), fma(normalised(y, centre, inverse), scales[i], shifts[i]));
    else
        store_values(row, vector(i), y, centre, inverse);
}

void do_row(Row row) {
    uint vectors = row_vectors(), count = (vectors + GROUP_SIZE - 1u) / GROUP_SIZE;
    float origin = row_origin(row);
    // The sum may be stored over x: everybody has the origin before anybody stores.
    memoryBarrierBuffer();
    if (SUBGROUP == 0u)
        barrier();
    vec4 kept[KEPT];
    float local = 0.0;
    if (COLS > 0u) {
        [[unroll]] for (uint i = 0u; i < KEPT; ++i) {
            kept[i] = is_there(i) ? first_values(row, vector(i)) : vec4(0.0);
            if (is_there(i))
                local += total(deviation(kept[i], origin, vector(i)));
        }
    } else {
        for (uint begin = 0u; begin < count; begin += BLOCK) {
            float block = 0.0;
            for (uint i = begin; i < min(begin + BLOCK, count); ++i)
                if (vector(i) < vectors)
                    block += total(deviation(first_values(row, vector(i)), origin, vector(i)));
            local += block;
        }
    }
    Centre centre = Centre(0.0, 0.0);
    if (!has(VKA_FLAG_RMS))
        centre.near = origin + group_sum(vec2(local, 0.0)).x / float(p.cols);
    vec2 sums = vec2(0.0);
    if (COLS > 0u) {
        [[unroll]] for (uint i = 0u; i < KEPT; ++i) {
            vec4 d = deviation(kept[i], centre.near, vector(i));
            if (is_there(i))
                sums += vec2(total(d), dot(d, d));
        }
    } else {
        for (uint begin = 0u; begin < count; begin += BLOCK) {
            vec2 block = vec2(0.0);
            for (uint i = begin; i < min(begin + BLOCK, count); ++i)
                if (vector(i) < vectors) {
                    vec4 d = deviation(later_values(row, vector(i)), centre.near, vector(i));
                    block += vec2(total(d), dot(d, d));
                }
            sums += block;
        }
    }
    float variance_ = variance(group_sum(sums), centre);
    if (is_nonfinite(variance_ + p.epsilon)) {
        scaled_row(row);
        return;
    }
    float inverse = inverse_of(variance_);
    if (has_results() && COLS > 0u) {
        [[unroll]] for (uint i = 0u; i < KEPT; ++i)
            if (is_there(i))
                store_kept(row, i, kept[i], centre, inverse);
    } else if (has_results()) {
        for (uint i = 0u; i < count; ++i)
            if (vector(i) < vectors)
                store_values(row, vector(i), later_values(row, vector(i)), centre, inverse);
    }
    if (gl_LocalInvocationIndex == 0u)
        store_statistics(row, centre, inverse, 1.0);
}

void main() {
    uint first = gl_WorkGroupID.x * BR;
    if (KEEPS_WEIGHTS)
        keep_weights(find_row(first));
    [[dont_unroll]] for (uint i = 0u; i < BR && (i == 0u || first + i < push.rows); ++i)
        do_row(find_row(first + i));
}
