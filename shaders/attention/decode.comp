#version 450
// Attention of few query rows over many keys (Flash-Decoding, Dao 2023), in the registers of one subgroup.
//
// Tiling: a workgroup is one subgroup and owns BR = RM rows. TC lanes share a key: lane l owns every TC-th vector, or
// pair of vectors, of q, k, v and out, so that memory is read in whole lines and each element once, for all rows. The SG / TC teams of TC
// lanes take neighbouring keys, each with a softmax state of its own; they are merged at the end. No shared memory, no
// barriers.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#define VKA_LIST_SCAN 1
#include "elements.glsl"
#include "attention.glsl"
#include "attention_io.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_SUBGROUP) const uint SG = 8u;
layout(constant_id = VKA_SPEC_N) const uint SIDE_BY_SIDE = 1u;

const uint TEAMS = SG / TC;
const uint D_PARTS = (D4 + TC - 1u) / TC;
const uint DV_PARTS = (DV4 + TC - 1u) / TC;

vec4 q_rows[RM * D_PARTS];
vec4 out_rows[RM * DV_PARTS];
State state[RM];
Row row_info[RM];
int winner[RM]; // of hard attention: the key that has all
uint lane, team; // place among the lanes of a key; which of the keys

// The vector that is a lane's part i of `parts`. Of narrower elements than floats, SIDE_BY_SIDE vectors follow each other where
// that comes out even: two of halves are loaded by 16 bytes.
uint place_of(uint i, uint parts, uint type) {
    uint side = type != VKA_TYPE_F32 && parts % SIDE_BY_SIDE == 0u ? SIDE_BY_SIDE : 1u;
    return (i / side * TC + lane) * side + i % side;
}

uint key_place(uint i) {
    return place_of(i, D_PARTS, K_TYPE);
}

uint value_place(uint i) {
    return place_of(i, DV_PARTS, V_TYPE);
}

vec4 key_part(Source from, uint i) {
    uint d = key_place(i);
    return D4 % TC == 0u || d < D4 ? key_vector4(from, d) : vec4(0.0);
}

vec4 value_part(Source from, uint i) {
    uint d = value_place(i);
    return DV4 % TC == 0u || d < DV4 ? value_vector4(from, d) : vec4(0.0);
}

#ifdef VKA_WITH_PRODUCTS
vec4 position_rows[RELATIVE_KEYS ? RM * D_PARTS : 1u]; // queries as keys of relative positions are multiplied by them

float team_sum(float x);

// Makes of a row what its keys are multiplied by.
void prepare_row(uint r) {
    uint head = row_info[r].head;
    float squares = 0.0;
    [[unroll]] for (uint i = 0u; i < D_PARTS; ++i)
        squares = dot_add(q_rows[r * D_PARTS + i], q_rows[r * D_PARTS + i], squares);
    float factor = COSINE ? inverse_norm(team_sum(squares)) * cosine_scale(head) : 1.0;
    [[unroll]] for (uint i = 0u; i < D_PARTS; ++i) {
        uint d = key_place(i);
        if (COSINE)
            q_rows[r * D_PARTS + i] *= factor;
        if (RELATIVE_KEYS && d < D4) {
            position_rows[r * D_PARTS + i] = q_rows[r * D_PARTS + i] + position_bias4(head, d);
            q_rows[r * D_PARTS + i] += content_bias4(head, d);
        }
    }
}

// This lane's part of a row's product with a key of a relative position.
float relative_part(Grid g, uint r, int key, float sum) {
    uint at = relative_key_at(g, row_info[r], key);
    [[unroll]] for (uint i = 0u; i < D_PARTS; ++i)
        if (key_place(i) < D4)
            sum = dot_add(position_rows[r * D_PARTS + i], relative_key4(at, key_place(i)), sum);
    return sum;
}
#endif

void load_queries(Grid g, uint first_row) {
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        uint row = min(first_row + r, row_count(g) - 1u), at = query_at(g, row_query(g, row));
        [[unroll]] for (uint i = 0u; i < D_PARTS; ++i) {
            uint d = key_place(i);
            q_rows[r * D_PARTS + i] = vec4(0.0);
            if (d < D4)
                q_rows[r * D_PARTS + i] = q_row4(at, p.q.d, d, D, has(VKA_FLAG_VEC4_QK));
        }
        [[unroll]] for (uint i = 0u; i < DV_PARTS; ++i) out_rows[r * DV_PARTS + i] = vec4(0.0);
        row_info[r] = row_of(g, row);
        state[r] = no_state();
        winner[r] = 0x7fffffff;
#ifdef VKA_WITH_PRODUCTS
        prepare_row(r);
#endif
    }
}

// The sum over the lanes of a key, for all of them.
float team_sum(float x) {
    if (TC == SG)
        return subgroupAdd(x);
    [[unroll]] for (uint step = 1u; step < TC; step *= 2u) x += subgroupShuffleXor(x, step);
    return x;
}

// What the keys of a step do to a row: weights, and what its old results are worth. `seen` says which keys have a value
// that counts.
float online_softmax_step(Grid g, uint r, int j, uint count, inout float s[BC], inout bool seen[BC]) {
    float highest = LOWEST;
    [[unroll]] for (uint c = 0u; c < count; ++c) highest = seen[c] ? max(highest, s[c]) : highest;
    float maximum = max(state[r].maximum, highest), rescale = exp_of(state[r].maximum - maximum);
    state[r] = State(maximum, state[r].sum * rescale);
    [[unroll]] for (uint c = 0u; c < count; ++c) {
        s[c] = seen[c] ? exp_of(s[c] - maximum) : 0.0;
        state[r].sum += s[c];
        s[c] = apply_dropout(g, row_info[r], j + int(c * TEAMS + team), s[c]);
    }
    return rescale;
}

// The first key with the highest score so far gets all; a NaN spoils the row.
float argmax_step(uint r, int j, uint count, inout float s[BC], inout bool seen[BC]) {
    float rescale = 1.0;
    [[unroll]] for (uint c = 0u; c < count; ++c) {
        bool wins = seen[c] && s[c] > state[r].maximum;
        if (seen[c] && is_nan(s[c]))
            state[r].sum = s[c];
        if (wins) {
            [[unroll]] for (uint before = 0u; before < c; ++before) seen[before] = false;
            winner[r] = j + int(c * TEAMS + team);
            state[r] = State(s[c], is_nan(state[r].sum) ? state[r].sum : sum_of_winner(winner[r]));
            rescale = 0.0;
        }
        seen[c] = wins;
        s[c] = 1.0;
    }
    return rescale;
}

vec4 times(vec4 x, float factor) {
    // What lost to a higher score may be NaN.
    return has_option(VKA_FLAG_HARD) && factor == 0.0 ? vec4(0.0) : x * factor;
}

// BC keys a team from j on. A masked step takes one a team, which some rows may not see, or which may lie beyond the end:
// for those the value counts as 0, whatever it holds. `masked` is constant.
void step_keys(bool masked, Grid g, int j, int end, uint k_head, uint v_head) {
    const uint count = masked ? 1u : BC;
    vec4 keys[BC * D_PARTS], values[BC * DV_PARTS];
    [[unroll]] for (uint c = 0u; c < count; ++c) {
        int key = j + int(c * TEAMS + team), at = masked ? min(key, end - 1) : key;
        Source k_from = key_source(g, k_head, at), v_from = value_source(g, v_head, at);
        [[unroll]] for (uint i = 0u; i < D_PARTS; ++i) keys[c * D_PARTS + i] = key_part(k_from, i);
        [[unroll]] for (uint i = 0u; i < DV_PARTS; ++i) values[c * DV_PARTS + i] = value_part(v_from, i);
    }
#ifdef VKA_WITH_PRODUCTS
    float inverse[BC]; // of the length of each key
    [[unroll]] for (uint c = 0u; c < count; ++c) {
        float squares = 0.0;
        [[unroll]] for (uint i = 0u; i < D_PARTS; ++i)
            squares = dot_add(keys[c * D_PARTS + i], keys[c * D_PARTS + i], squares);
        inverse[c] = COSINE ? inverse_norm(team_sum(squares)) : 1.0;
    }
#endif
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        float s[BC];
        bool seen[BC];
        [[unroll]] for (uint c = 0u; c < count; ++c) {
            int key = j + int(c * TEAMS + team);
            float part = 0.0;
            [[unroll]] for (uint i = 0u; i < D_PARTS; ++i)
                part = dot_add(q_rows[r * D_PARTS + i], keys[c * D_PARTS + i], part);
#ifdef VKA_WITH_PRODUCTS
            if (RELATIVE_KEYS)
                part = relative_part(g, r, masked ? min(key, end - 1) : key, part);
            part = team_sum(part);
            s[c] = score_of(part * inverse[c]);
#else
            s[c] = score_of(team_sum(part));
#endif
            seen[c] = !masked || (key < end && in_band(g, row_info[r].query, key));
            if (biased() && seen[c])
                seen[c] = bias_score(g, row_info[r], key, s[c]);
        }
        float rescale = has_option(VKA_FLAG_HARD) ? argmax_step(r, j, count, s, seen)
                                            : online_softmax_step(g, r, j, count, s, seen);
        [[unroll]] for (uint i = 0u; i < DV_PARTS; ++i) {
            vec4 x = times(out_rows[r * DV_PARTS + i], rescale);
            [[unroll]] for (uint c = 0u; c < count; ++c)
                x = fma(vec4(s[c]), seen[c] ? values[c * DV_PARTS + i] : vec4(0.0), x);
            out_rows[r * DV_PARTS + i] = x;
        }
    }
}

// What a team's results are worth among two teams', and the better of them.
float merge_state(uint r, uint step) {
    float other = subgroupShuffleXor(state[r].maximum, step), other_sum = subgroupShuffleXor(state[r].sum, step);
    float maximum = max(state[r].maximum, other);
    if (has_option(VKA_FLAG_HARD)) {
        int other_winner = subgroupShuffleXor(winner[r], step);
        bool wins = state[r].maximum > other || (state[r].maximum == other && winner[r] <= other_winner);
        bool spoilt = is_nan(state[r].sum) || is_nan(other_sum);
        state[r] = State(maximum, spoilt ? state[r].sum + other_sum : wins ? state[r].sum : other_sum);
        winner[r] = wins ? winner[r] : other_winner;
        return wins ? 1.0 : 0.0;
    }
    float scale = exp_of(state[r].maximum - maximum);
    state[r] = State(maximum, state[r].sum * scale + other_sum * exp_of(other - maximum));
    return scale;
}

// All teams' states and outputs become those of all keys.
void merge_teams() {
    [[unroll]] for (uint step = TC; step < SG; step *= 2u) {
        [[unroll]] for (uint r = 0u; r < RM; ++r) {
            float scale = merge_state(r, step);
            [[unroll]] for (uint i = 0u; i < DV_PARTS; ++i) {
                vec4 x = times(out_rows[r * DV_PARTS + i], scale);
                out_rows[r * DV_PARTS + i] = x + subgroupShuffleXor(x, step);
            }
        }
    }
}

// Final rows in an array that is indexed at run time, as in row.comp: stores are long code on a software driver.
vec4 final_rows[RM * DV_PARTS];
State final_state[RM];

void store_rows(Grid g, uint first_row) {
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        float scale = final_scale(state[r], row_info[r].head);
        [[unroll]] for (uint i = 0u; i < DV_PARTS; ++i)
            final_rows[r * DV_PARTS + i] = out_rows[r * DV_PARTS + i] * scale;
        final_state[r] = state[r];
    }
    if (team != 0u)
        return;
    [[dont_unroll]] for (uint r = 0u; r < min(RM, row_count(g) - first_row); ++r) {
        if (!is_row(g, first_row + r))
            continue;
        uvec2 query = row_query(g, first_row + r);
        [[dont_unroll]] for (uint i = 0u; i < DV_PARTS; ++i)
            if (value_place(i) < DV4)
                store_vector(g, query, value_place(i), final_rows[r * DV_PARTS + i]);
        if (lane == 0u)
            store_state(g, query, final_state[r]);
    }
}

void main() {
    lane = gl_SubgroupInvocationID % TC;
    team = gl_SubgroupInvocationID / TC;
    Grid g = grid_position();
    if (is_idle(g))
        return;
    uint first_row = g.tile * BR;
    load_queries(g, first_row);
    uint k_head = key_head_at(g), v_head = value_head_at(g);
    run = walk_keys(g, first_row);
    // Masked keys, full steps, masked keys: two rounds of the same two loops, so that each body is compiled once.
    do {
        int j = run.begin, full_end = min(run.full_end, run.end);
        for (uint round = 0u; round < 2u; ++round) {
            int stop = round == 0u ? min(run.full_begin, run.end) : run.end;
            for (; j < stop; j += int(TEAMS))
                step_keys(true, g, j, run.end, k_head, v_head);
            for (; j + int(BC * TEAMS) <= full_end; j += int(BC * TEAMS))
                step_keys(false, g, j, run.end, k_head, v_head);
        }
    } while (has_next_run(run));
    merge_teams();
    store_rows(g, first_row);
}
