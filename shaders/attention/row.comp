#version 450
// Attention where an invocation owns query rows (Dao 2022, with the tile in registers).
//
// Tiling: a workgroup of GROUP_SIZE invocations owns BR = GROUP_SIZE * RM rows; invocation t owns the rows t,
// t + GROUP_SIZE, .. and keeps their q, out, maximum and sum in registers. Keys and values come BC a step; with subgroups
// (VKA_SUBGROUP = 1, the workgroup is one subgroup) each invocation loads a part of the row and broadcasts it, otherwise
// all load the same. No barriers: made for software drivers, where broadcasts are nearly free, loads are not, and barriers
// least of all.
//
// With STEPS > 1 steps come in blocks: first the scores of all steps, then one rescaling of the rows, then all values. So
// the code of each loop is half as long and stays in a CPU's first-level cache, and results are scaled once a block. Scores
// wait in shared memory, where each invocation reads what it wrote itself.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#if VKA_SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#define VKA_LIST_SCAN 1
#endif
#include "elements.glsl"
#include "attention.glsl"
#include "attention_io.glsl"
#include "nonfinite.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_COLS) const uint STEPS = 1u;

const bool IN_BLOCKS = STEPS > 1u;

vec4 q_rows[RM * D4];
vec4 out_rows[RM * DV4];
State state[RM];
Row row_info[RM];

// Of the values of a step that some rows may not see: which exponents there are. A weight of 0 would spread NaN and
// infinities to those rows, so they are set aside, and added afterwards to the rows that do see them (nonfinite.glsl).
uvec4 exponents;

vec4 finite_part(vec4 x) {
    exponents = max(exponents, floatBitsToUint(x) & EXPONENT);
    return mix(x, vec4(0.0), are_nonfinite(x));
}

// ---- keys and values, one at a time, for all invocations ------------------------------------------------------------

#if VKA_SUBGROUP
// The subgroup loads a row together, a vector of four an invocation, and each vector is broadcast when it is due.
layout(constant_id = VKA_SPEC_SUBGROUP) const uint SG = 8u;
const uint K_PARTS = (D4 + SG - 1u) / SG;
const uint V_PARTS = (DV4 + SG - 1u) / SG;
vec4 k_parts[BC * K_PARTS];
vec4 v_parts[BC * V_PARTS];

void fetch_key(uint c, Source at) {
    [[unroll]] for (uint i = 0u; i < K_PARTS; ++i) {
        uint d = i * SG + gl_SubgroupInvocationID;
        k_parts[c * K_PARTS + i] = vec4(0.0);
        if (d < D4)
            k_parts[c * K_PARTS + i] = key_vector4(at, d);
    }
}

void fetch_value(uint c, Source at) {
    [[unroll]] for (uint i = 0u; i < V_PARTS; ++i) {
        uint d = i * SG + gl_SubgroupInvocationID;
        v_parts[c * V_PARTS + i] = vec4(0.0);
        if (d < DV4)
            v_parts[c * V_PARTS + i] = value_vector4(at, d);
    }
}

vec4 key_vector(uint c, Source at, uint d) {
    return subgroupShuffle(k_parts[c * K_PARTS + d / SG], d % SG);
}

vec4 value_vector(uint c, Source at, uint d) {
    return subgroupShuffle(v_parts[c * V_PARTS + d / SG], d % SG);
}

// Of the values fetched for a step those that are not finite are set aside.
void set_aside() {
    [[unroll]] for (uint i = 0u; i < BC * V_PARTS; ++i) v_parts[i] = finite_part(v_parts[i]);
}

vec4 step_value(uint c, Source at, uint d) {
    return value_vector(c, at, d);
}

// Was one of them set aside, by any invocation?
bool any_aside() {
    uint largest = max(max(exponents.x, exponents.y), max(exponents.z, exponents.w));
    [[unroll]] for (uint step = 1u; step < SG; step *= 2u) largest = max(largest, subgroupShuffleXor(largest, step));
    return largest == EXPONENT;
}
#else
// Every invocation loads at the same address.
void fetch_key(uint c, Source at) {
}

void fetch_value(uint c, Source at) {
}

vec4 key_vector(uint c, Source at, uint d) {
    return key_vector4(at, d);
}

vec4 value_vector(uint c, Source at, uint d) {
    return value_vector4(at, d);
}

void set_aside() {
}

vec4 step_value(uint c, Source at, uint d) {
    vec4 x = value_vector(c, at, d);
    return needs_mask() ? finite_part(x) : x;
}

bool any_aside() {
    return max(max(exponents.x, exponents.y), max(exponents.z, exponents.w)) == EXPONENT;
}
#endif

#ifdef VKA_WITH_PRODUCTS
// Queries as keys of relative positions are multiplied by them. Indexed at run time, as these products are long code.
vec4 position_rows[RELATIVE_KEYS ? RM * D4 : 1u];

// Makes of a row what its keys are multiplied by.
void prepare_row(uint r) {
    uint head = row_info[r].head;
    float squares = 0.0;
    VKA_UNROLL(d, D4) squares = dot_add(q_rows[r * D4 + d], q_rows[r * D4 + d], squares);
    float factor = COSINE ? inverse_norm(squares) * cosine_scale(head) : 1.0;
    VKA_UNROLL(d, D4) {
        if (COSINE)
            q_rows[r * D4 + d] *= factor;
        if (RELATIVE_KEYS) {
            position_rows[r * D4 + d] = q_rows[r * D4 + d] + position_bias4(head, d);
            q_rows[r * D4 + d] += content_bias4(head, d);
        }
    }
}

// What a row's product with a key has besides.
float relative_product(Grid g, uint r, int key) {
    float sum = 0.0;
    uint at = relative_key_at(g, row_info[r], key);
    [[dont_unroll]] for (uint d = 0u; d < D4; ++d) sum = dot_add(position_rows[r * D4 + d], relative_key4(at, d), sum);
    return sum;
}

// The product of a row and a key as it counts.
float product_of(Grid g, uint r, int key, float qk, float squares) {
    return COSINE ? qk * inverse_norm(squares) : RELATIVE_KEYS ? qk + relative_product(g, r, key) : qk;
}
#endif

void load_queries(Grid g, uint first_row) {
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        uint row = min(first_row + r * gl_WorkGroupSize.x + gl_LocalInvocationIndex, row_count(g) - 1u);
        uvec2 query = row_query(g, row);
        uint at = query_at(g, query);
        VKA_UNROLL(d, D4) q_rows[r * D4 + d] = q_row4(at, p.q.d, d, D, has(VKA_FLAG_VEC4_QK));
        VKA_UNROLL(d, DV4) out_rows[r * DV4 + d] = vec4(0.0);
        row_info[r] = row_of(g, row);
        state[r] = no_state();
#ifdef VKA_WITH_PRODUCTS
        prepare_row(r);
#endif
    }
}

// Brings a row to a new maximum; returns what its old results are worth.
float raise_maximum(uint r, float candidate) {
    float maximum = max(state[r].maximum, candidate);
    float scale = exp_of(state[r].maximum - maximum);
    state[r].maximum = maximum;
    return scale;
}

float s[RM * BC]; // scores of a step, then weights
float rescale[RM];

// Masks and biases of a step's keys; what a row may not see gets -inf.
void bias_step(Grid g, int j) {
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
#if VKA_WITH_OPTIONS
        uint seen = MAPPED ? map_word(row_info[r], j) : 0xffffffffu;
        vec4 masks = BC == 4u && has(VKA_FLAG_VEC4_MASK) ? mask_values(row_info[r], j) : vec4(0.0);
        [[unroll]] for (uint c = 0u; c < BC; ++c) {
            bool kept = BC == 4u && has(VKA_FLAG_VEC4_MASK)
                            ? add_biases(g, row_info[r], j + int(c), masks[c], s[r * BC + c])
                            : add_options(g, row_info[r], j + int(c), s[r * BC + c]);
            if (!kept || (seen >> c & 1u) == 0u)
                s[r * BC + c] = negative_infinity();
        }
#endif
    }
}

// Scores to weights, by softmax.
void online_softmax_step(Grid g, uint r, int j) {
    float highest = LOWEST;
    [[unroll]] for (uint c = 0u; c < BC; ++c) highest = max(highest, s[r * BC + c]);
    rescale[r] = raise_maximum(r, highest);
    float sum = state[r].sum * rescale[r];
    [[unroll]] for (uint c = 0u; c < BC; ++c) {
        s[r * BC + c] = exp_of(s[r * BC + c] - state[r].maximum);
        sum += s[r * BC + c];
        s[r * BC + c] = apply_dropout(g, row_info[r], j + int(c), s[r * BC + c]);
    }
    state[r].sum = sum;
}

// The first key with the highest score so far gets all; a NaN spoils the row.
void argmax_step(uint r, int j) {
    rescale[r] = 1.0;
    float weight[BC];
    [[unroll]] for (uint c = 0u; c < BC; ++c) {
        weight[c] = 0.0;
        if (is_nan(s[r * BC + c]))
            state[r].sum = s[r * BC + c];
        if (s[r * BC + c] > state[r].maximum) {
            [[unroll]] for (uint before = 0u; before < c; ++before) weight[before] = 0.0;
            weight[c] = 1.0;
            rescale[r] = 0.0;
            state[r] = State(s[r * BC + c], is_nan(state[r].sum) ? state[r].sum : sum_of_winner(j + int(c)));
        }
    }
    [[unroll]] for (uint c = 0u; c < BC; ++c) s[r * BC + c] = weight[c];
}

// What a row's old results become. The value that lost to a higher score may be NaN.
vec4 rescaled(vec4 x, uint r) {
    return has_option(VKA_FLAG_HARD) && rescale[r] == 0.0 ? vec4(0.0) : x * rescale[r];
}

// The scores of BC keys of the band.
void score_step(Grid g, int j, uint k_head) {
    [[unroll]] for (uint i = 0u; i < RM * BC; ++i) s[i] = 0.0;
    Source from[BC];
    [[unroll]] for (uint c = 0u; c < BC; ++c) {
        from[c] = key_source(g, k_head, j + int(c));
        fetch_key(c, from[c]);
    }
#ifdef VKA_WITH_PRODUCTS
    float squares[BC];
    [[unroll]] for (uint c = 0u; c < BC; ++c) squares[c] = 0.0;
#endif
    VKA_UNROLL(d, D4) {
        [[unroll]] for (uint c = 0u; c < BC; ++c) {
            vec4 key = key_vector(c, from[c], d);
            [[unroll]] for (uint r = 0u; r < RM; ++r) s[r * BC + c] = dot_add(q_rows[r * D4 + d], key, s[r * BC + c]);
#ifdef VKA_WITH_PRODUCTS
            squares[c] = COSINE ? dot_add(key, key, squares[c]) : 0.0;
#endif
        }
    }
#ifdef VKA_WITH_PRODUCTS
    [[unroll]] for (uint r = 0u; r < RM; ++r)
        [[unroll]] for (uint c = 0u; c < BC; ++c)
            s[r * BC + c] = product_of(g, r, j + int(c), s[r * BC + c], squares[c]);
#endif
    [[unroll]] for (uint i = 0u; i < RM * BC; ++i) s[i] = score_of(s[i]);
    if (biased())
        bias_step(g, j);
}

// Adds the step's values, by their weights. In a block, results were rescaled before.
void add_values(Grid g, int j, uint v_head) {
    Source from[BC];
    [[unroll]] for (uint c = 0u; c < BC; ++c) {
        from[c] = value_source(g, v_head, j + int(c));
        fetch_value(c, from[c]);
    }
    if (needs_mask())
        set_aside();
    VKA_UNROLL(d, DV4) {
        vec4 o[RM];
        [[unroll]] for (uint r = 0u; r < RM; ++r)
            o[r] = IN_BLOCKS ? out_rows[r * DV4 + d] : rescaled(out_rows[r * DV4 + d], r);
        [[unroll]] for (uint c = 0u; c < BC; ++c) {
            vec4 value = step_value(c, from[c], d);
            [[unroll]] for (uint r = 0u; r < RM; ++r) o[r] = fma(vec4(s[r * BC + c]), value, o[r]);
        }
        [[unroll]] for (uint r = 0u; r < RM; ++r) out_rows[r * DV4 + d] = o[r];
    }
}

// A step by itself.
void single_step(Grid g, int j, uint k_head, uint v_head) {
    score_step(g, j, k_head);
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        if (has_option(VKA_FLAG_HARD))
            argmax_step(r, j);
        else
            online_softmax_step(g, r, j);
    }
    add_values(g, j, v_head);
}

shared float block_scores[IN_BLOCKS ? STEPS * BC * BR : 1u];

uint block_score_at(uint step, uint i) {
    return step * BC * BR + i * (BR / RM) + gl_LocalInvocationIndex;
}

// Raises the rows' maxima to the highest scores of a block, and rescales what they have.
void rescale_rows(float highest[RM]) {
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        rescale[r] = raise_maximum(r, highest[r]);
        state[r].sum *= rescale[r];
        VKA_UNROLL(d, DV4) out_rows[r * DV4 + d] *= rescale[r];
    }
}

// The weights of a block's step.
void weigh_step(Grid g, uint step, int j) {
    [[unroll]] for (uint r = 0u; r < RM; ++r)
        [[unroll]] for (uint c = 0u; c < BC; ++c) {
            float weight = exp_of(block_scores[block_score_at(step, r * BC + c)] - state[r].maximum);
            state[r].sum += weight;
            s[r * BC + c] = apply_dropout(g, row_info[r], j + int(c), weight);
        }
}

void block_of_steps(Grid g, int j, uint steps, uint k_head, uint v_head) {
    float highest[RM];
    [[unroll]] for (uint r = 0u; r < RM; ++r) highest[r] = LOWEST;
    [[dont_unroll]] for (uint step = 0u; step < steps; ++step) {
        score_step(g, j + int(step * BC), k_head);
        [[unroll]] for (uint r = 0u; r < RM; ++r)
            [[unroll]] for (uint c = 0u; c < BC; ++c) {
                highest[r] = max(highest[r], s[r * BC + c]);
                block_scores[block_score_at(step, r * BC + c)] = s[r * BC + c];
            }
    }
    rescale_rows(highest);
    [[dont_unroll]] for (uint step = 0u; step < steps; ++step) {
        weigh_step(g, step, j + int(step * BC));
        add_values(g, j + int(step * BC), v_head);
    }
}

// Steps of which every row sees the keys' place in the band: one, or a block of them as far as `end`. Moves j behind them.
// True: values were set aside.
bool full_steps(Grid g, inout int j, int end, uint k_head, uint v_head) {
    uint steps = IN_BLOCKS ? min(STEPS, uint(end - j) / BC) : 1u;
    exponents = uvec4(0u);
    if (IN_BLOCKS)
        block_of_steps(g, j, steps, k_head, v_head);
    else
        single_step(g, j, k_head, v_head);
    j += int(steps * BC);
    return needs_mask() && any_aside();
}

#if VKA_WITH_OPTIONS
// Adds what was set aside of a key's value, the c-th of the steps just done, to the rows that see it.
void add_nonfinite(Grid g, int j, int c, uint v_head) {
    bool seen[RM], keeps[RM];
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        seen[r] = !has_option(VKA_FLAG_HARD) && sees(g, row_info[r], j);
        keeps[r] = survives_dropout(g, row_info[r], j);
        [[unroll]] for (uint n = 0u; n < BC && has_option(VKA_FLAG_HARD); ++n)
            seen[r] = seen[r] || (int(n) == c && s[r * BC + n] != 0.0);
    }
    Source from = value_source(g, v_head, j);
    fetch_value(0u, from);
    VKA_UNROLL(d, DV4) {
        vec4 value = value_vector(0u, from, d);
        bvec4 aside = are_nonfinite(value);
        [[unroll]] for (uint r = 0u; r < RM; ++r) {
            vec4 term = keeps[r] ? value : vec4(nonfinite_term(0.0, false));
            out_rows[r * DV4 + d] += seen[r] ? mix(vec4(0.0), term, aside) : vec4(0.0);
        }
    }
}
#endif

// One key that some rows may not see. For those the value counts as 0, whatever it holds.
void masked_step(Grid g, int j, uint k_head, uint v_head) {
    float weight[RM];
    bool visible[RM];
    [[unroll]] for (uint r = 0u; r < RM; ++r) weight[r] = 0.0;
    Source from = key_source(g, k_head, j);
    fetch_key(0u, from);
#ifdef VKA_WITH_PRODUCTS
    float squares = 0.0;
#endif
    VKA_UNROLL(d, D4) {
        vec4 key = key_vector(0u, from, d);
        [[unroll]] for (uint r = 0u; r < RM; ++r) weight[r] = dot_add(q_rows[r * D4 + d], key, weight[r]);
#ifdef VKA_WITH_PRODUCTS
        squares = COSINE ? dot_add(key, key, squares) : 0.0;
#endif
    }
#ifdef VKA_WITH_PRODUCTS
    [[unroll]] for (uint r = 0u; r < RM; ++r) weight[r] = product_of(g, r, j, weight[r], squares);
#endif
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        float score = score_of(weight[r]);
        visible[r] = in_band(g, row_info[r].query, j);
        if (biased())
            visible[r] = bias_score(g, row_info[r], j, score) && visible[r];
        if (has_option(VKA_FLAG_HARD)) {
            if (visible[r] && is_nan(score))
                state[r].sum = score;
            visible[r] = visible[r] && score > state[r].maximum;
            rescale[r] = visible[r] ? 0.0 : 1.0;
            weight[r] = 1.0;
            if (visible[r])
                state[r] = State(score, is_nan(state[r].sum) ? state[r].sum : sum_of_winner(j));
            continue;
        }
        rescale[r] = raise_maximum(r, visible[r] ? score : LOWEST);
        weight[r] = visible[r] ? exp_of(score - state[r].maximum) : 0.0;
        state[r].sum = state[r].sum * rescale[r] + weight[r];
        weight[r] = apply_dropout(g, row_info[r], j, weight[r]);
    }
    from = value_source(g, v_head, j);
    fetch_value(0u, from);
    VKA_UNROLL(d, DV4) {
        vec4 value = value_vector(0u, from, d);
        [[unroll]] for (uint r = 0u; r < RM; ++r) {
            vec4 seen = visible[r] ? value : vec4(0.0);
            out_rows[r * DV4 + d] = fma(vec4(weight[r]), seen, rescaled(out_rows[r * DV4 + d], r));
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
        float scale = final_scale(state[r], row_info[r].head);
        VKA_UNROLL(d, DV4) final_rows[r * DV4 + d] = out_rows[r * DV4 + d] * scale;
        final_state[r] = state[r];
    }
    [[dont_unroll]] for (uint r = 0u; r < RM; ++r) {
        uint row = first_row + r * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
        if (is_row(g, row)) {
            uvec2 query = row_query(g, row);
            [[dont_unroll]] for (uint d = 0u; d < DV4; ++d)
                store_vector(g, query, d, final_rows[r * DV4 + d]);
            store_state(g, query, final_state[r]);
        }
    }
}

void main() {
    Grid g = grid_position();
    if (is_idle(g))
        return;
    uint first_row = g.tile * BR;
    load_queries(g, first_row);
    uint k_head = key_head_at(g), v_head = value_head_at(g);
    run = walk_keys(g, first_row);
    // Masked keys, full steps, masked keys: written as two rounds of the same two loops, so that each body is compiled
    // once, and without a branch inside that would have to merge all rows' registers.
#if VKA_WITH_OPTIONS
    int j = run.begin;
    while (j < run.end) {
        int full_end = min(run.full_end, run.end);
        int stop = j < run.full_begin          ? min(run.full_begin, run.end)
                   : j + int(BC) > full_end ? run.end
                                            : j;
        // Full steps begin at multiples of BC: their masks are vectors, and their bits of a map lie in one word. A step
        // that was left for what was set aside ends at one, so which steps are full doesn't depend on that.
        if (has(VKA_FLAG_VEC4_MASK) || MAPPED)
            stop = min((max(stop, j) + int(BC) - 1) / int(BC) * int(BC), run.end);
        for (; j < stop; ++j)
            masked_step(g, j, k_head, v_head);
        bool aside = false; // leaves the loop, in which a branch would have to merge all rows' registers
        int first = j;
        while (!aside && j + int(BC) <= full_end) {
            first = j;
            aside = full_steps(g, j, full_end, k_head, v_head);
        }
        for (int key = first; aside && key < j; ++key)
            add_nonfinite(g, key, key - first, v_head);
        if (HAS_RUNS && j >= run.end) {
            next_run(run);
            j = run.begin;
        }
    }
#else
    int j = run.begin, full_end = min(run.full_end, run.end);
    for (uint round = 0u; round < 2u; ++round) {
        int stop = round == 0u ? min(run.full_begin, run.end) : run.end;
        for (; j < stop; ++j)
            masked_step(g, j, k_head, v_head);
        while (j + int(BC) <= full_end)
            full_steps(g, j, full_end, k_head, v_head);
    }
#endif
    store_rows(g, first_row);
}
