#version 450
// Attention by cooperative matrices (VK_KHR_cooperative_matrix) of subgroups that own query rows (Dao 2022).
//
// Tiling: a workgroup owns BR rows in blocks of ROWS = RM * MM, each of which belongs to TC subgroups: every one of
// them scores its share of a step's BC keys, turns its share of the rows into weights, and keeps its share of the
// output channels. Keys and values pass through shared memory, zero beyond the last key and channel; while a step's
// scores are computed its values are on their way, and during its outputs the next step's keys (not with LOW_REGISTER). Scores
// leave the matrices through shared memory, since which lane holds which element is nobody's business: there every row
// belongs to LANES lanes, which turn its scores into probabilities of the storage type. Outputs stay in accumulators; a
// row's factor reaches them as a matrix loaded with a stride of 0.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#if VKA_BF16
#extension GL_EXT_bfloat16 : require
#else
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_EXT_spirv_intrinsics : require
#endif
#define VKA_NEAREST_F16 (!VKA_BF16)
#define VKA_STAGE_STEPS 1
#define VKA_LIST_SCAN 2
#include "elements.glsl"
#include "attention.glsl"
#include "attention_io.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_SUBGROUP) const uint SG = 32u;
// One product: MM x KK by KK x NN.
layout(constant_id = VKA_SPEC_M) const uint MM = 16u;
layout(constant_id = VKA_SPEC_N) const uint NN = 16u;
layout(constant_id = VKA_SPEC_K) const uint KK = 16u;
// Registers are few: queries stay in shared memory, and no step is on its way while another is computed.
layout(constant_id = VKA_SPEC_LOW_REGISTER) const uint LOW_REGISTER = 0u;

const uint ROWS = RM * MM;
const uint BLOCKS = BR / ROWS;
const uint THREADS = BLOCKS * TC * SG;
const uint D_TILES = (D + KK - 1u) / KK;
const uint DV_TILES = ((DV + NN - 1u) / NN + TC - 1u) / TC; // of a subgroup
const uint KEY_TILES = BC / NN / TC;                          // of a subgroup
const uint WEIGHT_TILES = BC / KK;
const uint Q_ROWS = 0u;
const uint Q_WIDTH = BC / 4u;      // vectors of eight elements
const uint Q_TILES = 8u * Q_WIDTH / KK;
const uint K_WIDTH = D_TILES * KK / 4u;
const uint V_WIDTH = DV_TILES * TC * NN / 4u;
// Vectors of four floats; rows are padded by one against bank conflicts.
const uint S_STRIDE = BC / 4u + 1u;
// Rows of which a subgroup computes the softmax; lanes that share a row's scores, or rows that share a lane.
const uint SOFT_ROWS = ROWS / TC;
const uint LANES = SOFT_ROWS < SG ? SG / SOFT_ROWS : 1u;
const uint LANE_ROWS = SOFT_ROWS > SG ? SOFT_ROWS / SG : 1u;
const uint LANE_VECTORS = BC / 4u / LANES;

shared vec4 s_tile[BR * S_STRIDE]; // scores, then the weights that they become, as 16-bit elements
shared float row_factor[BR];
shared ivec4 rescale_step[BLOCKS]; // .x: the last step that raised some row's maximum; 16 bytes: see nonfinite_matrix.glsl

#define MATRIX_A coopmat<ELEMENT, gl_ScopeSubgroup, MM, KK, gl_MatrixUseA>
#define MATRIX_B coopmat<ELEMENT, gl_ScopeSubgroup, KK, NN, gl_MatrixUseB>
#define MATRIX_C coopmat<float, gl_ScopeSubgroup, MM, NN, gl_MatrixUseAccumulator>

uint lane, thread;         // place in the subgroup, in the workgroup
uint block, first, member; // the subgroup's block, that block's first row, place among the block's subgroups

#include "nonfinite_matrix.glsl"
#include "matrix_tiles.glsl"

MATRIX_A q_rows[RM * D_TILES];
shared uvec4 q_tile[LOW_REGISTER != 0u ? BR * K_STRIDE : 1u];
MATRIX_C out_rows[RM * DV_TILES];
State state[LANE_ROWS]; // sums are of this lane's part of the row

void subgroup_sync() {
    subgroupMemoryBarrierShared();
    subgroupBarrier();
}

// Between subgroups of a block.
void block_sync() {
    if (TC > 1u)
        barrier();
    else
        subgroup_sync();
}

// A block's queries pass through its part of the scores' tile, as many channels at a time as rows hold there; all of a
// subgroup's are loaded where nothing branches, as compilers would copy at every step what was loaded in a branch.
void load_query_tiles(Grid g, uint first_row) {
    [[unroll]] for (uint x0 = 0u; x0 < D_TILES; x0 += Q_TILES) {
        block_sync();
        for (uint i = member * SG + lane; i < ROWS * Q_WIDTH; i += TC * SG) {
            uint row = first + i / Q_WIDTH, d = i % Q_WIDTH;
            s_tile[row * S_STRIDE + d] = uintBitsToFloat(query_words(g, first_row + row, x0 * (KK / 8u) + d));
        }
        block_sync();
        [[unroll]] for (uint r = 0u; r < RM; ++r)
            [[unroll]] for (uint x = x0; x < min(x0 + Q_TILES, D_TILES); ++x)
                coopMatLoad(q_rows[r * D_TILES + x], s_tile, (first + r * MM) * S_STRIDE + (x - x0) * (KK / 8u), S_STRIDE,
                            gl_CooperativeMatrixLayoutRowMajor);
    }
}

void load_queries(Grid g, uint first_row) {
    if (LOW_REGISTER != 0u)
        [[dont_unroll]] for (uint i = thread; i < BR * K_EIGHTS; i += THREADS)
            q_tile[i / K_EIGHTS * K_STRIDE + i % K_EIGHTS] = query_words(g, first_row + i / K_EIGHTS, i % K_EIGHTS);
    else
        load_query_tiles(g, first_row);
    barrier();
    [[unroll]] for (uint i = 0u; i < RM * DV_TILES; ++i) out_rows[i] = MATRIX_C(0.0);
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; ++i) state[i] = no_state();
}

// ---- a step -----------------------------------------------------------------------------------------------------------

MATRIX_A query_tile(uint r, uint x) {
    MATRIX_A q = q_rows[r * D_TILES + x];
    if (LOW_REGISTER != 0u)
        coopMatLoad(q, q_tile, (first + r * MM) * K_STRIDE + x * (KK / 8u), K_STRIDE,
                    gl_CooperativeMatrixLayoutRowMajor);
    return q;
}

void multiply_keys() {
    for (uint i = 0u; i < KEY_TILES; ++i) {
        uint n = member * KEY_TILES + i;
        MATRIX_C s[RM];
        [[unroll]] for (uint r = 0u; r < RM; ++r) s[r] = MATRIX_C(0.0);
        [[unroll]] for (uint x = 0u; x < D_TILES; ++x) {
            MATRIX_B keys;
            coopMatLoad(keys, k_tile, n * NN * K_STRIDE + x * (KK / 8u), K_STRIDE,
                        gl_CooperativeMatrixLayoutColumnMajor);
            [[unroll]] for (uint r = 0u; r < RM; ++r) s[r] = coopMatMulAdd(query_tile(r, x), keys, s[r]);
        }
        [[unroll]] for (uint r = 0u; r < RM; ++r)
            coopMatStore(s[r], s_tile, (first + r * MM) * S_STRIDE + n * (NN / 4u), S_STRIDE,
                         gl_CooperativeMatrixLayoutRowMajor);
    }
}

// The row, within the workgroup, of a lane's n-th row, and the part of it that the lane has.
uint lane_row(uint n) {
    return first + member * SOFT_ROWS + (lane + n * SG) % SOFT_ROWS;
}

uint part_of() {
    return SOFT_ROWS < SG ? lane / SOFT_ROWS : 0u;
}

float over_row_max(float x) {
    [[unroll]] for (uint step = 1u; step < LANES; step *= 2u) x = max(x, subgroupShuffleXor(x, step * SOFT_ROWS));
    return x;
}

float over_row_sum(float x) {
    [[unroll]] for (uint step = 1u; step < LANES; step *= 2u) x += subgroupShuffleXor(x, step * SOFT_ROWS);
    return x;
}

// Four weights of a row. Of an even number of vectors the lane's first has an even place, as compilers shall know.
void put_weights(uint row, uint i, vec4 weights) {
    uint vector = part_of() * LANE_VECTORS + i, at = row * S_STRIDE + vector / 2u;
    vec2 words = uintBitsToFloat(weight_words(weights));
    if ((LANE_VECTORS % 2u == 0u ? i : vector) % 2u == 0u)
        s_tile[at].xy = words;
    else
        s_tile[at].zw = words;
}

// Scores to probabilities; returns what the row's old results are worth.
float online_softmax_step(Grid g, uint first_row, uint n, int j0, int end, bool full) {
    uint row = lane_row(n), part = part_of();
    Row r = row_of(g, min(first_row + row, row_count(g) - 1u));
    vec4 s[LANE_VECTORS];
    float highest = LOWEST;
    [[unroll]] for (uint i = 0u; i < LANE_VECTORS; ++i) {
        s[i] = s_tile[row * S_STRIDE + part * LANE_VECTORS + i];
        [[unroll]] for (uint e = 0u; e < 4u; ++e) {
            int j = j0 + int((part * LANE_VECTORS + i) * 4u + e);
            bool visible = full || (j < end && in_band(g, r.query, j));
            float score = score_of(s[i][e]);
            if (biased() && visible)
                visible = bias_score(g, r, j, score);
            s[i][e] = visible ? score : negative_infinity();
            highest = visible ? max(highest, s[i][e]) : highest;
        }
    }
    if (LANES > 1u)
        subgroup_sync(); // all scores of the row are read: weights may take their place
    float maximum = max(state[n].maximum, over_row_max(highest));
    float rescale = exp_of(state[n].maximum - maximum);
    float sum = state[n].sum * rescale;
    [[unroll]] for (uint i = 0u; i < LANE_VECTORS; ++i) {
        s[i] = exp2((s[i] - maximum) * p.exp_scale);
        sum += s[i].x + s[i].y + s[i].z + s[i].w;
        [[unroll]] for (uint e = 0u; e < 4u; ++e)
            s[i][e] = apply_dropout(g, r, j0 + int((part * LANE_VECTORS + i) * 4u + e), s[i][e]);
        put_weights(row, i, s[i]);
    }
    state[n] = State(maximum, sum);
    return rescale;
}

void scale_outputs() {
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        MATRIX_C factors;
        coopMatLoad(factors, row_factor, first + r * MM, 0u, gl_CooperativeMatrixLayoutColumnMajor);
        [[unroll]] for (uint x = 0u; x < DV_TILES; ++x) out_rows[r * DV_TILES + x] *= factors;
    }
}

void softmax_rows(Grid g, uint first_row, int j0, int end, bool full) {
    [[unroll]] for (uint n = 0u; n < LANE_ROWS; ++n) {
        float rescale = online_softmax_step(g, first_row, n, j0, end, full);
        if (part_of() == 0u)
            row_factor[lane_row(n)] = rescale;
        if (rescale != 1.0)
            rescale_step[block].x = j0;
    }
}

void multiply_values() {
    for (uint c = 0u; c < WEIGHT_TILES; ++c) {
        MATRIX_A weights[RM];
        [[unroll]] for (uint r = 0u; r < RM; ++r)
            coopMatLoad(weights[r], s_tile, (first + r * MM) * S_STRIDE + c * (KK / 8u), S_STRIDE,
                        gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint x = 0u; x < DV_TILES; ++x) {
            MATRIX_B values;
            coopMatLoad(values, v_tile, (member * DV_TILES + x) * NN * V_STRIDE + c * (KK / 2u), V_STRIDE,
                        gl_CooperativeMatrixLayoutColumnMajor);
            [[unroll]] for (uint r = 0u; r < RM; ++r)
                out_rows[r * DV_TILES + x] = coopMatMulAdd(weights[r], values, out_rows[r * DV_TILES + x]);
        }
    }
}

// A loop over tiles of outputs that holds the long code once, and what touches accumulators once a tile: they can only be
// indexed by constants.
#define FOR_TILE(x)                                                                                                    \
    [[unroll]] for (uint x##_tile = 0u; x##_tile < DV_TILES; ++x##_tile) if (x##_tile == x)                            \
        [[unroll]] for (uint r = 0u; r < RM; ++r)

// Tiles of outputs pass through the scores' tile, where each subgroup of a block has NN columns to itself.
uint pass_at(uint r) {
    return (first + r * MM) * S_STRIDE + member * (NN / 4u);
}

void add_nonfinite_values(Grid g, uint first_row, uint v_head, int j0, int end) {
    block_sync(); // the weights there are loaded
    [[dont_unroll]] for (uint x = 0u; x < DV_TILES; ++x) {
        subgroup_sync();
        for (uint i = lane; i < ROWS * NN; i += SG) {
            uint row = first + i / NN, n = i % NN, column = member * NN + n;
            Row r = row_of(g, min(first_row + row, row_count(g) - 1u));
            s_tile[row * S_STRIDE + column / 4u][column % 4u] =
                nonfinite_part(g, r, (member * DV_TILES + x) * NN + n, v_head, j0, end);
        }
        subgroup_sync();
        FOR_TILE(x) {
            MATRIX_C part;
            coopMatLoad(part, s_tile, pass_at(r), S_STRIDE, gl_CooperativeMatrixLayoutRowMajor);
            out_rows[r * DV_TILES + x_tile] += part;
        }
    }
}

// ---- results ----------------------------------------------------------------------------------------------------------

void store_rows(Grid g, uint first_row) {
    [[unroll]] for (uint n = 0u; n < LANE_ROWS; ++n) {
        uint row = lane_row(n);
        uvec2 query = row_query(g, min(first_row + row, row_count(g) - 1u));
        state[n].sum = over_row_sum(state[n].sum);
        if (part_of() == 0u) {
            row_factor[row] = final_scale(state[n], query.x);
            if (is_row(g, first_row + row))
                store_state(g, query, state[n]);
        }
    }
    block_sync();
    scale_outputs();
    [[dont_unroll]] for (uint x = 0u; x < DV_TILES; ++x) {
        FOR_TILE(x)
            coopMatStore(out_rows[r * DV_TILES + x_tile], s_tile, pass_at(r), S_STRIDE,
                         gl_CooperativeMatrixLayoutRowMajor);
        subgroup_sync();
        for (uint i = lane; i < ROWS * (NN / 4u); i += SG) {
            uint row = first + i / (NN / 4u), d = i % (NN / 4u), vector = (member * DV_TILES + x) * (NN / 4u) + d;
            if (is_row(g, first_row + row) && vector < DV4)
                store_vector(g, row_query(g, first_row + row), vector, s_tile[row * S_STRIDE + member * (NN / 4u) + d]);
        }
        subgroup_sync();
    }
}

void main() {
    lane = gl_SubgroupInvocationID;
    thread = gl_SubgroupID * SG + lane;
    block = gl_SubgroupID / TC;
    member = gl_SubgroupID % TC;
    first = block * ROWS;
    nonfinite_step = -1;
    rescale_step[block].x = -1;
    Grid g = grid_position();
    if (is_idle(g))
        return;
    uint first_row = g.tile * BR;
    load_queries(g, first_row);
    uint k_head = key_head_at(g), v_head = value_head_at(g);
    Walk ahead = walk_keys(g, first_row);
    int next = ahead.begin;
    if (LOW_REGISTER == 0u)
        fetch_keys(g, k_head, next, ahead.end);
    while (next < ahead.end) {
        run = ahead;
        int j0 = next;
        bool full = is_full(j0);
        if (LOW_REGISTER != 0u)
            copy_keys(g, k_head, j0, run.end);
        else
            stage_keys();
        barrier();
        if (LOW_REGISTER == 0u)
            fetch_values(g, v_head, j0, run.end);
        multiply_keys();
        block_sync();
        if (full) // as constants: what masks costs as much as the rest
            softmax_rows(g, first_row, j0, run.end, true);
        else
            softmax_rows(g, first_row, j0, run.end, false);
        if (LOW_REGISTER != 0u)
            copy_values(g, v_head, j0, run.end, full);
        else if (full)
            stage_values(true, j0);
        else
            stage_values(false, j0);
        barrier();
        advance(ahead, next);
        if (LOW_REGISTER == 0u)
            fetch_keys(g, k_head, next, ahead.end);
        if (rescale_step[block].x == j0)
            scale_outputs();
        multiply_values();
        if (!full && nonfinite_step == j0)
            add_nonfinite_values(g, first_row, v_head, j0, run.end);
    }
    // All of a block's subgroups are done with the scores' tile and the factors.
    barrier();
    store_rows(g, first_row);
}
