#version 450
// Attention by cooperative matrices (VK_KHR_cooperative_matrix) of subgroups that own query rows (Dao 2022).
//
// Tiling: a workgroup owns BR rows in blocks of ROWS = RM * MM, each of which belongs to TC subgroups: every one of
// them scores its share of a step's BC keys, turns its share of the rows into weights, and keeps its share of the
// output channels. Keys and values pass through shared memory, zero beyond the last key and channel; while a step's
// scores are computed its values are on their way, and during its outputs the next step's keys (not with LOW_REGISTER). Outputs
// stay in accumulators. What becomes of scores is in matrix_scores_shared.glsl, or, with VKA_IN_REGISTERS (1: functions of
// elements by VK_EXT_cooperative_matrix_maintenance1, 2: by VK_NV_cooperative_matrix2), in matrix_scores_registers.glsl. As the
// extension does not say which lane holds which element, queries, states and outputs pass through shared memory, where every row
// belongs to LANES lanes, and a row's last factor reaches accumulators as a matrix loaded with a stride of 0.
//
// Where registers are few (VKA_LEAN_*) no step is on its way while another is computed, and scores lie key by key, so that lanes
// that hold columns (Intel) store four at once; a lane then has two or four rows of some keys. Queries lie in shared memory as
// what each lane holds of an operand, which it loads by 16 bytes instead of row by row.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#if VKA_IN_REGISTERS == 1
#extension GL_EXT_cooperative_matrix_maintenance1 : require
#elif VKA_IN_REGISTERS == 2
#extension GL_NV_cooperative_matrix2 : require
#endif
#if VKA_IN_REGISTERS
#extension GL_KHR_shader_subgroup_vote : require
#endif
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
layout(constant_id = VKA_SPEC_LOW_REGISTER) const uint LOW_REGISTER = 0u;

const bool LEAN_STEPS = (LOW_REGISTER & VKA_LEAN_STEPS) != 0u;
const bool QUERY_ROWS = (LOW_REGISTER & VKA_LEAN_QUERY_ROWS) != 0u;
const bool BY_KEY = (LOW_REGISTER & VKA_LEAN_BY_KEY) != 0u;
const bool KEY_VALUES = (LOW_REGISTER & VKA_LEAN_KEY_VALUES) != 0u;
const bool BY_CHANNEL = (LOW_REGISTER & VKA_LEAN_BY_CHANNEL) != 0u;

const uint ROWS = RM * MM;
const uint BLOCKS = BR / ROWS;
const uint THREADS = BLOCKS * TC * SG;
const uint D_TILES = (D + KK - 1u) / KK;
const uint D_SHARE = BY_CHANNEL ? (D_TILES + TC - 1u) / TC : D_TILES; // of a subgroup
const uint DV_TILES = ((DV + NN - 1u) / NN + TC - 1u) / TC; // of a subgroup
const uint KEY_TILES = BY_CHANNEL ? 1u : BC / NN / TC;        // of a subgroup
const uint WEIGHT_TILES = BC / KK;
const uint Q_ROWS = 0u;
const uint S_COLUMNS = VKA_IN_REGISTERS != 0 ? NN : BC; // of the scores' tile, through which queries and outputs pass
const uint Q_WIDTH = S_COLUMNS / 4u;                    // vectors of eight elements
const uint Q_TILES = 8u * Q_WIDTH / KK;
const uint V_WIDTH = DV_TILES * TC * NN / 4u;
const uint D_WIDTH = D_TILES * KK / 4u;
const uint KEY_WIDTH = KEY_VALUES ? V_WIDTH : 0u;
const uint K_WIDTH = KEY_WIDTH > D_WIDTH ? KEY_WIDTH : D_WIDTH;
// Vectors of four floats; rows, or keys of more than two vectors and each NN keys, are padded by one against bank conflicts.
const uint S_STRIDE = S_COLUMNS / 4u + 1u;
const uint KEY_STRIDE = ROWS / 4u + (ROWS > 8u ? 1u : 0u);
const uint S_KEYS = BY_KEY ? BC * KEY_STRIDE + BC / NN : 0u;
const uint S_ROWS = ROWS * S_STRIDE;
const uint S_BLOCK = BY_CHANNEL ? TC * S_ROWS : S_KEYS > S_ROWS ? S_KEYS : S_ROWS;
const uint S_MEMBER = BY_CHANNEL ? S_ROWS : NN / 4u; // from one subgroup's part of the tile to the next one's
const uint W_STRIDE = BC / 2u; // words
// Rows of which a subgroup computes the softmax; lanes that share a row's scores and how far apart they are, or rows that share a
// lane, which has two or four of them by key; vectors that a lane has, of a row's keys or of a key's rows.
const uint SOFT_MOST = BY_CHANNEL ? ROWS * BC / SG / 4u : TC;
const uint SOFT_TEAM = SOFT_MOST < TC ? SOFT_MOST : TC; // subgroups that do
const uint SOFT_ROWS = ROWS / SOFT_TEAM;
const uint KEY_ROWS = SOFT_ROWS < 4u ? SOFT_ROWS : 4u;
const uint ROW_STEP = BY_KEY ? SOFT_ROWS / KEY_ROWS : SOFT_ROWS;
const uint LANES = ROW_STEP < SG ? SG / ROW_STEP : 1u;
const uint LANE_ROWS = BY_KEY ? KEY_ROWS : SOFT_ROWS > SG ? SOFT_ROWS / SG : 1u;
const uint LANE_VECTORS = BY_KEY ? BC / LANES : BC / 4u / LANES;
// Words of an operand that a lane holds, where each element has one lane.
const uint PART_WORDS = MM * KK / 2u / SG;

// Scores; unless they lie by key, then the weights that they become, as 16-bit elements.
shared vec4 s_tile[BLOCKS * S_BLOCK];
shared uint w_tile[BY_KEY ? BR * W_STRIDE : 4u];
shared float row_factor[BR];
shared ivec4 rescale_step[BLOCKS]; // .x: the last step that raised some row's maximum; 16 bytes: see nonfinite_matrix.glsl

#define MATRIX_A coopmat<ELEMENT, gl_ScopeSubgroup, MM, KK, gl_MatrixUseA>
#define MATRIX_B coopmat<ELEMENT, gl_ScopeSubgroup, KK, NN, gl_MatrixUseB>
#define MATRIX_C coopmat<float, gl_ScopeSubgroup, MM, NN, gl_MatrixUseAccumulator>
// Queries by keys, or keys by queries (see matrix_scores_registers.glsl): the operands, and the layouts of what has a row for each
// query in memory and of what is a factor for each query. Matrices of registers have as many rows as columns.
#if VKA_IN_REGISTERS
#define MATRIX_Q     MATRIX_B
#define MATRIX_K     MATRIX_A
#define QUERY_ROWS_LAYOUT gl_CooperativeMatrixLayoutColumnMajor
#define KEY_ROWS_LAYOUT   gl_CooperativeMatrixLayoutRowMajor
#define MULTIPLY_ADD(q, k, sum) coopMatMulAdd(k, q, sum)
#else
#define MATRIX_Q     MATRIX_A
#define MATRIX_K     MATRIX_B
#define QUERY_ROWS_LAYOUT gl_CooperativeMatrixLayoutRowMajor
#define KEY_ROWS_LAYOUT   gl_CooperativeMatrixLayoutColumnMajor
#define MULTIPLY_ADD(q, k, sum) coopMatMulAdd(q, k, sum)
#endif

uint lane, thread;         // place in the subgroup, in the workgroup
uint block, first, member; // the subgroup's block, that block's first row, place among the block's subgroups

#include "nonfinite_matrix.glsl"
#include "matrix_tiles.glsl"

MATRIX_Q q_rows[RM * D_SHARE];
shared uvec4 q_tile[QUERY_ROWS ? BR * K_STRIDE : 1u];
shared uint q_parts[BY_KEY ? BLOCKS * RM * D_TILES * SG * PART_WORDS : 4u];
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

// A row of the workgroup in the scores' tile, where each has BC columns when rows pass through it.
uint s_row(uint row) {
    return BY_KEY || BY_CHANNEL ? block * S_BLOCK + (row - first) * S_STRIDE : row * S_STRIDE;
}

// The same in what the subgroup has of that tile to itself: columns of it, or a tile of its own.
uint own_row(uint row) {
    return s_row(row) + member * S_MEMBER;
}

// A tile of channels of queries and keys: the n-th that the subgroup multiplies.
uint channel_tile(uint n) {
    return BY_CHANNEL ? n * TC + member : n;
}

// A key's scores, by key.
uint key_at(uint key) {
    return block * S_BLOCK + key * KEY_STRIDE + key / NN;
}

uint part_at(uint r, uint x) {
    return (((block * RM + r) * D_TILES + x) * SG + lane) * PART_WORDS;
}

void put_query_part(uint r, uint x, MATRIX_Q q) {
    uint at = part_at(r, x);
    [[unroll]] for (uint i = 0u; i < PART_WORDS; ++i) q_parts[at + i] = ELEMENT_PAIR(q[2u * i], q[2u * i + 1u]);
}

MATRIX_Q query_part(uint r, uint x) {
    MATRIX_Q q = MATRIX_Q(ELEMENT(0.0));
    uint at = part_at(r, x);
    [[unroll]] for (uint i = 0u; i < PART_WORDS; ++i) {
        uint word = q_parts[at + i];
        q[2u * i] = FIRST_ELEMENT(word);
        q[2u * i + 1u] = SECOND_ELEMENT(word);
    }
    return q;
}

// A block's queries pass through its part of the scores' tile, or a subgroup's share of them through its own, as many channels at
// a time as rows hold there; all of a subgroup's are loaded where nothing branches, as compilers would copy at every step what was
// loaded in a branch.
void load_query_tiles(Grid g, uint first_row) {
    uint begin = BY_CHANNEL ? lane : member * SG + lane, at = BY_CHANNEL ? own_row(first) : s_row(first);
    [[unroll]] for (uint x0 = 0u; x0 < D_SHARE; x0 += Q_TILES) {
        block_sync();
        for (uint i = begin; i < ROWS * Q_WIDTH; i += BY_CHANNEL ? SG : TC * SG) {
            uint row = i / Q_WIDTH, d = i % Q_WIDTH, eight = channel_tile(x0 + d / (KK / 8u)) * (KK / 8u) + d % (KK / 8u);
            s_tile[at + row * S_STRIDE + d] = uintBitsToFloat(query_words(g, first_row + first + row, eight));
        }
        block_sync();
        [[unroll]] for (uint r = 0u; r < RM; ++r)
            [[unroll]] for (uint x = x0; x < min(x0 + Q_TILES, D_SHARE); ++x) {
                MATRIX_Q q;
                coopMatLoad(q, s_tile, at + r * MM * S_STRIDE + (x - x0) * (KK / 8u), S_STRIDE, QUERY_ROWS_LAYOUT);
                if (BY_KEY)
                    put_query_part(r, x, q);
                else
                    q_rows[r * D_SHARE + x] = q;
            }
    }
}

void load_queries(Grid g, uint first_row) {
    if (QUERY_ROWS)
        [[dont_unroll]] for (uint i = thread; i < BR * K_EIGHTS; i += THREADS)
            q_tile[i / K_EIGHTS * K_STRIDE + i % K_EIGHTS] = query_words(g, first_row + i / K_EIGHTS, i % K_EIGHTS);
    else
        load_query_tiles(g, first_row);
    barrier();
    [[unroll]] for (uint i = 0u; i < RM * DV_TILES; ++i) out_rows[i] = MATRIX_C(0.0);
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; ++i) state[i] = no_state();
}

// ---- a step -----------------------------------------------------------------------------------------------------------

MATRIX_Q query_tile(uint r, uint x) {
    if (BY_KEY)
        return query_part(r, x);
    MATRIX_Q q = q_rows[r * D_SHARE + x];
    if (QUERY_ROWS)
        coopMatLoad(q, q_tile, (first + r * MM) * K_STRIDE + x * (KK / 8u), K_STRIDE, QUERY_ROWS_LAYOUT);
    return q;
}

MATRIX_K key_tile(uint n, uint x) {
    MATRIX_K keys;
    coopMatLoad(keys, k_tile, n * NN * K_STRIDE + x * (KK / 8u), K_STRIDE, KEY_ROWS_LAYOUT);
    return keys;
}

// The others go along, without reading or writing: drivers may make a barrier of subgroups one of the workgroup.
bool has_soft_rows() {
    return SOFT_TEAM == TC || member < SOFT_TEAM;
}

// The row, within the workgroup, of a lane's n-th row, and the part of it that the lane has.
uint lane_row(uint n) {
    return first + member * SOFT_ROWS + (BY_KEY ? lane % ROW_STEP * KEY_ROWS + n : (lane + n * SG) % SOFT_ROWS);
}

uint part_of() {
    return ROW_STEP < SG ? lane / ROW_STEP : 0u;
}

float over_row_max(float x) {
    [[unroll]] for (uint step = 1u; step < LANES; step *= 2u) x = max(x, subgroupShuffleXor(x, step * ROW_STEP));
    return x;
}

float over_row_sum(float x) {
    [[unroll]] for (uint step = 1u; step < LANES; step *= 2u) x += subgroupShuffleXor(x, step * ROW_STEP);
    return x;
}

// The score of a pair, -inf if the row may not see the key; the highest of those that it sees.
float masked_score(Grid g, Row r, int j, int end, bool full, float product, inout float highest) {
    bool visible = full || (j < end && in_band(g, r.query, j));
    float score = score_of(product);
    if (biased() && visible)
        visible = bias_score(g, r, j, score);
    highest = visible ? max(highest, score) : highest;
    return visible ? score : negative_infinity();
}

// What a row's weights are relative to from now on. Its highest score only where it is asked for: otherwise what was good enough
// before, up to weights of 2^8, so that results rarely have to be scaled once more (Dao 2024, FlashAttention-4). Values of bf16 may
// be so large that sums hold no weights above 1.
float raised(float reference, float highest) {
    if (VKA_BF16 == 1 || has_option(VKA_FLAG_STATS))
        return max(reference, highest);
    return (highest - reference) * p.exp_scale > 8.0 ? highest : reference;
}

MATRIX_K value_tile(uint c, uint x) {
    MATRIX_K values;
    if (KEY_VALUES)
        coopMatLoad(values, k_tile, c * KK * K_STRIDE + (member * DV_TILES + x) * (NN / 8u), K_STRIDE, QUERY_ROWS_LAYOUT);
    else
        coopMatLoad(values, v_tile, (member * DV_TILES + x) * NN * V_STRIDE + c * (KK / 2u), V_STRIDE, KEY_ROWS_LAYOUT);
    return values;
}

void scale_outputs() {
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        MATRIX_C factors;
        coopMatLoad(factors, row_factor, first + r * MM, 0u, KEY_ROWS_LAYOUT);
        [[unroll]] for (uint x = 0u; x < DV_TILES; ++x) out_rows[r * DV_TILES + x] *= factors;
    }
}

#if VKA_IN_REGISTERS
#include "matrix_scores_registers.glsl"
#else
#include "matrix_scores_shared.glsl"
#endif

// Values for the products that follow. Those in the keys' tile are there: all that is left to do is what put_pair does.
void place_values(Grid g, uint v_head, int j0, int end, bool full) {
    if (!KEY_VALUES && LEAN_STEPS)
        copy_values(g, v_head, j0, end, full);
    else if (!KEY_VALUES)
        stage_values(full, j0);
    else if (!full) {
        if (TC == 1u)
            barrier(); // other blocks' subgroups read keys
        drop_nonfinite_keys(j0);
    }
}

#include "matrix_outputs.glsl"

// `zero` is 0, which compilers can't know: addresses that depend on it are computed again in each step. Otherwise they would be
// computed once before the loop and take registers in all of it.
void find_place(uint zero) {
    uint subgroup = gl_SubgroupID + zero;
    lane = gl_SubgroupInvocationID + zero;
    thread = subgroup * SG + lane;
    block = subgroup / TC;
    member = subgroup % TC;
    first = block * ROWS;
}

void main() {
    find_place(0u);
    nonfinite_step = -1;
    rescale_step[block].x = -1;
    Grid g = grid_position();
    if (is_idle(g))
        return;
    uint first_row = g.tile * BR;
    load_queries(g, first_row);
#if VKA_IN_REGISTERS
    begin_states();
#endif
    uint k_head = key_head_at(g), v_head = value_head_at(g);
    Walk ahead = walk_keys(g, first_row);
    int next = ahead.begin;
    if (!LEAN_STEPS)
        fetch_keys(g, k_head, next, ahead.end);
    while (next < ahead.end) {
        run = ahead;
        int j0 = next;
        bool full = is_full(j0);
        if (BY_KEY)
            find_place(uint(j0) >> 31);
        if (!LEAN_STEPS)
            stage_keys();
        else if (full) // as constants: what masks, and what asks for each key, costs as much as the rest
            copy_keys(g, k_head, j0, run.end, true);
        else
            copy_keys(g, k_head, j0, run.end, false);
        barrier();
        if (!LEAN_STEPS && !KEY_VALUES)
            fetch_values(g, v_head, j0, run.end);
        multiply_queries();
        if (full) {
            softmax_rows(g, first_row, j0, run.end, true);
            place_values(g, v_head, j0, run.end, true);
        } else {
            softmax_rows(g, first_row, j0, run.end, false);
            place_values(g, v_head, j0, run.end, false);
        }
        barrier();
        advance(ahead, next);
        if (!LEAN_STEPS)
            fetch_keys(g, k_head, next, ahead.end);
        if (VKA_IN_REGISTERS == 0 && rescale_step[block].x == j0)
            scale_outputs();
        add_values();
        if (!full && nonfinite_step == j0)
            add_nonfinite_values(g, first_row, v_head, j0, run.end);
        if (KEY_VALUES)
            barrier(); // the keys' tile has been read
    }
    if (BY_KEY)
        find_place(uint(next) >> 31);
#if VKA_IN_REGISTERS
    take_states();
#endif
    // All of a block's subgroups are done with the scores' tile and the factors.
    barrier();
    store_rows(g, first_row);
}
