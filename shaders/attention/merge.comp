#version 450
// Merges the partial results of keys split over workgroups (Flash-Decoding, Dao 2023).
//
// An invocation owns one channel of one row: it finds the largest maximum of the splits, and sums their outputs and sums,
// each scaled to it. Splits that saw nothing have a sum of 0 and the lowest maximum, and weigh nothing.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "attention.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

VKA_OUTPUT(VKA_BIND_OUT, out)
VKA_OUTPUT_F32(VKA_BIND_LSE, lse)
VKA_INPUT_F32(VKA_BIND_WORKSPACE, ws)
VKA_WRITERS(out, OUT_TYPE)
#if VKA_WITH_OPTIONS
VKA_OUTPUT_F32(VKA_BIND_STATS, stats)
#endif
#include "attention_final.glsl"

// The first split with the highest score has the key that takes all, or of parts, whose keys lie in any order, the one that
// says so; a NaN anywhere spoils the row.
State merge_hard(uint row, uint splits, uint d, out float x) {
    State state = no_state();
    uint best = 0u;
    float winner = 0.0;
    for (uint s = 0u; s < splits; ++s) {
        float maximum = ws_at(p.ws_stats + (row + s) * 2u), sum = ws_at(p.ws_stats + (row + s) * 2u + 1u);
        state.sum = is_nan(sum) || is_nan(state.sum) ? state.sum + sum : max(state.sum, sum);
        if (maximum > state.maximum || (PARTED && maximum == state.maximum && sum < winner)) {
            state.maximum = maximum;
            winner = sum;
            best = s;
        }
    }
    if (PARTED && state.sum > 1.0)
        state.sum = 1.0;
    x = ws_at((row + best) * DV + d);
    return state;
}

State merge_soft(uint row, uint splits, uint d, out float x) {
    State state = no_state();
    x = 0.0;
    for (uint s = 0u; s < splits; ++s)
        state.maximum = max(state.maximum, ws_at(p.ws_stats + (row + s) * 2u));
    for (uint s = 0u; s < splits; ++s) {
        float weight = exp_of(ws_at(p.ws_stats + (row + s) * 2u) - state.maximum);
        state.sum += weight * ws_at(p.ws_stats + (row + s) * 2u + 1u);
        x += weight * ws_at((row + s) * DV + d);
    }
    return state;
}

void main() {
    uint item = (gl_WorkGroupID.x + push.x0) * gl_WorkGroupSize.x + gl_LocalInvocationIndex, d = item % DV;
    Grid g = sequence_of(gl_WorkGroupID.y + push.y0, gl_WorkGroupID.z + push.z0); // heads of queries
    uvec2 query = uvec2(g.head, push.row0 + item / DV);
    if (query.y >= g.q_len || item / DV >= p.part_rows)
        return;
#if VKA_WITH_OPTIONS
    if (MAPPED)
        g.splits = map_splits_of(g, query);
#endif
    uint row = workspace_row(g, query);
    float x, rescale;
    uint splits = PARTED ? g.splits * p.parts : g.splits;
    State state = has_option(VKA_FLAG_HARD) ? merge_hard(row, splits, d, x) : merge_soft(row, splits, d, x);
    state = with_sink(state, query.x, rescale);
    out_put(out_at(g, query) + d * p.out_.d, plain_zero(x * (rescale * normaliser(state.sum))));
    if (d == 0u)
        store_final(g, query, state);
}
