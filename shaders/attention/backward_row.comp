#version 450
// Attention's backward where an invocation owns rows: VKA_KEYS = 0, queries, whose gradients it adds up over all keys that
// they see; VKA_KEYS = 1, keys and values, over all queries that see them. Neither needs another's results, so that there
// are no atomics, and scores are computed twice instead of being kept (Dao 2022).
//
// Tiling: a workgroup of GROUP_SIZE invocations owns BR = GROUP_SIZE rows; the others, "partners", come BC a step. With
// subgroups (VKA_SUBGROUP = 1, the workgroup is one subgroup) each invocation loads a part of a partner's row and broadcasts
// it, otherwise all load the same. No shared memory, no barriers: made for software drivers, as row.comp is.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#if VKA_SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#define VKA_BACKWARD 1
#include "elements.glsl"
#include "attention.glsl"
#include "blocks.glsl"
#include "attention_backward.glsl"
#include "backward_rows.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

vec4 x_rows[D4], y_rows[DV4];
vec4 x_grads[D4];
#if VKA_KEYS
vec4 y_grads[DV4];
#endif
float slope_sum; // of ALiBi

// ---- partners, one at a time, for all invocations ----------------------------------------------------------------------

#if VKA_SUBGROUP
layout(constant_id = VKA_SPEC_SUBGROUP) const uint SG = 8u;
const uint X_PARTS = (D4 + SG - 1u) / SG;
const uint Y_PARTS = (DV4 + SG - 1u) / SG;
vec4 x_parts[BC * X_PARTS];
vec4 y_parts[BC * Y_PARTS];

void fetch(uint c, Place at) {
    [[unroll]] for (uint i = 0u; i < X_PARTS; ++i) {
        uint d = i * SG + gl_SubgroupInvocationID;
        x_parts[c * X_PARTS + i] = vec4(0.0);
        if (d < D4)
            x_parts[c * X_PARTS + i] = partner_x(at, d);
    }
    [[unroll]] for (uint i = 0u; i < Y_PARTS; ++i) {
        uint d = i * SG + gl_SubgroupInvocationID;
        y_parts[c * Y_PARTS + i] = vec4(0.0);
        if (d < DV4)
            y_parts[c * Y_PARTS + i] = partner_y(at, d);
    }
}

vec4 step_x(uint c, Place at, uint d) {
    return subgroupShuffle(x_parts[c * X_PARTS + d / SG], d % SG);
}

vec4 step_y(uint c, Place at, uint d) {
    return subgroupShuffle(y_parts[c * Y_PARTS + d / SG], d % SG);
}
#else
void fetch(uint c, Place at) {
}

vec4 step_x(uint c, Place at, uint d) {
    return partner_x(at, d);
}

vec4 step_y(uint c, Place at, uint d) {
    return partner_y(at, d);
}
#endif

// ---- a step ------------------------------------------------------------------------------------------------------------

// The own row; of queries with what its pairs need.
uint own;
#if !VKA_KEYS
Row own_row;
QueryState own_state;
#endif

Pair step_pair(Grid g, int partner, float qk, float d_weight, bool full) {
#if VKA_KEYS
    return pair_of(g, row_of(g, uint(partner)), query_state(g, uint(partner)), int(own), qk, d_weight, full);
#else
    return pair_of(g, own_row, own_state, partner, qk, d_weight, full);
#endif
}

// Partners first .. first + BC - 1, of which those from `end` on count for nothing. `full`: all are seen.
void add_step(Grid g, int first, int end, bool full) {
    float s[BC], t[BC];
    bool seen[BC];
    Place at[BC];
    [[unroll]] for (uint c = 0u; c < BC; ++c) {
        s[c] = t[c] = 0.0;
        at[c] = partner_place(g, full ? first + int(c) : min(first + int(c), end - 1));
        fetch(c, at[c]);
    }
    VKA_UNROLL(d, D4) {
        [[unroll]] for (uint c = 0u; c < BC; ++c) s[c] = dot_add(x_rows[d], step_x(c, at[c], d), s[c]);
    }
    VKA_UNROLL(d, DV4) {
        [[unroll]] for (uint c = 0u; c < BC; ++c) t[c] = dot_add(y_rows[d], step_y(c, at[c], d), t[c]);
    }
    [[unroll]] for (uint c = 0u; c < BC; ++c) {
        int partner = first + int(c);
        Pair pair = step_pair(g, full ? partner : min(partner, end - 1), s[c], t[c], full);
        seen[c] = full || (partner < end && pair.seen);
        s[c] = seen[c] ? pair.product : 0.0;
        t[c] = seen[c] ? pair.weight : 0.0;
#if VKA_WITH_OPTIONS && !VKA_KEYS
        if (has(VKA_FLAG_D_ALIBI))
            slope_sum += slope_gradient(g, own_row, partner, seen[c] ? pair.score : 0.0);
#endif
    }
    VKA_UNROLL(d, D4) {
        vec4 sum = x_grads[d];
        [[unroll]] for (uint c = 0u; c < BC; ++c)
            sum = fma(vec4(s[c]), full || seen[c] ? step_x(c, at[c], d) : vec4(0.0), sum);
        x_grads[d] = sum;
    }
#if VKA_KEYS
    VKA_UNROLL(d, DV4) {
        vec4 sum = y_grads[d];
        [[unroll]] for (uint c = 0u; c < BC; ++c)
            sum = fma(vec4(t[c]), full || seen[c] ? step_y(c, at[c], d) : vec4(0.0), sum);
        y_grads[d] = sum;
    }
#endif
}

void add_steps(Grid g, int begin, int end, int full_begin, int full_end) {
    ADD_STEPS(begin, end, full_begin, full_end, add_step)
}

void load_rows(Place at) {
    VKA_UNROLL(d, D4) x_rows[d] = own_x(at, d);
    VKA_UNROLL(d, DV4) y_rows[d] = own_y(at, d);
}

void clear_sums() {
    VKA_UNROLL(d, D4) x_grads[d] = vec4(0.0);
#if VKA_KEYS
    VKA_UNROLL(d, DV4) y_grads[d] = vec4(0.0);
#endif
    slope_sum = 0.0;
}

#if VKA_KEYS
// Grid heads are key heads.
void main() {
    uint head = gl_WorkGroupID.y + push.y0, batch = gl_WorkGroupID.z + push.z0;
    uint first = (gl_WorkGroupID.x + push.x0) * BR;
    Grid g = sequence_of(head * p.group, batch);
    uint rows = written_rows(g);
    if (first >= rows)
        return;
    own = first + gl_LocalInvocationIndex;
    load_rows(own_place(g, min(own, rows - 1u)));
    clear_sums();
    add_sharers(head, batch, first);
    if (own >= rows)
        return;
    VKA_UNROLL(d, D4) put_x(g, head, own, d, x_grads[d]);
    VKA_UNROLL(d, DV4) put_y(g, head, own, d, y_grads[d]);
}
#else
// Grid heads are query heads.
void main() {
    Grid g = grid_position();
    uint first = g.tile * BR, row = first + gl_LocalInvocationIndex;
    own = min(row, max(g.q_len, 1u) - 1u);
    clear_sums();
    if (first < g.q_len) {
        load_rows(own_place(g, own));
        own_state = query_state(g, own);
        own_row = row_of(g, own);
        add_partners(g, first);
        if (!own_state.alive || row >= g.q_len)
            clear_sums();
    }
    if (row >= written_rows(g))
        return;
    VKA_UNROLL(d, D4) put_x(g, g.head, row, d, x_grads[d]);
    put_slope_sum(g, row, slope_sum);
}
#endif
