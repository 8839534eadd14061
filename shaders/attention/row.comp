#version 450
// Attention where an invocation owns query rows (Dao 2022, with the tile in registers).
//
// Tiling: a workgroup of GROUP_SIZE invocations owns BR = GROUP_SIZE * RM rows; invocation t owns the rows t,
// t + GROUP_SIZE, .. and keeps their q, out, maximum and sum in registers. Keys and values come BC a step; with subgroups
// (VKA_SUBGROUP = 1, the workgroup is one subgroup) each invocation loads a part of the row and broadcasts it, otherwise
// all load the same. No shared memory, no barriers: made for software drivers, where broadcasts are nearly free, loads
// are not, and barriers least of all.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#if VKA_SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#define VKA_READ_WORDS 1
#include "storage.glsl"
#include "attention.glsl"
#include "attention_io.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

vec4 q_rows[RM * D4];
vec4 out_rows[RM * DV4];
State state[RM];
uint query_of[RM];

// ---- keys and values, one at a time, for all invocations ------------------------------------------------------------

#if VKA_SUBGROUP
// The subgroup loads a row together, a vector of four an invocation, and each vector is broadcast when it is due.
layout(constant_id = VKA_SPEC_SUBGROUP) const uint SG = 8u;
const uint K_PARTS = (D4 + SG - 1u) / SG;
const uint V_PARTS = (DV4 + SG - 1u) / SG;
vec4 k_parts[BC * K_PARTS];
vec4 v_parts[BC * V_PARTS];

void fetch_key(uint c, uint at) {
    [[unroll]] for (uint i = 0u; i < K_PARTS; ++i) {
        uint d = i * SG + gl_SubgroupInvocationID;
        k_parts[c * K_PARTS + i] = vec4(0.0);
        if (d < D4)
            k_parts[c * K_PARTS + i] = k_row4(at, p.k.d, d, D, has(VKA_FLAG_VEC4_QK));
    }
}

void fetch_value(uint c, uint at) {
    [[unroll]] for (uint i = 0u; i < V_PARTS; ++i) {
        uint d = i * SG + gl_SubgroupInvocationID;
        v_parts[c * V_PARTS + i] = vec4(0.0);
        if (d < DV4)
            v_parts[c * V_PARTS + i] = v_row4(at, p.v.d, d, DV, has(VKA_FLAG_VEC4_V));
    }
}

vec4 key_vector(uint c, uint at, uint d) {
    return subgroupShuffle(k_parts[c * K_PARTS + d / SG], d % SG);
}

vec4 value_vector(uint c, uint at, uint d) {
    return subgroupShuffle(v_parts[c * V_PARTS + d / SG], d % SG);
}
#else
// Every invocation loads at the same address.
void fetch_key(uint c, uint at) {
}

void fetch_value(uint c, uint at) {
}

vec4 key_vector(uint c, uint at, uint d) {
    return k_row4(at, p.k.d, d, D, has(VKA_FLAG_VEC4_QK));
}

vec4 value_vector(uint c, uint at, uint d) {
    return v_row4(at, p.v.d, d, DV, has(VKA_FLAG_VEC4_V));
}
#endif

void load_queries(Grid g, uint first_row) {
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        uint row = min(first_row + r * gl_WorkGroupSize.x + gl_LocalInvocationIndex, row_count() - 1u);
        uvec2 query = row_query(g, row);
        uint at = query_at(g, query);
        VKA_UNROLL(d, D4) q_rows[r * D4 + d] = q_row4(at, p.q.d, d, D, has(VKA_FLAG_VEC4_QK));
        VKA_UNROLL(d, DV4) out_rows[r * DV4 + d] = vec4(0.0);
        query_of[r] = query.y;
        state[r] = State(LOWEST, 0.0);
    }
}

// Brings a row to a new maximum; returns what its old results are worth.
float raise_maximum(uint r, float candidate) {
    float maximum = max(state[r].maximum, candidate);
    float scale = exp2(state[r].maximum - maximum);
    state[r].maximum = maximum;
    return scale;
}

// BC keys that every row sees.
void full_step(uint k_at, uint v_at) {
    float s[RM * BC];
    [[unroll]] for (uint i = 0u; i < RM * BC; ++i) s[i] = 0.0;
    [[unroll]] for (uint c = 0u; c < BC; ++c) fetch_key(c, k_at + c * p.k.n);
    VKA_UNROLL(d, D4) {
        [[unroll]] for (uint c = 0u; c < BC; ++c) {
            vec4 key = key_vector(c, k_at + c * p.k.n, d);
            [[unroll]] for (uint r = 0u; r < RM; ++r) s[r * BC + c] = dot_add(q_rows[r * D4 + d], key, s[r * BC + c]);
        }
    }
    float rescale[RM];
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        float highest = LOWEST;
        [[unroll]] for (uint c = 0u; c < BC; ++c) {
            s[r * BC + c] = score_of(s[r * BC + c]);
            highest = max(highest, s[r * BC + c]);
        }
        rescale[r] = raise_maximum(r, highest);
        float sum = state[r].sum * rescale[r];
        [[unroll]] for (uint c = 0u; c < BC; ++c) {
            s[r * BC + c] = exp2(s[r * BC + c] - state[r].maximum);
            sum += s[r * BC + c];
        }
        state[r].sum = sum;
    }
    [[unroll]] for (uint c = 0u; c < BC; ++c) fetch_value(c, v_at + c * p.v.n);
    VKA_UNROLL(d, DV4) {
        vec4 o[RM];
        [[unroll]] for (uint r = 0u; r < RM; ++r) o[r] = out_rows[r * DV4 + d] * rescale[r];
        [[unroll]] for (uint c = 0u; c < BC; ++c) {
            vec4 value = value_vector(c, v_at + c * p.v.n, d);
            [[unroll]] for (uint r = 0u; r < RM; ++r) o[r] = fma(vec4(s[r * BC + c]), value, o[r]);
        }
        [[unroll]] for (uint r = 0u; r < RM; ++r) out_rows[r * DV4 + d] = o[r];
    }
}

// One key that some rows may not see. For those the value counts as 0, whatever it holds.
void masked_step(int j, uint k_at, uint v_at) {
    float weight[RM];
    bool visible[RM];
    [[unroll]] for (uint r = 0u; r < RM; ++r) weight[r] = 0.0;
    fetch_key(0u, k_at);
    VKA_UNROLL(d, D4) {
        vec4 key = key_vector(0u, k_at, d);
        [[unroll]] for (uint r = 0u; r < RM; ++r) weight[r] = dot_add(q_rows[r * D4 + d], key, weight[r]);
    }
    float rescale[RM];
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        visible[r] = key_visible(query_of[r], j);
        float s = score_of(weight[r]);
        rescale[r] = raise_maximum(r, visible[r] ? s : LOWEST);
        weight[r] = visible[r] ? exp2(s - state[r].maximum) : 0.0;
        state[r].sum = state[r].sum * rescale[r] + weight[r];
    }
    fetch_value(0u, v_at);
    VKA_UNROLL(d, DV4) {
        vec4 value = value_vector(0u, v_at, d);
        [[unroll]] for (uint r = 0u; r < RM; ++r) {
            vec4 seen = visible[r] ? value : vec4(0.0);
            out_rows[r * DV4 + d] = fma(vec4(weight[r]), seen, out_rows[r * DV4 + d] * rescale[r]);
        }
    }
}

// ---- results --------------------------------------------------------------------------------------------------------

// Final rows, on purpose in an array that is indexed at run time: stores are the longest code a software driver
// generates, and in a loop there is one of them instead of one a vector.
vec4 final_rows[RM * DV4];
State final_state[RM];

void store_rows(Grid g, uint first_row) {
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        float scale = final_scale(state[r]);
        VKA_UNROLL(d, DV4) final_rows[r * DV4 + d] = out_rows[r * DV4 + d] * scale;
        final_state[r] = state[r];
    }
    [[dont_unroll]] for (uint r = 0u; r < RM; ++r) {
        uint row = first_row + r * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
        if (row < row_count()) {
            uvec2 query = row_query(g, row);
            [[dont_unroll]] for (uint d = 0u; d < DV4; ++d)
                store_vector(g, query, d, final_rows[r * DV4 + d]);
            store_state(g, query, final_state[r]);
        }
    }
}

void main() {
    Grid g = grid_position();
    uint first_row = g.tile * BR;
    load_queries(g, first_row);
    uint k_head = key_head_at(g), v_head = value_head_at(g);
    Walk w = walk_keys(g, first_row);
    // Masked keys, full steps, masked keys: written as two rounds of the same two loops, so that each body is compiled
    // once, and without a branch inside that would have to merge all rows' registers.
    int j = w.begin, full_end = min(w.full_end, w.end);
    for (uint round = 0u; round < 2u; ++round) {
        int stop = round == 0u ? min(w.full_begin, w.end) : w.end;
        for (; j < stop; ++j)
            masked_step(j, k_head + uint(j) * p.k.n, v_head + uint(j) * p.v.n);
        for (; j + int(BC) <= full_end; j += int(BC))
            full_step(k_head + uint(j) * p.k.n, v_head + uint(j) * p.v.n);
    }
    store_rows(g, first_row);
}
