#version 450
// Attention where a workgroup owns a tile of query rows (Dao 2022) and stages keys and values in shared memory.
//
// Tiling: BR rows, BC keys a step. Invocation t belongs to row group t / TC, which owns RM rows, and is number t % TC of
// the TC invocations that share them. Of the scores of its rows it owns the keys t % TC + TC n; of their outputs one
// vector of four channels in every chunk of TC vectors. K and V pass through shared memory a chunk of 4 TC channels at a
// time, so that shared memory depends little on the head dimension; rows are padded by a vector against bank conflicts.
// Scores become probabilities in shared memory, as the invocations that need them all share the row; a negative
// probability marks a key that the row may not see, whose value counts as 0 whatever it holds. Two flavours differ in what
// shared memory holds and how it is multiplied:
//   VKA_PAIRS = 0: floats, of tensors of any type
//   VKA_PAIRS = 1: pairs of f16, by dot products that sum in f32: half the memory, half the instructions where a device has
//                  one for it (VKA_MIXED_DOT = 1, VK_VALVE_shader_mixed_float_dot_product)
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#if VKA_MIXED_DOT
#extension GL_EXT_spirv_intrinsics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
#define VKA_BF16 0
#define VKA_NEAREST_F16 VKA_MIXED_DOT
#define VKA_LIST_SCAN 2
#include "elements.glsl"
#include "attention.glsl"
#include "attention_io.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

const uint THREADS = BR / RM * TC;
const uint CN = BC / TC;
const uint DV_CHUNKS = (DV4 + TC - 1u) / TC;
const uint KV_STRIDE = TC + 1u;

shared float row_parts[BR * TC];

vec4 out_rows[RM * DV_CHUNKS];
float s[RM * CN]; // scores of the step
bool visible[RM * CN]; // which of them count
float row_max[RM], row_sum[RM];
Row row_info[RM];

uint tr, tc; // row group, and place within it

// The workgroup's invocations share `count` items: number n of this invocation is item i. Nothing is asked where they come out even.
#define FOR_EACH_SHARED(i, count)                                                                                      \
    for (uint i = gl_LocalInvocationIndex, n = 0u; n < ((count) + THREADS - 1u) / THREADS; i += THREADS, ++n)          \
        if ((count) % THREADS == 0u || i < (count))

// Is there a vector d of a row of `size`, whose chunks have `width` each? Most often that is known beforehand.
bool has_vector(uint d, uint size, uint width) {
    return size % width == 0u || d < size;
}

const float UNSEEN = -1.0; // the weight of a key that its row may not see

#if VKA_PAIRS
#include "tile_f16.glsl"
#else
#include "tile_f32.glsl"
#endif
#ifdef VKA_WITH_PRODUCTS
#include "tile_products.glsl"
#endif

void load_queries(Grid g, uint first_row) {
    stage_queries(g, first_row);
#ifdef VKA_WITH_PRODUCTS
    stage_biases(g);
#endif
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        row_info[r] = row_of(g, min(first_row + tr * RM + r, row_count(g) - 1u));
#ifdef VKA_WITH_PRODUCTS
        row_factor[r] = query_factor(g, row_info[r]);
#endif
        row_max[r] = no_state().maximum;
        row_sum[r] = 0.0;
        [[unroll]] for (uint x = 0u; x < DV_CHUNKS; ++x) out_rows[r * DV_CHUNKS + x] = vec4(0.0);
    }
}

// Which keys of the step each row sees, and the highest of its scores, for all who share the row. `full`, here and below: every
// row sees every key, which is a constant, as what masks costs as much as the rest.
void find_maxima(Grid g, int j0, int end, bool full) {
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        float highest = LOWEST;
        [[unroll]] for (uint n = 0u; n < CN; ++n) {
            int j = j0 + int(tc + n * TC);
            visible[r * CN + n] = full || (j < end && in_band(g, row_info[r].query, j));
            s[r * CN + n] = score_of(s[r * CN + n]);
            if (biased() && visible[r * CN + n])
                visible[r * CN + n] = bias_score(g, row_info[r], j, s[r * CN + n]);
            highest = full || visible[r * CN + n] ? max(highest, s[r * CN + n]) : highest;
        }
        row_parts[(tr * RM + r) * TC + tc] = highest;
    }
}

// Scores to probabilities in shared memory; state and outputs move to the new maximum. Outputs do so last and all together: one
// branch around that many multiplications stays a branch, which steps without a new maximum do not enter.
void weigh_scores(Grid g, int j0, bool full) {
    float rescales[RM];
    bool raised = false;
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        uint row = tr * RM + r;
        float maximum = row_max[r];
        for (uint i = 0u; i < TC; ++i)
            maximum = max(maximum, row_parts[row * TC + i]);
        float rescale = exp_of(row_max[r] - maximum);
        row_max[r] = maximum;
        row_sum[r] *= rescale;
        float weights[CN];
        [[unroll]] for (uint n = 0u; n < CN; ++n) {
            bool seen = full || visible[r * CN + n];
            float weight = seen ? exp_of(s[r * CN + n] - maximum) : 0.0;
            row_sum[r] += weight;
            weight = apply_dropout(g, row_info[r], j0 + int(tc + n * TC), weight);
            weights[n] = seen ? weight : UNSEEN;
        }
        put_weights(row, weights, full);
        rescales[r] = rescale;
        raised = raised || rescale != 1.0;
    }
    if (raised)
        [[unroll]] for (uint r = 0u; r < RM; ++r)
            [[unroll]] for (uint x = 0u; x < DV_CHUNKS; ++x) out_rows[r * DV_CHUNKS + x] *= rescales[r];
}

void online_softmax_step(Grid g, int j0, int end, bool full) {
    if (full)
        find_maxima(g, j0, end, true);
    else
        find_maxima(g, j0, end, false);
    barrier();
    if (full)
        weigh_scores(g, j0, true);
    else
        weigh_scores(g, j0, false);
}

void store_row(Grid g, uint r, uvec2 query, float sum) {
    State final_state = State(row_max[r], sum);
    float scale = final_scale(final_state, query.x);
    [[unroll]] for (uint x = 0u; x < DV_CHUNKS; ++x) {
        uint d = x * TC + tc;
        if (d < DV4)
            store_vector(g, query, d, out_rows[r * DV_CHUNKS + x] * (scale / weight_scale()));
    }
    if (tc == 0u)
        store_state(g, query, final_state);
}

void store_rows(Grid g, uint first_row) {
    barrier();
    [[unroll]] for (uint r = 0u; r < RM; ++r) row_parts[(tr * RM + r) * TC + tc] = row_sum[r];
    barrier();
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        float sum = 0.0;
        for (uint i = 0u; i < TC; ++i)
            sum += row_parts[(tr * RM + r) * TC + i];
        uint row = first_row + tr * RM + r;
        if (is_row(g, row))
            store_row(g, r, row_query(g, row), sum);
    }
}

void value_chunk(Grid g, uint chunk, uint head, int j0, int end, bool full) {
    barrier();
    stage_values(g, head, j0, end, chunk);
    barrier();
    if (full)
        multiply_values(chunk, true);
    else
        multiply_values(chunk, false);
}

// Chunks are constants here and not of a loop to be unrolled: compilers unroll one with barriers and loops inside too late
// to keep the outputs in registers (NVK), or not at all, and then choose among all of them at every step (ANV: ten times
// the code, and half a minute to compile it). There are at most 16: 64 vectors in chunks of 4.
#define VALUE_CHUNK(x)                                                                                                 \
    if (DV_CHUNKS > (x))                                                                                               \
    value_chunk(g, x, v_head, j0, run.end, full)
#define VALUE_CHUNKS(x)                                                                                                \
    VALUE_CHUNK(x);                                                                                                    \
    VALUE_CHUNK(x + 1u);                                                                                               \
    VALUE_CHUNK(x + 2u);                                                                                               \
    VALUE_CHUNK(x + 3u)

void main() {
    tr = gl_LocalInvocationIndex / TC;
    tc = gl_LocalInvocationIndex % TC;
    Grid g = grid_position();
    if (is_idle(g))
        return;
    uint first_row = g.tile * BR;
    load_queries(g, first_row);
    uint k_head = key_head_at(g), v_head = value_head_at(g);
    run = walk_keys(g, first_row);
    for (int j0 = run.begin; j0 < run.end; advance(run, j0)) {
        bool full = is_full(j0);
        [[unroll]] for (uint i = 0u; i < RM * CN; ++i) s[i] = 0.0;
#ifdef VKA_WITH_PRODUCTS
        [[unroll]] for (uint n = 0u; n < CN; ++n) key_squares[n] = 0.0;
#endif
        for (uint chunk = 0u; chunk < D_CHUNKS; ++chunk) {
            barrier();
            stage_keys(g, k_head, j0, run.end, chunk);
#ifdef VKA_WITH_PRODUCTS
            if (RELATIVE_KEYS)
                stage_relative_keys(g, first_row, j0, chunk);
            barrier();
            multiply_products(chunk);
#else
            barrier();
            multiply_keys(chunk);
#endif
        }
#ifdef VKA_WITH_PRODUCTS
        scale_products();
#endif
        online_softmax_step(g, j0, run.end, full);
        VALUE_CHUNKS(0u);
        VALUE_CHUNKS(4u);
        VALUE_CHUNKS(8u);
        VALUE_CHUNKS(12u);
    }
    store_rows(g, first_row);
}
